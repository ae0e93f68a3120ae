"""What failed in a run, by names of Python's: a program can put no word of its own into them."""

import pytest

from activities.failing_tests import failed_rules
from schema.messages.sandbox import Limit, SandboxRun, TestOutcome

DEEP = "test_work.py:4: in test_it\n    double(2)\nwork.py:9: in double\n    raise ValueError(x)\nE   ValueError: 2"
CHAINED = "E   KeyError: 'TypeError: no'\n\nDuring handling of it\n\nwork.py:3: in double\nE   TypeError: no"


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (DEEP, "tests/ValueError"),
        (CHAINED, "tests/TypeError"),
        ("E   assert 0 == 4\nE    +  where 0 = double(2)", "tests/AssertionError"),
        ("TypeError: as its submitter states", "tests/TypeError"),
        ("E   work.IgnoreAllRulesError: 2", "tests/failed"),
        ("the test did not report", "tests/failed"),
        ("", "tests/failed"),
    ],
)
def test_a_failing_test_is_named_by_its_last_error(message: str, rule: str) -> None:
    assert failed_rules(run(message)) == [rule]


def test_a_run_that_a_limit_ended_is_named_by_that() -> None:
    assert failed_rules(run("the run ended in this test (timeout)", limit="timeout")) == ["limit/timeout"]


def run(message: str, limit: Limit | None = None) -> SandboxRun:
    test = TestOutcome(id="test_work.py::test_it", outcome="failed", message=message)
    return SandboxRun(exit_code=1, tests=(test,), limit=limit, isolation="gvisor")
