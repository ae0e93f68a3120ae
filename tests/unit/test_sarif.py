"""Findings as SARIF 2.1.0: what the standard requires of each object is there."""

import json

from schema.messages.sandbox import Finding
from schema.sarif import to_sarif

FINDINGS = (
    Finding(
        id="security-1", guard="security", rule="B602", severity="high", file="a b/é.py", line=3, message="a shell"
    ),
    Finding(id="lint-1", guard="lint", rule="F401", severity="low", file="a.py", line=0, message="unused"),
    Finding(id="lint-2", guard="lint", rule="F401", severity="low", file="a.py", line=9, message="unused"),
    Finding(id="scope-1", guard="scope", rule="many-files", severity="medium", message="many"),
)


def test_the_log_has_what_the_standard_requires() -> None:
    log = json.loads(json.dumps(to_sarif(FINDINGS, "1.2.3")))
    (run,) = log["runs"]
    driver = run["tool"]["driver"]

    assert (log["version"], log["$schema"].rsplit("/", 1)[-1]) == ("2.1.0", "sarif-schema-2.1.0.json")
    assert (driver["name"], driver["version"]) == ("Golden", "1.2.3")
    assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"]) == 3
    assert [result["message"]["text"] for result in run["results"]] == [finding.message for finding in FINDINGS]
    assert {result["level"] for result in run["results"]} <= {"none", "note", "warning", "error"}


def test_each_result_names_its_rule_by_id_and_index() -> None:
    (run,) = to_sarif(FINDINGS, "1")["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


def test_a_place_is_a_relative_uri_and_a_line_from_one() -> None:
    (run,) = to_sarif(FINDINGS, "1")["runs"]
    places = [result.get("locations", [{}])[0].get("physicalLocation") for result in run["results"]]

    assert places[0]["artifactLocation"]["uri"] == "a%20b/%C3%A9.py"
    assert places[0]["region"] == {"startLine": 3}
    assert "region" not in places[1]
    assert places[3] is None


def test_no_findings_are_a_run_without_results() -> None:
    assert to_sarif((), "1")["runs"][0]["results"] == []
