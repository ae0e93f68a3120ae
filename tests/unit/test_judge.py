"""What a pytest run must show to pass, and what its report makes of it."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.sandbox import discovery, frames, judge, supervisor
from schema.messages.sandbox import SandboxRun
from tests.support.plans import PLAN, TEST


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


AMPLIFIED: dict[str, list[dict[str, object]]] = {
    "ids and names": [
        {"kind": "collected", "ids": [f"{n}" for n in range(60_000)]},
        *(dict[str, object](kind="replaced", id=f"{n:03}" + "r" * 1_997) for n in range(400)),
    ],
    "ids of one broken file": [
        {"kind": "broken", "id": "t.py", "message": "\u00e4" * 2_000},
        {"kind": "collected", "ids": [f"t.py::{n}" for n in range(60_000)]},
    ],
    "phases": [{"kind": "phase", "id": f"{n}", "outcome": "failed"} for n in range(35_000)],
    "long ids": [{"kind": "collected", "ids": [f"{n:03}" + "\U0001f600" * 2_000 for n in range(240)]}],
}


@pytest.mark.parametrize("name", AMPLIFIED)
def test_a_report_of_a_candidates_own_is_not_amplified(name: str) -> None:
    report = b"\n".join(json.dumps(entry, ensure_ascii=False).encode() for entry in (*AMPLIFIED[name], FINISHED))
    assert len(report) <= supervisor.MAX_REPORT
    for tests in (judge.verdicts(PLAN, report, None), judge.control_verdicts(PLAN, report, "token")):
        assert len(frames.pack({"tests": tests}, frames.MAX_ANSWER)) < frames.MAX_ANSWER / 4
        assert len(tests) <= judge.MAX_TESTS + 1
        assert sum(len(test["message"]) for test in tests) <= judge.ALL_MESSAGES
        assert any(test["outcome"] != "passed" for test in tests)
        SandboxRun.model_validate(
            {"exit_code": 0, "limit": None, "tests": tests, "stdout": "", "stderr": "", "isolation": "gvisor",
             "usage": {"wall_seconds": 1.0, "cpu_seconds": 1.0, "peak_memory_mb": 1.0}}
        )  # fmt: skip


def test_more_tests_than_can_be_judged_are_told_and_no_pass() -> None:
    ids = [f"test_a.py::test_one[{n}]" for n in range(judge.MAX_TESTS + 1)]
    passes: list[dict[str, object]] = [{"kind": "phase", "id": test, "outcome": "passed"} for test in ids]
    tests = judge.verdicts(PLAN, records({"kind": "collected", "ids": ids}, *passes, FINISHED), None)
    assert (tests[0]["id"], tests[0]["outcome"]) == ("session", "missing")
    assert "more tests than can be judged" in tests[0]["message"]


def test_many_collections_take_no_longer_than_one() -> None:
    ids = [f"test_a.py::test_one[{n}]" for n in range(judge.MAX_TESTS)]
    again: dict[str, object] = {"kind": "collected", "ids": ["test_b.py::x"]}
    report = records({"kind": "collected", "ids": ids}, *[again] * 30_000)
    started = time.process_time()
    judge.verdicts(PLAN, report, None)
    assert time.process_time() - started < 5


def test_the_first_replaced_names_are_told_and_the_others_counted() -> None:
    replaced: list[dict[str, object]] = [{"kind": "replaced", "id": f"{n}" * 100} for n in range(8)]
    (test, *_) = judge.verdicts(PLAN, records(COLLECTED, *replaced, FINISHED), None)
    assert test["outcome"] == "error"
    assert test["message"].endswith("and 3 more")
    assert len(test["message"]) < 500


def test_long_ids_stay_different_and_are_cut() -> None:
    long = [f"test_one[{'x' * 3_000}{n}]" for n in range(2)]
    collected: dict[str, object] = {"kind": "collected", "ids": [f"test_a.py::{name}" for name in long]}
    outcomes = told(collected, phase(long[0]), FINISHED)
    assert sorted(outcomes.values()) == ["missing", "missing", "passed"]
    assert all(len(test) <= judge.MAX_ID for test in outcomes)


@pytest.mark.parametrize("seconds", ["1e999", "NaN", "-1.0", "1e308", "-Infinity"])
def test_seconds_are_a_number_that_can_be(seconds: str) -> None:
    record = f'{{"kind": "phase", "id": "test_a.py::test_one", "outcome": "passed", "seconds": {seconds}}}\n'
    assert all(test["seconds"] == 0.0 for test in judge.verdicts(PLAN, record.encode() * 3, None))
