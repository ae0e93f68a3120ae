"""Programs that want what belongs to the system, to the runner or to others."""

from tests.support.abuse import Abuse

CALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    return ctypes.get_errno() if result < 0 else "allowed"
"""
"""Numbers of system calls are those of x86-64."""


def refused(name: str, code: str) -> Abuse:
    """A program each of whose lines must be refused with an error of the system."""
    lines = code.strip().splitlines()
    body = "".join(
        f"try:\n    {line}\n    print('allowed', {line!r})\nexcept (OSError, ValueError):\n    pass\n" for line in lines
    )
    return Abuse(
        name, f"import ctypes, fcntl, os, resource, shutil, socket, time\n{body}print('done')\n", stdout="done\n"
    )


SYSTEM = [
    refused(
        "becoming somebody else",
        """
os.setuid(0)
os.setgid(0)
os.setgroups([0])
os.setresuid(0, 0, 0)
os.chroot("/work")
""",
    ),
    refused(
        "raising its own limits",
        """
resource.setrlimit(resource.RLIMIT_NOFILE, (10_000, 10_000))
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 40, 1 << 40))
resource.setrlimit(resource.RLIMIT_CORE, (1 << 30, 1 << 30))
""",
    ),
    refused(
        "files of the system",
        """
open("/etc/passwd", "a")
open("/etc/shadow")
open("/opt/golden/runner/__main__.py", "a")
open("/opt/golden/site/pytest/__init__.py", "a")
open("/usr/local/bin/x", "w")
open("/new", "w")
os.mkdir("/opt/golden/site/evil")
os.remove("/usr/local/bin/python")
os.listdir("/root")
""",
    ),
    refused(
        "files of process 1",
        """
open("/proc/1/mem", "rb").read(1)
os.readlink("/proc/1/exe") and open("/proc/1/root/new", "w")
os.open("/proc/1/fd/3", os.O_RDWR)
os.open("/proc/1/fd/4", os.O_RDWR)
open("/proc/1/oom_score_adj", "w").write("1000")
""",
    ),
    refused(
        "settings of the kernel",
        """
open("/proc/sysrq-trigger", "w").write("b")
open("/proc/sys/kernel/core_pattern", "w").write("|/x")
open("/proc/sys/kernel/hostname", "w").write("x")
open("/proc/kcore", "rb").read(1)
open("/dev/mem", "rb").read(1)
open("/dev/kmsg", "w").write("x")
open("/sys/kernel/uevent_helper", "w").write("x")
open("/sys/fs/cgroup/memory/memory.limit_in_bytes", "w").write("-1")
open("/sys/fs/cgroup/cgroup.procs", "w").write("1")
os.listdir("/sys/firmware/efi/efivars")
""",
    ),
    refused(
        "devices",
        """
os.mknod("disk", 0o660 | 0o060000, os.makedev(8, 0))
os.mknod("mem", 0o660 | 0o020000, os.makedev(1, 1))
open("/dev/sda", "rb")
open("/dev/vda", "rb")
open("/dev/kvm", "rb")
open("/dev/fuse", "rb")
open("/dev/net/tun", "rb")
fcntl.ioctl(0, 0x5412, b"x")
""",
    ),
    refused(
        "the network",
        """
socket.create_connection(("192.0.2.1", 80), timeout=1)
socket.create_connection(("169.254.169.254", 80), timeout=1)
socket.create_connection(("172.17.0.1", 2375), timeout=1)
socket.create_connection(("8.8.8.8", 53), timeout=1)
socket.getaddrinfo("example.org", 80)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("8.8.8.8", 53))
socket.socket(socket.AF_INET6, socket.SOCK_STREAM).connect(("2001:db8::1", 80))
socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)
socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).connect((2, 1))
""",
    ),
    refused(
        "sockets of the host",
        """
socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock")
socket.socket(socket.AF_UNIX).connect("/run/containerd/containerd.sock")
socket.socket(socket.AF_UNIX).connect("\\0/containerd-shim")
os.listdir("/var/lib/docker")
""",
    ),
    refused(
        "the clock and priorities",
        """
time.clock_settime(time.CLOCK_REALTIME, 0)
os.sched_setscheduler(1, os.SCHED_FIFO, os.sched_param(1))
""",
    ),
    Abuse(
        "the kernel's other doors",
        CALL
        + """
