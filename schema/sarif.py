"""Findings in SARIF 2.1.0, for tools that read it (OASIS, "Static Analysis Results Interchange Format", 2020)."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from schema.messages.sandbox import Finding

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
VERSION = "2.1.0"
_LEVELS = {"high": "error", "medium": "warning", "low": "note"}
_SECURITY = {"high": "8.0", "medium": "5.0", "low": "2.0"}
"""A score as code scanners want it for rules of security, in the middle of each band of CVSS."""
_SECURITY_GUARDS = frozenset({"security", "secrets"})


def to_sarif(findings: Iterable[Finding], version: str) -> dict[str, Any]:
    """One run of the tool Golden with these findings as its results.

    Args:
        version: of Golden.
    """
    told = list(findings)
    rules = sorted({(finding.guard, finding.rule): finding for finding in reversed(told)}.items())
    places = {key: number for number, (key, _) in enumerate(rules)}
    driver = {
        "name": "Golden",
        "version": version,
        "rules": [_rule(finding) for _, finding in rules],
    }
    results = [_result(finding, places[finding.guard, finding.rule]) for finding in told]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def rule_id(finding: Finding) -> str:
    """A rule's name over all guards."""
    return f"{finding.guard}/{finding.rule}"


def _rule(finding: Finding) -> dict[str, Any]:
    properties: dict[str, Any] = {"tags": [finding.guard]}
    if finding.guard in _SECURITY_GUARDS:
        properties = {"tags": [finding.guard, "security"], "security-severity": _SECURITY[finding.severity]}
    return {
        "id": rule_id(finding),
        "name": finding.rule,
        "shortDescription": {"text": f"{finding.rule}, of the guard {finding.guard}"},
        "defaultConfiguration": {"level": _LEVELS[finding.severity]},
        "properties": properties,
    }


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": rule_id(finding),
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message or rule_id(finding)},
        "partialFingerprints": {"goldenFinding/v1": finding.id},
        "properties": {"severity": finding.severity, "fix": finding.fix},
    }
    if finding.file:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.file), "uriBaseId": "%SRCROOT%"}}
        if finding.line > 0:
            place["region"] = {"startLine": finding.line}
        result["locations"] = [{"physicalLocation": place}]
    return result
