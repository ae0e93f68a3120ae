"""What rationales claim of the tests."""

import pytest

from workflows.claims import claims


@pytest.mark.parametrize(
    "rationale",
    [
        "The tests fail.",
        "Two acceptance tests fail because zip stops early.",
        "The code fails the unit tests!",
        "Looks fine. But three tests are failing; reject.",
        "It fails 2 tests.",
        "The tests do not pass.",
        "The tests don’t pass",
        "Reject because of failing tests.",
        "There are several failing test cases.",
        "The test suite fails - reject.",
        "The candidate does not pass the tests.",
    ],
)
def test_a_claim_of_failing_tests_is_found(rationale: str) -> None:
    assert claims(rationale) == {"failing"}


@pytest.mark.parametrize(
    "rationale",
    [
        "No tests fail.",
        "None of the tests fail.",
        "The tests never fail.",
        "The tests would fail if the list were empty.",
        "If x is None, the tests fail.",
        "I could not make the tests fail.",
        "Do the tests fail?",
        "The tests are written to fail on purpose for bad input",
        "The tests fail to cover the empty list.",
        "A division that fails is tested.",
        "The function fails for negative numbers, which no test covers.",
        "0 tests failed.",
        "Without the guard its tests fail.",
        "Earlier the tests failed, now they are green.",
        "Previously failing tests now pass.",
        "The developer says the tests fail.",
        "Not all tests pass",
        "Only some tests pass.",
        "Most of the tests pass.",
        "2 of the 3 tests pass.",
        "All tests passed except one.",
        "If all tests pass, I approve.",
        "All tests pass apart from test_empty.",
        "It fails to pass all tests.",
        "Make all tests pass.",
        "Passes all tests in test_a.py; test_b.py fails.",
        "The tests pass a list, and the code expects a tuple.",
        "The tests pass 'None' on.",
        "The previous attempt failed two tests; this one is right.",
        "The original code failed all tests, the candidate passes them.",
        "Mutating line 3 makes the tests fail, so they are meaningful.",
        "The tests fail fast on bad input.",
        "Counts failed tests correctly.",
        "A retry is made after a test fails.",
        "I disagree that the tests fail.",
        "",
    ],
)
def test_what_is_denied_supposed_or_past_is_no_claim(rationale: str) -> None:
    assert claims(rationale) == set()


@pytest.mark.parametrize(
    "rationale",
    [
        "All tests pass.",
        "Every acceptance test passed.",
        "The tests pass and the code is clear.",
        "It passes all tests.",
        "Tests pass.",
        "Passes the tests",
        "The test suite passes (it is green).",
    ],
)
def test_a_claim_that_all_pass_is_found(rationale: str) -> None:
    assert claims(rationale) == {"passing"}
