"""Sandbox escape: a program that reaches for the host, and three that would exhaust it."""

import json
import os
import secrets
from typing import Any

from deploy.prove.proof import Broken, Ground, expect

DONE = "programs that look for host, network, other processes and root; fork bomb, memory hog, endless loop"

PROBE = """
import ctypes, json, os, socket, sys
seen = {}
def attempt(name, act):
    try:
        seen[name] = act()
    except BaseException:
        seen[name] = False
def reaches(host, port):
    with socket.create_connection((host, port), 1):
        return True
def writes(path):
    with open(path, "w") as file:
        file.write("x")
    return True
def reads(path):
    with open(path) as file:
        return file.read(200)
def linked(path):
    os.symlink(path, "link")
    return bool(reads("link"))
mark, secret, gateway = sys.argv[1:4]
for name, host, port in (("internet", "1.1.1.1", 53), ("metadata", "169.254.169.254", 80), ("bridge", "172.17.0.1", 22),
                         ("gateway", "127.0.0.1", int(gateway))):
    attempt("network: " + name, lambda host=host, port=port: reaches(host, port))
attempt("a file of the host", lambda: mark in reads(secret))
attempt("a file of the host through a link", lambda: linked(secret))
attempt("a file of the host through /proc/1/root", lambda: mark in reads("/proc/1/root" + secret))
attempt("the container engine", lambda: os.path.exists("/var/run/docker.sock"))
for path in ("/etc/passwd", "/usr/bin/python-prove", "/root/prove", "/proc/sys/kernel/core_pattern", "/sys/prove"):
    attempt("writes " + path, lambda path=path: writes(path))
attempt("root by setuid", lambda: os.setuid(0) is None)
attempt("root already", lambda: os.geteuid() == 0)
attempt("mount", lambda: ctypes.CDLL(None).mount(b"none", b"/mnt", b"tmpfs", 0, None) == 0)
attempt("signals process 1", lambda: os.kill(1, 9) is None)
attempt("memory of process 1", lambda: bool(open("/proc/1/mem", "rb").read(1)))
attempt("raw socket", lambda: bool(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)))
attempt("devices", lambda: any(name.startswith(("sd", "vd", "nvme", "kmsg", "mem")) for name in os.listdir("/dev")))
pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
print(json.dumps({"seen": seen, "release": os.uname().release, "pids": len(pids)}))
"""
FORKS = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
MEMORY = "held = []\nwhile True:\n    held.append(bytearray(16 * 1024 * 1024))\n"
LOOP = "while True:\n    pass\n"
MOST_PROCESSES = 40


async def prove(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    tenant, mark = ground.tenant("escape"), secrets.token_hex(16)
    secret = ground.settings.home / "run" / f"prove-{ground.run}"
    if ground.local:
        secret.write_text(mark)
    try:
        command = ["python", "main.py", mark, str(secret), str(ground.settings.gateway_port)]
        run = await _run(ground, tenant, PROBE, command)
    finally:
        secret.unlink(missing_ok=True)
    tried = _judge(run)
    ended = [
        f"{name}: {(await _run(ground, tenant, code, limits=limits))['limit']}"
        for name, code, limits in (
            ("forks", FORKS, {"seconds": 3, "processes": 16}),
            ("memory", MEMORY, {"seconds": 10, "memory_mb": 64}),
            ("loop", LOOP, {"seconds": 1}),
        )
    ]
    unbounded = [text for text in ended if text.endswith("None")]
    if unbounded:
        raise Broken(f"{unbounded[0].partition(':')[0]} without an end was ended by no limit")
    after = await _run(ground, tenant, "print(6 * 7)")
    if after["stdout"] != "42\n":
        raise Broken("after all that no program runs any more")
    return f"isolation {run['isolation']}, {tried} ways out shut; ended by: {', '.join(ended)}; the next run is well"


async def _run(
    ground: Ground, tenant: str, code: str, command: list[str] | None = None, limits: dict[str, int] | None = None
) -> dict[str, Any]:
    body = {
        "files": {"main.py": code},
        "command": command or ["python", "main.py"],
        "limits": limits or {"seconds": 30},
    }
    # From an address of its own: there are ten runs a minute for one.
    origin = f"127.6.0.{2 + int(ground.run[:2], 16) % 250}"
    async with ground.client("developer", tenant, origin=origin) as client:
        answer: dict[str, Any] = expect(await client.post("/v1/sandbox/executions", json=body), 200).json()
    return answer


def _judge(run: dict[str, Any]) -> int:
    """How many ways out were tried; raises Broken for the first that was open."""
    try:
        told = json.loads(run["stdout"])
        seen: dict[str, bool] = told["seen"]
    except (ValueError, KeyError):
        raise Broken(f"the probe did not come to its end: {run['limit'] or run['exit_code']}") from None
    ways = sorted(name for name, open_ in seen.items() if open_)
    shared = told["release"] == os.uname().release
    if run["isolation"] != "gvisor" or shared:
        what = "the host's own kernel answers" if shared else "not gVisor's kernel"
        raise Broken(f"isolation is {run['isolation']}: {what}" + (f"; open: {', '.join(ways)}" if ways else ""))
    if ways:
        raise Broken(f"open: {', '.join(ways)}")
    if told["pids"] > MOST_PROCESSES:
        raise Broken(f"it sees {told['pids']} processes")
    return len(seen) + 2
