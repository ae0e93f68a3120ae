"""What evidence and records take from a ballot, and by which rule."""

from typing import Any

import pytest

from schema.messages.consensus import CastBallot
from schema.messages.vote import Ballot, Evidence, Explanation, Objection, Reduction, VotePolicy, Voter, VoterRecord
from workflows.tally import tally
from workflows.weighing import left_of

PASSED = Evidence(tests_passed=3, tests_failed=0, lines={"a.py": 10}, findings={"S1": "high", "L1": "low"})
FAILED = Evidence(tests_passed=2, tests_failed=1, lines={"a.py": 10})
SHOWN = Objection(category="correctness", severity="high", where="a.py:3", evidence=("diff",))
POLICY = VotePolicy(voters={"reviewer": 3000, "security": 3000, "tester": 3001})


def ballot(choice: str = "approve", **fields: Any) -> Ballot:
    return Ballot.model_validate(
        {"choice": choice, "confidence": 0.9, "rationale": "", "evidence": ("diff",), **fields}
    )


def explained(
    *ballots: Ballot | None, evidence: Evidence = PASSED, records: tuple[VoterRecord, ...] = ()
) -> Explanation:
    """Votes of the reviewer, security and the tester, in that order."""
    cast = [CastBallot(voter=voter, ballot=each) for voter, each in zip(POLICY.voters, ballots, strict=False)]
    return tally(POLICY, evidence, cast, records=records)


def taken(explanation: Explanation, index: int = 0) -> list[tuple[str, float]]:
    """Each rule that took from a voter, and the factor; and what is left is their product, as its reasons say."""
    account = explanation.voters[index]
    assert account.effective_weight == left_of(account.weight, account.reductions)
    assert [reduction.reason for reduction in account.reductions] == list(account.reasons)
    return [(reduction.rule, reduction.factor) for reduction in account.reductions]


def objecting(**changes: Any) -> Ballot:
    return ballot("reject", objections=(SHOWN, SHOWN.model_copy(update=changes)))


CONTRADICTED: dict[str, tuple[Ballot, Evidence]] = {
    "approves what failed": (ballot(), FAILED),
    "cites evidence that isn't there": (ballot(evidence=("tests", "S9")), PASSED),
    "objects by a finding that isn't there": (objecting(evidence=("S9",)), PASSED),
    "objects by tests that all passed": (objecting(evidence=("tests",)), PASSED),
    "objects to failing tests where all passed": (objecting(category="tests"), PASSED),
    "objects to a line that isn't there": (objecting(where="a.py:11"), PASSED),
    "objects to line 0": (objecting(where="a.py:0", evidence=("S1",)), PASSED),
    "objects to a line beyond all files": (objecting(where="a.py:99999999"), PASSED),
    "objects to a file that isn't there": (objecting(where="b.py:1"), PASSED),
}


@pytest.mark.parametrize("case", CONTRADICTED)
def test_a_ballot_that_the_evidence_contradicts_weighs_nothing(case: str) -> None:
    said, evidence = CONTRADICTED[case]
    assert taken(explained(said, evidence=evidence)) == [("contradicted", 0)]


def test_a_failing_test_may_be_shown_at_a_line_of_its_own() -> None:
    shown = Objection(category="tests", severity="high", where="test_a.py:7", evidence=("tests",))
    assert taken(explained(ballot("reject", objections=(shown,)), evidence=FAILED)) == []


@pytest.mark.parametrize("where", ["./a.py:3", "a.py:3:8"])
def test_a_line_is_found_as_tools_write_it(where: str) -> None:
    assert taken(explained(objecting(where=where))) == []


@pytest.mark.parametrize("where", ["a.py:1\n", "a.py:١", "a.py:+1", "everywhere"])
def test_what_names_no_line_bears_nothing(where: str) -> None:
    vague = SHOWN.model_copy(update={"where": where})
    assert taken(explained(ballot("reject", objections=(vague,)))) == [("unsupported", 0)]


def test_where_no_tests_ran_nobody_is_contradicted_by_them() -> None:
    nothing = PASSED.model_copy(update={"tests_passed": 0})
    assert taken(explained(objecting(category="tests"), evidence=nothing)) == []


def test_a_rejection_that_shows_nothing_is_unsupported() -> None:
    assert taken(explained(ballot("reject"))) == [("unsupported", 0)]


def test_a_ballot_that_cites_nothing_counts_half() -> None:
    assert taken(explained(ballot(evidence=()))) == [("no-evidence", 0.5)]


