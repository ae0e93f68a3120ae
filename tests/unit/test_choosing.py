"""Which candidate goes on."""

import pytest

from schema.messages.steps import Proof
from schema.messages.task import AutoFix
from workflows.choosing import best_of, improves, mends, verdict_on_tests, wants_model


def proof(name: str, *, passed: int, failed: int = 0, size: int = 100) -> Proof:
    return Proof(
        candidate=name * 64,
        report="0" * 64,
        passed=failed == 0,
        tests_passed=passed,
        tests_failed=failed,
        isolation="gvisor",
        size_bytes=size,
        lines={},
    )


def test_the_one_that_passed_comes_before_those_that_passed_more_tests() -> None:
    assert best_of([proof("a", passed=9, failed=1), proof("b", passed=3)]) == proof("b", passed=3)


def test_of_those_that_failed_the_one_with_most_tests_passed() -> None:
    best = best_of([proof("a", passed=1, failed=2), proof("b", passed=2, failed=1)])
    assert best is not None
    assert best.candidate[0] == "b"


def test_of_equals_the_smallest_then_the_first() -> None:
    best = best_of([proof("a", passed=3, size=20), proof("b", passed=3, size=10), proof("c", passed=3, size=10)])
    assert best is not None
    assert best.candidate[0] == "b"


def test_lost_candidates_are_left_out() -> None:
    assert best_of([None, proof("a", passed=0, failed=1)]) == proof("a", passed=0, failed=1)
    assert best_of([None, None]) is None


def test_the_verdict_tells_how_near_the_best_came() -> None:
    assert verdict_on_tests(proof("a", passed=1, failed=2)) == (
        "no candidate passed the acceptance tests; the best passed 1 of 3"
    )


def weighed(name: str, *, passed: int = 2, failed: int = 0, repairable: int = 0, **weights: int) -> Proof:
    return proof(name, passed=passed, failed=failed).model_copy(update={"weights": weights, "repairable": repairable})


def test_of_equals_the_one_with_the_least_findings_before_the_smallest() -> None:
    small = weighed("a", lint=10).model_copy(update={"size_bytes": 1})
    assert best_of([small, weighed("b")]) == weighed("b")


def test_a_repair_that_ends_a_finding_and_brings_none_is_kept() -> None:
    assert mends(weighed("a", lint=11, security=10), weighed("b", lint=1, security=10))


@pytest.mark.parametrize(
    "after",
    [
        weighed("b", lint=10, security=10),
        weighed("b", passed=1),
        weighed("b", failed=1),
        weighed("b", lint=1, security=1),
        weighed("b", lint=11),
    ],
    ids=["another guard finds more", "fewer pass", "more fail", "a little of another guard's", "nothing is better"],
)
def test_a_repair_is_dropped_where_anything_is_worse_or_nothing_better(after: Proof) -> None:
    assert not mends(weighed("a", lint=11), after)


def test_what_shows_once_a_file_can_be_read_is_not_held_against_who_made_it_readable() -> None:
    broken = weighed("a", passed=0, failed=2, syntax=100)
    assert mends(broken, weighed("b", lint=1, security=10, dependencies=100))
    assert not mends(broken, weighed("b", secrets=100))


@pytest.mark.parametrize(
    ("best", "model", "wanted"),
    [
        (weighed("a", repairable=1), True, True),
        (weighed("a", lint=5), True, False),
        (weighed("a", failed=1), True, True),
        (weighed("a", failed=1, repairable=1), False, False),
    ],
    ids=["findings of weight", "trifles", "failing tests", "switched off"],
)
def test_a_model_is_asked_for_what_fails_and_what_weighs(best: Proof, model: bool, wanted: bool) -> None:
    assert wants_model(best, AutoFix(model=model)) is wanted


def test_a_rewrite_that_passes_more_tests_may_add_lint_but_no_danger() -> None:
    failing = weighed("a", passed=1, failed=1)
    better = {"passed": 2, "failed": 0}
    assert improves(failing, weighed("b", **better, lint=3))
    assert not improves(failing, weighed("c", **better, secrets=100))
    assert not improves(failing, weighed("d", passed=0, failed=2))
    # What nobody could read before is not held against the first version that can be read.
    unreadable = weighed("a", passed=0, failed=2, syntax=100)
    assert improves(unreadable, weighed("b", **better, security=10))
    assert not improves(unreadable, weighed("b", **better, secrets=100))
