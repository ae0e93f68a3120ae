"""What a pytest run must show to pass, and what its report makes of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox import discovery, judge

TEST = "def test_one():\n    pass\n"
PLAN = judge.Plan(
    arguments=(),
    test_files=("test_a.py",),
    expected=("test_a.py::test_one", "test_a.py::test_two"),
    judges={"test_a.py": TEST},
)


def records(*entries: dict[str, object]) -> bytes:
    return b"\n".join(json.dumps(entry).encode() for entry in entries)


def told(*entries: dict[str, object], limit: str | None = None) -> dict[str, str]:
    return {test["id"]: test["outcome"] for test in judge.verdicts(PLAN, records(*entries), limit)}


def phase(test: str, outcome: str = "passed") -> dict[str, object]:
    return {"kind": "phase", "id": f"test_a.py::{test}", "outcome": outcome, "message": "", "seconds": 0.1}


COLLECTED: dict[str, object] = {"kind": "collected", "ids": ["test_a.py::test_one", "test_a.py::test_two"]}


FINISHED: dict[str, object] = {"kind": "finished", "status": 0}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["pytest"], []),
        (["pytest", "-q"], ["-q"]),
        (["python", "-m", "pytest", "-x"], ["-x"]),
        (["python3", "-m", "pytest"], []),
        (["python", "-m", "unittest"], None),
        (["python", "pytest.py"], None),
        (["sh", "-c", "pytest"], None),
        ([], None),
    ],
)
def test_pytest_forms_are_recognised(command: list[str], arguments: list[str] | None) -> None:
    assert judge.pytest_arguments(command) == arguments


@pytest.mark.parametrize(
    "option",
    ["-k", "-kone", "-m", "--collect-only", "--co", "-pno:python", "-c/work/x.ini", "--rootdir=/", "--deselect=a",
     "--override-ini=a=b", "-oa=b", "--import-mode=prepend", "--ignore=test_a.py", "--capture=fd", "-qk", "@args"],
)  # fmt: skip
def test_options_that_could_change_the_judging_are_refused(option: str) -> None:
    with pytest.raises(judge.UsageError):
        judge.plan(["pytest", option], {}, {"test_a.py": TEST} if option != "@args" else {})


@pytest.mark.parametrize("option", ["-q", "-vv", "-x", "-ra", "--tb=long", "--maxfail=2", "--durations=3", "-qs"])
def test_options_that_only_change_the_telling_are_kept(option: str) -> None:
    plan = judge.plan(["pytest", option], {}, {"test_a.py": TEST})
    assert plan is not None
    assert option in plan.arguments


def test_every_kind_of_test_is_expected_and_nothing_else() -> None:
    source = (
        "import pytest, unittest\n"
        "def test_plain(): pass\nasync def test_async(): pass\ndef helper(): pass\n"
        "@pytest.fixture\ndef test_data(): pass\n@pytest.fixture()\ndef test_more(): pass\n"
        "class TestIt:\n    def test_method(self): pass\n    class TestInner:\n        def test_deep(self): pass\n"
        "class Old(unittest.TestCase):\n    def test_old(self): pass\n"
        "class Plain:\n    def test_not(self): pass\n"
        "class TestMade:\n    def __init__(self): pass\n    def test_not(self): pass\n"
        "class TestOff:\n    __test__ = False\n    def test_not(self): pass\n"
    )
    assert [test.removeprefix("t.py::") for test in discovery.expected_tests("t.py", source)] == [
        "test_plain",
        "test_async",
        "TestIt::test_method",
        "TestIt::TestInner::test_deep",
        "Old::test_old",
    ]


def test_a_test_file_that_can_not_be_read_is_expected_itself() -> None:
    assert list(discovery.expected_tests("t.py", "def test_(:\n")) == ["t.py"]


def test_the_candidates_tests_are_not_expected_where_there_are_others() -> None:
    plan = judge.plan(["pytest"], {"test_mine.py": TEST}, {"test_a.py": TEST})
    assert plan is not None
    assert plan.test_files == ("test_a.py",)
    assert plan.expected == ("test_a.py::test_one",)


def test_targets_choose_files_folders_and_single_tests() -> None:
    tests = {"a/test_a.py": TEST + "def test_two(): pass\n", "b/test_b.py": TEST, "b/checks.py": TEST}

    def expected(*targets: str) -> tuple[str, ...]:
        plan = judge.plan(["pytest", *targets], {}, tests)
        assert plan is not None
        return plan.expected

    assert expected("b") == ("b/test_b.py::test_one",)
    assert expected("b/checks.py") == ("b/checks.py::test_one",)
    assert expected("a/test_a.py::test_two") == ("a/test_a.py::test_two",)
    assert expected(".") == ("a/test_a.py::test_one", "a/test_a.py::test_two", "b/test_b.py::test_one")
    with pytest.raises(judge.UsageError, match="no test file"):
        expected("c")


def test_only_the_tests_bring_configuration() -> None:
    ini = {"pytest.ini": "[pytest]\n", "conftest.py": ""}
    without = judge.plan(["pytest"], ini, {"test_a.py": TEST})
    with_their_own = judge.plan(["pytest"], {}, {"test_a.py": TEST, **ini})
    assert without is not None
    assert with_their_own is not None
    assert {"-c/opt/golden/pytest.ini", "--noconftest"} <= set(without.arguments)
    assert "-cpytest.ini" in with_their_own.arguments
    assert "--noconftest" not in with_their_own.arguments


def test_a_report_of_every_test_and_an_end_is_a_pass() -> None:
    assert told(COLLECTED, phase("test_one"), phase("test_two"), FINISHED) == {
        "test_a.py::test_one": "passed",
        "test_a.py::test_two": "passed",
    }


def test_what_did_not_report_is_missing() -> None:
    assert told(COLLECTED, phase("test_one"), FINISHED)["test_a.py::test_two"] == "missing"
    assert told(FINISHED) == {"test_a.py::test_one": "missing", "test_a.py::test_two": "missing"}


def test_a_run_without_an_end_is_missing_something() -> None:
    assert told(COLLECTED, phase("test_one"), phase("test_two"))["session"] == "missing"
    assert told()["session"] == "missing"


def test_each_parameter_must_report() -> None:
    collected: dict[str, object] = {"kind": "collected", "ids": [f"test_a.py::test_one[{n}]" for n in "ab[::]"]}
    outcomes = told(collected, phase("test_one[a]"), FINISHED)
    assert outcomes["test_a.py::test_one[a]"] == "passed"
    assert outcomes["test_a.py::test_one[b]"] == "missing"
    assert outcomes["test_a.py::test_two"] == "missing"
    assert "test_a.py::test_one" not in outcomes


def test_the_worst_of_several_reports_counts() -> None:
    forged = told(COLLECTED, phase("test_one", "failed"), phase("test_one"), phase("test_two"), FINISHED)
    assert forged["test_a.py::test_one"] == "failed"
    torn_down = told(COLLECTED, phase("test_one"), phase("test_one", "error"), FINISHED)
    assert torn_down["test_a.py::test_one"] == "error"
    assert told(COLLECTED, phase("test_one", "wonderful"), FINISHED)["test_a.py::test_one"] == "error"


def test_a_file_that_can_not_be_imported_tells_why_for_each_of_its_tests() -> None:
    report = records({"kind": "broken", "id": "test_a.py", "message": "no module"}, FINISHED)
    assert {(test["outcome"], test["message"]) for test in judge.verdicts(PLAN, report, None)} == {
        ("error", "no module")
    }


@settings(deadline=None)
@given(st.binary())
def test_no_report_at_all_makes_a_pass_or_a_crash(noise: bytes) -> None:
    assert all(test["outcome"] != "passed" for test in judge.verdicts(PLAN, noise, "timeout"))


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries({"kind": st.sampled_from(["collected", "start", "phase", "broken", "finished"])},
    optional={name: st.none() | st.integers() | st.text() | st.lists(st.text())
              for name in ("id", "ids", "outcome", "message", "seconds")})))  # fmt: skip
def test_records_of_wrong_types_are_borne(entries: list[dict[str, object]]) -> None:
    for test in judge.verdicts(PLAN, records(*entries), None):
        assert isinstance(test["id"], str)
        assert isinstance(test["message"], str)
        test["message"].encode()
        test["id"].encode()
