"""What a report holds against a candidate, in words for the model that is to mend it: as little as it needs."""

import re
from collections.abc import Mapping

from schema.messages.sandbox import Finding, SandboxRun
from schema.messages.vote import Evidence

MAX_REPORT_CHARACTERS = 3_000
MAX_FAILURES = 5
MAX_FINDINGS = 8
AROUND = 2
"""Lines of code before and behind the one that a finding names."""

_FRAME = re.compile(r"^\S.*:\d+: (?:in |[A-Z]\w*)")


def failures(report: SandboxRun) -> str:
    """The failing tests of a report, shortest first, each with its failing assertion, within a bound.

    Of one whose tests all passed, what the guards found.
    """
    lines = []
    if report.limit is not None:
        lines.append(f"The run was stopped by its {report.limit} limit.")
    failed = sorted((test for test in report.tests if test.outcome != "passed"), key=lambda test: len(test.message))
    lines += [f"{test.id}: {test.outcome}\n{failing_assertion(test.message)}" for test in failed[:MAX_FAILURES]]
    if not report.tests:
        lines.append(report.stdout[-1_500:] or report.stderr[-1_500:])
    if report.passed:
        lines += [told_in_a_line(finding) for finding in to_mend(report)]
    return "\n".join(lines)[:MAX_REPORT_CHARACTERS]


def failing_assertion(message: str) -> str:
    """Of a traceback in pytest's short form the test's own lines, those where the error came up, and the error."""
    blocks: list[list[str]] = []
    for line in message.splitlines():
        if _FRAME.match(line) or not blocks:
            blocks.append([])
        blocks[-1].append(line)
    if len(blocks) <= 2:
        return message
    return "\n".join([*blocks[0], *blocks[-1]])


def to_mend(report: SandboxRun) -> list[Finding]:
    """The findings that a model is shown, the gravest first. What is left to nobody, as a secret, is not among them."""
    wanted = [
        finding
        for finding in report.findings
        if finding.guard != "tests" and finding.fix != "none" and finding.severity != "low"
    ]
    return wanted[:MAX_FINDINGS]


def with_code(findings: list[Finding], files: Mapping[str, str]) -> str:
    """Each finding with the lines around it."""
    return "\n\n".join(f"{told_in_a_line(finding)}{_around(finding, files)}" for finding in findings)


def told_in_a_line(finding: Finding) -> str:
    """What was found, where, and how grave it is."""
    where = f"{finding.file}:{finding.line}: " if finding.line else f"{finding.file}: " if finding.file else ""
    return f"{where}{finding.guard} {finding.rule} ({finding.severity}): {finding.message}"


def told_to_voters(evidence: Evidence, report: SandboxRun | None) -> str:
    """The findings that a ballot may cite, by id; what each says where the report is there."""
    known = {finding.id: finding for finding in report.findings} if report is not None else {}
    return "\n".join(
        f"{name}: severity {severity}{f', {told_in_a_line(known[name])}' if name in known else ''}"
        for name, severity in evidence.findings.items()
    )


def _around(finding: Finding, files: Mapping[str, str]) -> str:
    lines = files.get(finding.file, "").splitlines()
    if not 0 < finding.line <= len(lines):
        return ""
    first, last = max(1, finding.line - AROUND), min(len(lines), finding.line + AROUND)
    return "".join(f"\n{number:4} {lines[number - 1][:200]}" for number in range(first, last + 1))
