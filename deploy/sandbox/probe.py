"""What a candidate finds around itself, as JSON: the pool runs this in a sandbox before it serves.

Standard library only: it is sent as a job's file, and is not in the image.
"""

import ctypes
import json
import os
import resource
from pathlib import Path
from typing import Any

PR_GET_NO_NEW_PRIVS = 39
CLONE_NEWUSER = 0x10000000
TMPFS = ("/work", "/tmp", "/dev/shm")  # noqa: S108
MEMORY = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")


def facts() -> dict[str, Any]:
    """Everything that the self-check judges."""
    libc = ctypes.CDLL(None)
    mounts = [line.split() for line in text("/proc/self/mounts").splitlines()]
    status = dict(line.split(":\t", 1) for line in text("/proc/self/status").splitlines() if ":\t" in line)
    limits = ("NOFILE", "FSIZE", "NPROC", "CORE")
    return {
        "interfaces": [line.split(":")[0].strip() for line in text("/proc/net/dev").splitlines() if ":" in line],
        "routes": len(text("/proc/net/route").strip().splitlines()[1:]),
        "root": next((words[3].split(",") for words in mounts if words[1] == "/"), []),
        "mounts": [words[1] for words in mounts],
        "devices": os.listdir("/dev"),  # noqa: PTH208
        "sockets": [path for path in SOCKETS if Path(path).exists()],
        "ids": [*os.getresuid(), *os.getresgid()],
        "groups": os.getgroups(),
        "capabilities": [int(status.get(name, "0").strip(), 16) for name in ("CapInh", "CapPrm", "CapEff")],
        "no_new_privileges": libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
        "namespaces": libc.unshare(CLONE_NEWUSER) == 0,
        "limits": {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in limits},
        "tmpfs": {path: room(path) for path in TMPFS},
        "memory": memory(),
    }


def room(path: str) -> int:
    """The bytes that a file system of its own has there; 0 without one, or without a bound."""
    if not os.path.ismount(path):
        return 0
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize


def memory() -> int:
    """The most bytes that this sandbox may use: the control group's, else all that the kernel shows."""
    for path in MEMORY:
        if (told := text(path).strip()).isdecimal():
            return int(told)
    return int(text("/proc/meminfo").split()[1]) * 1024


def text(path: str) -> str:
    """A file's text; empty where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


if __name__ == "__main__":
    print(json.dumps(facts()))
