"""Findings as they are told: with stable ids, in order, within bounds, by the policy. Standard library only."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from deploy.sandbox.guards.material import HIGH, LOW, MEDIUM, NONE, Found, Material, lines_of
from deploy.sandbox.guards.secrets import redacted

Finding = dict[str, Any]
Policy = Mapping[str, Any]
"""By guard: `on`, `off`, or by rule a severity or `off`."""

MAX_FINDINGS = 200
MAX_MESSAGE, MAX_FILE, MAX_RULE = 300, 200, 40
CRASHED = "guard-crashed"
MORE = "more-findings"
ALWAYS = frozenset({"tests", "syntax"})
"""Guards that no policy silences: what they find is told, at whatever severity."""
WEIGHTS = {LOW: 1, MEDIUM: 10, HIGH: 100}
"""What findings weigh when two versions of a candidate are compared."""
_GRAVEST_FIRST = {HIGH: 0, MEDIUM: 1, LOW: 2}


def told(guard: str, found: Iterable[Found], material: Material) -> list[Finding]:
    """What a guard found, as findings. An id is of guard, rule, file, the line's text and its ordinal: it is the same
    after other lines have changed."""
    seen: Counter[tuple[str, str, str]] = Counter()
    lines: dict[str, list[str]] = {}
    findings = []
    for one in sorted(set(found)):
        if one.file not in lines:
            lines[one.file] = lines_of(material.files.get(one.file, ""))
        text = lines[one.file][one.line - 1] if 0 < one.line <= len(lines[one.file]) else ""
        key = (one.rule, one.file, text.strip())
        seen[key] += 1
        name = "\0".join((guard, *key, str(seen[key])))
        digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:10]
        findings.append(
            {
                "id": f"{guard}-{digest}",
                "guard": guard,
                "rule": plain(one.rule, MAX_RULE),
                "severity": one.severity,
                "file": plain(one.file, MAX_FILE),
                "line": max(0, one.line),
                "message": plain(redacted(one.message), MAX_MESSAGE),
                "fix": one.fix,
            }
        )
    return findings


def crashed(guard: str, why: str) -> Finding:
    """The finding of a guard that could not look."""
    message = f"the guard {guard} came to no end: {why}; what it looks for may be there"
    return told(guard, [Found(CRASHED, HIGH, "", 0, message, NONE)], Material({}))[0]


def judged(findings: Iterable[Finding], policy: Policy) -> list[Finding]:
    """The findings as the policy wants them: severities of its own, rules left out."""
    kept = []
    for finding in findings:
        of_guard = policy.get(finding["guard"], "on")
        said = of_guard.get(finding["rule"]) if isinstance(of_guard, Mapping) else None
        if said in WEIGHTS:
            kept.append({**finding, "severity": said})
        elif said != "off" or finding["guard"] in ALWAYS or finding["rule"] == CRASHED:
            kept.append(finding)
    return kept


def is_on(guard: str, policy: Policy) -> bool:
    return guard in ALWAYS or policy.get(guard, "on") != "off"


def weights(findings: Iterable[Finding]) -> dict[str, int]:
    """What the findings of each guard weigh together."""
    total: Counter[str] = Counter()
    for finding in findings:
        total[finding["guard"]] += WEIGHTS[finding["severity"]]
    return dict(sorted(total.items()))


def bounded(findings: Sequence[Finding], limit: int = MAX_FINDINGS) -> list[Finding]:
    """The gravest first, each once, and at most so many; then one that says how many more there are."""
    once = {finding["id"]: finding for finding in findings}
    ordered = sorted(once.values(), key=_order)
    if len(ordered) <= limit:
        return ordered
    left = len(ordered) - limit + 1
    more = Found(MORE, MEDIUM, "", 0, f"there are {left:,} findings more than are told", NONE)
    return [*ordered[: limit - 1], *told("scope", [more], Material({}))]


def plain(text: str, most: int) -> str:
    """Text of one line, without control characters and what can't be stored, cut."""
    printable = "".join(character if character.isprintable() else " " for character in text[: 4 * most])
    return " ".join(printable.split())[:most]


def _order(finding: Finding) -> tuple[Any, ...]:
    return (
        _GRAVEST_FIRST[finding["severity"]],
        finding["guard"], finding["file"], finding["line"], finding["rule"], finding["id"],
    )  # fmt: skip
