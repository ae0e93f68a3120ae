"""What a developer is shown of a candidate that is to be mended: what failed and what was found, and little else."""

import json

from activities.briefs import Brief, Material
from activities.faults import failing_assertion, failures, told_to_voters
from schema.messages.sandbox import Finding, SandboxRun, TestOutcome
from schema.messages.task import TaskSpec
from schema.messages.vote import Evidence
from tests.support.specs import spec

DEEP = """test_work.py:4: in test_it
    assert double(2) == 4
work.py:9: in double
    return twice(x)
helpers.py:3: in twice
    return add(x, x)
helpers.py:7: in add
    raise ValueError(x)
E   ValueError: 2"""
SHELL = Finding(
    id="security-1",
    guard="security",
    rule="B605",
    severity="high",
    file="work.py",
    line=4,
    message="a shell",
    fix="model",
)
SECRET = Finding(
    id="secrets-1", guard="secrets", rule="aws-key", severity="high", file="work.py", line=1, message="a key"
)
CODE = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"


def report(outcome: str, message: str = "", *findings: Finding) -> SandboxRun:
    test = TestOutcome.model_validate({"id": "test_work.py::test_it", "outcome": outcome, "message": message})
    return SandboxRun(exit_code=int(outcome != "passed"), tests=(test,), findings=findings, isolation="gvisor")


def test_of_a_deep_traceback_the_assertion_and_the_place_of_the_error_are_shown() -> None:
    shown = failing_assertion(DEEP)
    assert "assert double(2) == 4" in shown
    assert "raise ValueError(x)\nE   ValueError: 2" in shown
    assert "twice" not in shown


def test_a_failing_report_tells_its_failing_tests_alone() -> None:
    assert failures(report("failed", "E   assert 0 == 4", SHELL)) == "test_work.py::test_it: failed\nE   assert 0 == 4"


def test_the_developer_sees_a_finding_with_the_code_around_it_but_no_secret() -> None:
    task = TaskSpec.model_validate_json(json.dumps(spec("A task")))
    candidate = json.dumps({"files": {"work.py": CODE}})
    brief = Brief(Material(spec=task, candidate=candidate, report=report("passed", "", SHELL, SECRET))).for_developer()

    assert "work.py:4: security B605 (high): a shell\n   2 two\n   3 three\n   4 four\n   5 five\n   6 six" in brief
    assert "aws-key" not in brief
    assert "what failed" not in brief


def test_a_voter_reads_what_a_finding_says_behind_its_id() -> None:
    evidence = Evidence(tests_passed=1, tests_failed=0, findings={"security-1": "high", "other": "low"})
    told = told_to_voters(evidence, report("passed", "", SHELL)).splitlines()
    assert told == ["security-1: severity high, work.py:4: security B605 (high): a shell", "other: severity low"]
