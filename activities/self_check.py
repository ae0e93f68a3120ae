"""Whether a sandbox is what it must be, judged by what a program in it found (`deploy/sandbox/probe.py`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deploy.sandbox
from deploy.checks import Check
from schema.messages.sandbox import Isolation, SandboxJob, SandboxLimits

NOBODY = 65534
MIB = 1024 * 1024
MOUNTS = frozenset({"/", "/work", "/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"})  # noqa: S108
MOUNTED_BELOW = ("/dev", "/proc", "/sys")
DEVICES = frozenset(
    "core fd full mqueue net null ptmx pts random shm stderr stdin stdout tty urandom zero console".split()  # noqa: SIM905
)
SETUP = "run `python -m deploy.sandbox.setup`, or correct the engine's configuration"
LIMITS = "sandbox limits"


def job() -> SandboxJob:
    """The probe, as a job with the usual limits."""
    code = (Path(deploy.sandbox.__file__).parent / "probe.py").read_text()
    return SandboxJob(files={"probe.py": code}, command=("python", "probe.py"))


def kernel(isolation: Isolation, required: Isolation) -> Check:
    """Whether the kernel is the one that the settings require."""
    remedy = "register gVisor's runsc, or where a shared kernel is acceptable set GOLDEN_SANDBOX_ISOLATION=unsafe-runc"
    problem = f"the settings ask for {required}, the runtime gave {isolation}"
    return _check("sandbox kernel", [] if isolation == required else [problem], remedy)


def judge(facts: dict[str, Any], isolation: Isolation) -> list[Check]:
    """One check for each kind of wall; KeyError when the facts are not the probe's."""
    return [
        _check("sandbox network", list(_network(facts)), SETUP),
        _check("sandbox root", [] if "ro" in facts["root"] else ["the root can be written"], SETUP),
        _check("sandbox user", list(_user(facts)), SETUP),
        _check("sandbox host", list(_host(facts)), SETUP),
        _check(LIMITS, list(_limits(facts, SandboxLimits(), isolation)), f"{SETUP}: its kernel must have the limits"),
    ]


def _network(facts: dict[str, Any]) -> Iterator[str]:
    if others := sorted(set(facts["interfaces"]) - {"lo"}):
        yield f"there is a network: {', '.join(others)}"
    if facts["routes"]:
        yield "there is a route to a network"


def _user(facts: dict[str, Any]) -> Iterator[str]:
    if set(facts["ids"]) != {NOBODY} or facts["groups"]:
        yield f"it runs as {facts['ids']} with the groups {facts['groups']}"
    if any(facts["capabilities"]):
        yield "it has capabilities"
    if not facts["no_new_privileges"]:
        yield "it can gain privileges"
    if facts["namespaces"]:
        yield "it can make namespaces"


def _host(facts: dict[str, Any]) -> Iterator[str]:
    mounts = {path for path in facts["mounts"] if path not in MOUNTS and not path.startswith(MOUNTED_BELOW)}
    for what, found in (
        ("mounts", mounts), ("devices", set(facts["devices"]) - DEVICES), ("sockets", set(facts["sockets"])),
    ):  # fmt: skip
        if found:
            yield f"it sees {what}: {', '.join(sorted(found))}"


def _limits(facts: dict[str, Any], limits: SandboxLimits, isolation: Isolation) -> Iterator[str]:
    found = facts["limits"]
    bounds = {
        "open files": (found["NOFILE"], 256),
        "the size of a file": (found["FSIZE"], limits.disk_mb * MIB),
        "core files": (found["CORE"], 0),
        "the disk": (facts["tmpfs"]["/work"], limits.disk_mb * MIB),
        "temporary files": (facts["tmpfs"]["/tmp"], limits.disk_mb * MIB),  # noqa: S108
        "shared memory": (facts["tmpfs"]["/dev/shm"], limits.disk_mb * MIB),  # noqa: S108
        "memory": (facts["memory"], limits.memory_mb * MIB),
    }
    if isolation == "gvisor":
        # Elsewhere the engine counts the processes.
        bounds["processes"] = (found["NPROC"], limits.processes)
    for what, (bound, most) in bounds.items():
        if not 0 <= bound <= most or (bound == 0 and most > 0):
            yield f"{what}: the limit is {bound if bound > 0 else 'missing'}, it must be {most}"


def _check(name: str, problems: list[str], remedy: str) -> Check:
    return Check(name, ok=not problems, problem="; ".join(problems), remedy=remedy if problems else "")
