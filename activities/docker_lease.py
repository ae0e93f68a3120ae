"""Whose a container is: labels that name its worker and its process, and the removal of what dead ones left."""

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import docker

from activities.docker_container import end, remove

OWNER = "golden.owner"
HOLDER = "golden.holder"
POOL = "golden.pool"
UNSEEN_FOR = timedelta(minutes=10)
"""How long a container that runs no more is left alone when its holder can't be seen from here."""


def labels(owner: str) -> dict[str, str]:
    """The labels of a pool's containers: the owner stays the same over restarts, the holder is this process."""
    return {POOL: "1", OWNER: owner, HOLDER: f"{_machine()}/{os.getpid()}/{_started(os.getpid())}"}


def reap(client: docker.DockerClient, owner: str, now: datetime | None = None) -> int:
    """Remove the containers of an owner whose holder lives no more; how many there were."""
    found = client.api.containers(all=True, filters={"label": [f"{POOL}=1", f"{OWNER}={owner}"]})
    left = [entry for entry in found if is_left(entry, now or datetime.now(UTC))]
    for entry in left:
        # What never ran is not removed by the engine.
        (remove if entry["State"] == "created" else end)(client, entry["Id"])
    return len(left)


def is_left(entry: dict[str, Any], now: datetime) -> bool:
    """Whether nobody holds this container any more.

    One whose holder is on another machine, or in another process namespace, ends by itself with its holder's
    connection; it counts as left only when it does not run and is old.
    """
    holder: str = entry["Labels"].get(HOLDER, "")
    machine, _, process = holder.partition("/")
    pid, _, started = process.partition("/")
    if machine == _machine() and pid.isdecimal():
        return _started(int(pid)) != started
    age = now - datetime.fromtimestamp(entry["Created"], UTC)
    running: bool = entry["State"] == "running"
    return not running and age > UNSEEN_FOR


def _machine() -> str:
    """This boot of this machine, as seen from this process namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}:{Path('/proc/self/ns/pid').readlink().name}"


def _started(pid: int) -> str:
    """When a process was started, in the kernel's ticks; empty when there is none."""
    with suppress(OSError):
        # The name, in parentheses, may hold anything; the 22nd field counts from after it.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return ""
