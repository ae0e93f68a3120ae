"""Lets guards look: each that fails, or says nothing, is a finding. Standard library only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.sandbox.guards import findings as findings_of
from deploy.sandbox.guards.findings import Finding, Policy
from deploy.sandbox.guards.material import Guard, Material

MAX_OF_ONE = 2_000
"""Findings that one guard may tell; who has more is told how many there were."""
MAX_TOLD = 4 * 1024 * 1024


def look(guard: Guard, material: Material, policy: Policy) -> list[Finding]:
    """What one guard finds, by the policy; nothing where it is off, or there is nothing that it applies to."""
    if not findings_of.is_on(guard.name, policy):
        return []
    if material.changed and not any(map(guard.applies_to, material.changed)):
        return []
    try:
        found = list(guard.run(material))
    except Exception as error:
        return [findings_of.crashed(guard.name, type(error).__name__)]
    told = findings_of.judged(findings_of.told(guard.name, found, material), policy)
    return findings_of.bounded(told, MAX_OF_ONE)


def report_each(guards: Sequence[Guard], material: Material, policy: Policy, descriptor: int) -> None:
    """Tell each guard's findings as it has them, one line of JSON each: what is told is kept if the next one dies."""
    for guard in guards:
        if not findings_of.is_on(guard.name, policy):
            continue
        line = json.dumps({"guard": guard.name, "findings": look(guard, material, policy)}).encode() + b"\n"
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(descriptor, rest) :]


def read_reports(data: bytes, names: Iterable[str], policy: Policy) -> list[Finding]:
    """The findings of all guards that should have looked; a guard whose line is missing or is none has crashed."""
    told: dict[str, list[Finding]] = {}
    for line in data.split(b"\n"):
        report = _report(line)
        if report is not None:
            told[report["guard"]] = report["findings"]
    found: list[Finding] = []
    for name in names:
        if name in told:
            found += told[name]
        elif findings_of.is_on(name, policy):
            found.append(findings_of.crashed(name, "it did not report"))
    return found


def _report(line: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return None
    right = (
        isinstance(report, dict) and isinstance(report.get("guard"), str) and isinstance(report.get("findings"), list)
    )
    return report if right and all(map(_is_finding, report["findings"])) else None


def _is_finding(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != _FIELDS:
        return False
    texts = all(isinstance(value[name], str) and len(value[name]) <= _MOST for name in _FIELDS - {"line"})
    return texts and type(value["line"]) is int and value["severity"] in findings_of.WEIGHTS and value["fix"] in _FIXES


_FIELDS = frozenset({"id", "guard", "rule", "severity", "file", "line", "message", "fix"})
_FIXES = ("deterministic", "model", "none")
_MOST = 1_000
