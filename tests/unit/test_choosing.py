"""Which candidate goes on."""

from schema.messages.steps import Proof
from workflows.choosing import best_of, verdict_on_tests


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