def test_false_words_about_the_tests_count_half_and_true_ones_whole() -> None:
    assert taken(explained(ballot(rationale="The tests fail."))) == [("contradicted", 0.5)]
    assert taken(explained(ballot(rationale="All tests pass."))) == []
    true = ballot("reject", rationale="The tests fail.", objections=(SHOWN,))
    assert taken(explained(true, evidence=FAILED)) == []
    assert taken(explained(true.model_copy(update={"rationale": "All tests pass."}), evidence=FAILED)) == [
        ("contradicted", 0.5)
    ]


def test_a_veto_by_a_real_finding_stands_whatever_else_the_ballot_says() -> None:
    found = Objection(category="security", severity="high", where="a.py:3", evidence=("S1",))
    lie = found.model_copy(update={"where": "a.py:99"})
    explanation = explained(ballot(), ballot("reject", objections=(found, lie)), ballot())
    assert (explanation.outcome, explanation.voters[1].effective_weight) == ("rejected", 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"evidence": ("S1",)},
        {"objections": ({"category": "security", "severity": "high", "where": "a.py:99", "evidence": ("S1",)},)},
    ],
)
def test_a_veto_stands_wherever_the_ballot_cites_its_finding(fields: dict[str, Any]) -> None:
    assert explained(ballot(), ballot("reject", **fields), ballot()).veto is not None
    assert explained(ballot(), ballot(**fields), ballot()).veto is None


def record(voter: Voter, agreed: int = 0, judged: int = 0, **same: int) -> VoterRecord:
    """`same` are the votes alike of 20 shared with each other voter."""
    return VoterRecord.model_validate(
        {"voter": voter, "judged": judged, "agreed": agreed, "same": same, "shared": dict.fromkeys(same, 20)}
    )


@pytest.mark.parametrize(
    ("confidence", "agreed", "factor"),
    [(0.9, 14, None), (0.9, 10, 0.8), (1.0, 0, 0.2), (0.1, 20, 0.3), (0.9, 13, 0.95)],
)
def test_confidence_far_from_the_record_costs_what_lies_beyond_a_fifth(
    confidence: float, agreed: int, factor: float | None
) -> None:
    explanation = explained(ballot(confidence=confidence), records=(record("reviewer", agreed, judged=20),))
    assert taken(explanation) == ([("confidence", factor)] if factor is not None else [])


def test_a_short_record_says_nothing_of_confidence_or_agreement() -> None:
    short = record("reviewer", 0, judged=19).model_copy(update={"shared": {"tester": 19}, "same": {"tester": 19}})
    assert taken(explained(ballot(), None, ballot(), records=(short,))) == []


def test_two_who_always_agree_count_as_one_and_the_independent_third_as_itself() -> None:
    records = (record("reviewer", security=20, tester=10), record("security", reviewer=20, tester=10),
               record("tester", reviewer=10, security=10))  # fmt: skip
    explanation = explained(ballot(), ballot(), ballot("reject", objections=(SHOWN,)), records=records)
    assert [taken(explanation, index) for index in range(3)] == [[("agreement", 0.5)], [("agreement", 0.5)], []]
    assert explanation.effective_votes == 2
    # 1500 + 1500 of 6001: without the rule they would have approved by two thirds.
    assert explanation.outcome == "rejected"


def test_whoever_does_not_count_makes_nobody_count_for_less() -> None:
    records = (record("reviewer", security=20), record("security", reviewer=20))
    assert taken(explained(ballot(), ballot("abstain"), ballot(), records=records)) == []
    assert taken(explained(ballot(), ballot(evidence=("S9",)), ballot(), records=records)) == []


def test_three_who_agree_half_of_the_time_beyond_chance_are_half_of_their_number() -> None:
    # ρ = 2 · 15/20 − 1 = 1/2 for each pair: 3 / (1 + 2 · 1/2) = 1.5 votes.
    names = list(POLICY.voters)
    records = tuple(record(name, **{other: 15 for other in names if other != name}) for name in names)
    assert explained(ballot(), ballot(), ballot(), records=records).effective_votes == 1.5


def test_reductions_multiply_and_what_is_left_is_whole_basis_points() -> None:
    halves = [Reduction(rule="no-evidence", factor=0.5, reason="")] * 2
    assert [left_of(weight, halves) for weight in (3001, 3, 0)] == [750, 1, 0]
    assert left_of(10_000, [Reduction(rule="confidence", factor=0.7, reason="")]) == 7000
