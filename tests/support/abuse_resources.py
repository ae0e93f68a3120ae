"""Programs that want more memory or disk than they may have."""

from tests.support.abuse import Abuse

MEMORY = [
    Abuse("a hog", "print('begun', flush=True)\nx = b'x' * (900 << 20)\nprint('survived')\n", ("oom",), "begun\n"),
    Abuse(
        "a hog by little steps",
        "print('begun', flush=True)\nx = []\nwhile True:\n    x.append(b'x' * 100_000)\n",
        ("oom",),
        "begun\n",
        {"seconds": 20},
    ),
    Abuse(
        "a hog of mapped memory",
        """
import mmap
print("begun", flush=True)
m = mmap.mmap(-1, 900 << 20)
for i in range(0, len(m), 4096):
    m[i] = 1
print("survived")
""",
        ("oom",),
        "begun\n",
        {"seconds": 20},
    ),
    Abuse(
        "a hog of shared memory without a name",
        """
import os
fd = os.memfd_create("x")
print("begun", flush=True)
for _ in range(900):
    os.write(fd, b"x" * (1 << 20))
print("survived")
""",
        ("oom", "disk"),
        "begun\n",
    ),
    Abuse(
        "hogs in crowds",
        """
import os, time
for _ in range(10):
    if os.fork() == 0:
        x = b"x" * (90 << 20)
        time.sleep(30)
time.sleep(30)
""",
        ("oom",),
        given={"seconds": 20},
    ),
    Abuse("a hog that only reserves", "import mmap\nm = mmap.mmap(-1, 8 << 30)\nprint(len(m))\n", (None,)),
    Abuse(
        "a hog of the recursion",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f():\n    f()\nf()\n",
        (None, "oom", "timeout"),
        given={"seconds": 10},
    ),
    Abuse(
        "a hog of pipes",
        """
import os
fds = []
try:
    while True:
        fds += os.pipe()
        os.set_blocking(fds[-1], False)
        try:
            os.write(fds[-1], b"x" * (1 << 20))
        except BlockingIOError:
            pass
except OSError as error:
    print(error.errno, len(fds) < 256)
""",
        (None,),
        "24 True\n",
    ),
    Abuse("an integer without an end", "x = 7\nwhile True:\n    x = x * x\n", ("timeout", "oom"), "", {"seconds": 1}),
]

DISK = [
    Abuse("one large file", "open('whole', 'wb').write(bytes(99 << 20))\n", ("disk",)),
    Abuse("many files", "for i in range(99):\n    open(f'part-{i}', 'wb').write(bytes(1 << 20))\n", ("disk",)),
    Abuse("another folder", "open('/tmp/elsewhere', 'wb').write(bytes(30 << 20))\n", ("disk",)),
    Abuse(
        "a file full of holes",
        """
f = open("sparse", "wb")
f.truncate(1 << 40)
print("survived")
""",
        ("disk",),
    ),
    Abuse(
        "a file full of holes within the limit",
        """
import os
f = open("sparse", "wb")
f.truncate(60 << 20)
print(os.path.getsize("sparse"))
""",
        (None,),
        f"{60 << 20}\n",
    ),
    Abuse(
        "a file that has no name any more",
        """
import os
f = open("gone", "wb")
os.unlink("gone")
while True:
    f.write(bytes(1 << 20))
    f.flush()
""",
        ("disk",),
    ),
    Abuse(
        "empty files without an end",
        """
i = 0
while True:
    open(f"e{i}", "w").close()
    i += 1
""",
        ("disk", "oom", "timeout"),
        given={"seconds": 3},
    ),
    Abuse(
        "links without an end",
        """
import os
open("a", "w").close()
for i in range(5_000):
    os.link("a", f"l{i}")
print("done")
""",
        (None, "timeout"),
        given={"seconds": 5},
    ),
    Abuse(
        "folders in folders",
        """
import os
for _ in range(1_000):
    os.mkdir("d")
    os.chdir("d")
print("done")
""",
        (None,),
        "done\n",
    ),
    Abuse("a name that is too long", "open('n' * 5_000, 'w')\n", (None,), ""),
    Abuse(
        "a link out of the workspace",
        """
import os
os.symlink("/etc/passwd", "link")
try:
    open("link", "a")
except OSError as error:
    print(type(error).__name__)
""",
        (None,),
    ),
    Abuse(
        "shared memory with a name",
        """
f = open("/dev/shm/x", "wb")
for _ in range(900):
    f.write(bytes(1 << 20))
""",
        ("disk",),
    ),
]
