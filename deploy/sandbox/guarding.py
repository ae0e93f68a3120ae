"""Guards and remedies in a process of their own: before the candidate runs, as another user than it, within bounds.

What they say is read from a pipe until they end or their time is over; what is missing then is a finding.
Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from deploy.sandbox.guards import findings, looking, registry
from deploy.sandbox.guards.findings import Finding
from deploy.sandbox.guards.material import Material
from deploy.sandbox.remedies import mending
from deploy.sandbox.standby import Limits, Standby, Work

GUARD = 65533
"""The user of the guards: what the candidate's user can neither signal nor change."""
SECONDS = 20.0
MAX_TOLD = 8 * 1024 * 1024
SCRATCH = Path("/tmp")  # noqa: S108
CHUNK = 1 << 16
LIMITS = Limits(seconds=SECONDS, output=0, processes=0, crowd=0, disk=8 * 1024 * 1024, user=GUARD)

Judged = dict[str, Any]


def preload() -> None:
    """Let each guard look once before the job comes: tools are read from the image, and bandit is imported.

    An image that lacks one shows it as a guard that crashes.
    """
    material = Material({"ahead.py": "import os\n"})
    for guard in registry.GUARDS:
        looking.look(guard, material, {})


def inspect(child: Standby, job: dict[str, Any]) -> Judged:
    """What the guards find in a job's files, `{findings, weights}`."""
    policy = job["guards"]
    data = _said(child, partial(_look, _material(job), policy))
    found = looking.read_reports(data, [guard.name for guard in registry.GUARDS], policy)
    return {"findings": findings.bounded(found), "weights": findings.weights(found)}


def mend(child: Standby, job: dict[str, Any]) -> dict[str, Any] | None:
    """What the remedies make of a job's files, `{files, remedies}`; None where they came to no end."""
    data = _said(child, partial(_mend, _material(job), job["findings"], job["gentle"]))
    told = mending.read_report(data)
    if told is None or len(data) >= MAX_TOLD:
        return None
    return {"files": told["files"], "remedies": told["remedies"]}


def _material(job: dict[str, Any]) -> Material:
    return Material(job["files"], job["given"] or {}, job["tests"])


def _look(material: Material, policy: dict[str, Any], report: int) -> int:
    looking.report_each(registry.GUARDS, material, policy, report)
    return 0


def _mend(material: Material, found: list[Finding], gentle: bool, report: int) -> int:
    mending.report(material, found, gentle, report)
    return 0


def _said(child: Standby, work: Work) -> bytes:
    """What the child reports until it ends, or has no time left; then nothing of it is left either."""
    try:
        child.wait()
        child.start(work, LIMITS)
        return _read(child.reads["report"])
    except (OSError, EOFError):
        return b""
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child.pid, 0)
        for descriptor in child.reads.values():
            os.close(descriptor)
        _clean()


def _read(report: int) -> bytes:
    deadline = time.monotonic() + SECONDS
    data = bytearray()
    while len(data) < MAX_TOLD and (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([report], [], [], left)
        if not ready:
            break
        chunk = os.read(report, CHUNK)
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _clean() -> None:
    """What the guards left in the sandbox's files is theirs, and only they may remove it."""
    os.seteuid(GUARD)
    try:
        for left in SCRATCH.glob("guards-*"):
            shutil.rmtree(left, ignore_errors=True)
    finally:
        os.seteuid(0)