doors = {
    "ptrace of process 1": (101, 16, 1, 0, 0), "mount": (165, b"none", b"/work", b"tmpfs", 0, None),
    "umount": (166, b"/proc", 0), "pivot_root": (155, b".", b"."), "reboot": (169, 0xFEE1DEAD, 672274793, 0x1234567),
    "init_module": (175, None, 0, b""), "finit_module": (313, 0, b"", 0), "kexec_load": (246, 0, 0, None, 0),
    "bpf": (321, 0, None, 0), "perf_event_open": (298, None, 0, -1, -1, 0), "userfaultfd": (323, 0),
    "io_uring_setup": (425, 8, b"x" * 120), "keyctl": (250, 0, -3, 0), "add_key": (248, b"user", b"a", b"b", 1, -3),
    "unshare": (272, 0x10000000), "setns": (308, 0, 0), "swapon": (167, b"x", 0), "acct": (163, b"x"),
    "settimeofday": (164, b"x" * 16, None), "sethostname": (170, b"x", 1), "iopl": (172, 3), "ioperm": (173, 0, 1, 1),
    "quotactl": (179, 0, None, 0, None), "syslog": (103, 5, None, 0), "open_by_handle_at": (304, 0, b"x" * 16, 0),
    "process_vm_readv": (310, 1, None, 0, None, 0, 0), "move_pages": (279, 1, 0, None, None, None, 0),
    "fanotify_init": (300, 0, 0), "lookup_dcookie": (212, 0, None, 0), "vhangup": (153,),
}
import struct
found = [name for name, call_it in doors.items() if call(*call_it) == "allowed"]
print(found)
""",
        stdout="[]\n",
    ),
    Abuse(
        "new namespaces by clone",
        CALL
        + """
found = []
for flag in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x04000000, 0x08000000, 0x02000000):
    pid = libc.syscall(56, flag | 17, None, None, None, None)
    if pid == 0:
        os._exit(0)
    if pid > 0:
        found.append(hex(flag))
print(found)
""",
        stdout="[]\n",
    ),
    Abuse(
        "a program that runs as root",
        """
import subprocess
said = subprocess.run(["su", "-c", "id -u"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2)
print("root" if said.stdout.strip() == "0" else "refused")
""",
        stdout="refused\n",
    ),
    Abuse(
        "ten thousand open files",
        """
files = []
try:
    while len(files) < 10_000:
        files.append(open("/dev/null"))
except OSError as error:
    print(error.errno, len(files) < 256)
""",
        stdout="24 True\n",
    ),
    Abuse(
        "locks on what was given",
        """
import fcntl
with open("main.py") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
print("locked")
""",
        stdout="locked\n",
    ),
    Abuse(
        "queues and semaphores without an end",
        CALL
        + """
made = 0
while made < 100_000 and call(68, 0, 0o600) == "allowed" and call(64, 0, 1, 0o600) == "allowed":
    made += 1
print("done")
""",
        (None, "oom", "timeout"),
        given={"seconds": 2},
    ),
    Abuse("a core file", "import os\nos.abort()\n", stdout=""),
    Abuse("a core file of a test", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", stdout=""),
    Abuse(
        "what others have in their environment",
        """
import os
found = set()
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        found |= set(open(f"/proc/{pid}/environ").read().split("\\0"))
    except OSError:
        pass
print(sorted(name.partition("=")[0] for name in found if name))
""",
        stdout="['HOME', 'LANG', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONPATH', 'PYTHONUNBUFFERED']\n",
    ),
    Abuse(
        "a library of its own in all that it starts",
        """
import os, subprocess
os.environ["LD_PRELOAD"] = "/work/evil.so"
print(subprocess.run(["/bin/true"], stderr=subprocess.DEVNULL).returncode)
""",
        stdout="0\n",
    ),
    Abuse(
        "every processor", "import os\nos.sched_setaffinity(0, range(os.cpu_count()))\nprint('done')\n", stdout="done\n"
    ),
    Abuse(
        "arguments that are too many",
        """
import os
try:
    os.execv("/bin/true", ["x" * 100_000] * 100)
except OSError as error:
    print("refused")
""",
        (None,),
    ),
    Abuse(
        "sockets of its own",
        """
import os, socket
for name in ("\\0own", "/work/own"):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(name)
        server.listen()
        client.connect(name)
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), timeout=1)
print("connected")
""",
        stdout="connected\n",
    ),
]
