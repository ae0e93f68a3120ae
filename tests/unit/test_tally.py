"""The count of a vote and its explanation."""

from hypothesis import given
from hypothesis import strategies as st

from schema.messages.steps import CastBallot
from schema.messages.vote import Ballot, Choice, Evidence, Explanation, Objection, VotePolicy, Voter
from workflows.deciding import Cast, decide
from workflows.tally import surviving_objections, tally

PASSED = Evidence(tests_passed=3, tests_failed=0, lines={"a.py": 10})
FAILED = Evidence(tests_passed=2, tests_failed=1, lines={"a.py": 10})
FOUND = Evidence(tests_passed=3, tests_failed=0, lines={"a.py": 10}, findings={"S1": "high"})
POLICY = VotePolicy()
SHOWN = Objection(category="correctness", severity="high", where="a.py:3", evidence=("diff",))


def cast(voter: Voter, choice: Choice, *objections: Objection) -> CastBallot:
    ballot = Ballot(choice=choice, confidence=0.9, rationale="", evidence=("diff",), objections=objections)
    return CastBallot(voter=voter, ballot=ballot)


def absent(voter: Voter) -> CastBallot:
    return CastBallot(voter=voter, ballot=None)


def all_say(choice: Choice, *objections: Objection) -> list[CastBallot]:
    return [cast(voter, choice, *objections) for voter in POLICY.voters]


def account(explanation: Explanation, voter: Voter) -> tuple[int, tuple[str, ...]]:
    row = next(row for row in explanation.voters if row.role == voter)
    return row.effective_weight, row.reasons


def test_four_approvals_of_passed_tests_approve() -> None:
    explanation = tally(POLICY, PASSED, all_say("approve"))
    assert explanation.outcome == "approved"
    assert explanation.summary == "approved: 100% of the weight approves, 60% are needed"


def test_approving_what_failed_its_tests_weighs_nothing() -> None:
    explanation = tally(POLICY, FAILED, all_say("approve"))
    assert explanation.outcome == "undecided"
    assert account(explanation, "tester") == (0, ("approves although 1 tests failed",))


def test_rejecting_without_an_objection_weighs_nothing() -> None:
    explanation = tally(POLICY, PASSED, [cast("reviewer", "reject"), *all_say("approve")[1:]])
    weight, reasons = account(explanation, "reviewer")
    assert weight == 0
    assert "without an objection" in reasons[0]
    assert explanation.outcome == "approved"


def test_an_objection_must_cite_evidence_that_bears_it() -> None:
    lies = [
        Objection(category="tests", severity="high", where="a.py:3", evidence=("diff",)),
        Objection(category="correctness", severity="high", where="a.py:3", evidence=("tests",)),
        Objection(category="correctness", severity="high", where="a.py:11", evidence=("diff",)),
        Objection(category="correctness", severity="high", where="b.py:1", evidence=("diff",)),
        Objection(category="security", severity="high", where="a.py:3", evidence=("S9",)),
        Objection(category="security", severity="high", where="a.py:3", evidence=()),
    ]
    for lie in lies:
        explanation = tally(POLICY, PASSED, [cast("reviewer", "reject", lie)])
        assert account(explanation, "reviewer")[0] == 0, lie
        assert not explanation.objections[0].survives
        assert explanation.objections[0].reason


def test_rejections_with_a_shown_fault_reject() -> None:
    explanation = tally(POLICY, PASSED, all_say("reject", SHOWN))
    assert explanation.outcome == "rejected"
    assert surviving_objections(explanation) == ("high correctness at a.py:3, evidence: diff",)


def test_failing_tests_bear_a_rejection() -> None:
    objection = Objection(category="tests", severity="high", evidence=("tests",))
    assert tally(POLICY, FAILED, all_say("reject", objection)).outcome == "rejected"


def test_security_vetoes_with_a_cited_finding_of_high_severity() -> None:
    objection = Objection(category="security", severity="high", evidence=("S1",))
    ballots = [cast("security", "reject", objection), *[cast(v, "approve") for v in POLICY.voters if v != "security"]]
    assert tally(POLICY, FOUND, ballots).outcome == "rejected"
    assert tally(POLICY, FOUND, ballots).veto == "security vetoed: a finding of high severity"
    assert tally(VotePolicy(veto=False), FOUND, ballots).outcome == "approved"


def test_nobody_but_security_vetoes() -> None:
    objection = Objection(category="security", severity="high", evidence=("S1",))
    ballots = [cast("tester", "reject", objection), *[cast(v, "approve") for v in POLICY.voters if v != "tester"]]
    assert tally(POLICY, FOUND, ballots).outcome == "approved"


def test_absent_and_abstaining_voters_are_never_a_yes() -> None:
    ballots = [cast("reviewer", "approve"), absent("security"), cast("tester", "abstain"), absent("architect")]
    explanation = tally(POLICY, PASSED, ballots)
    assert explanation.outcome == "undecided"
    assert explanation.summary == "undecided: 1 of 2 ballots that a decision needs carry weight"


def test_no_ballot_of_weight_is_undecided_whatever_the_quorum() -> None:
    explanation = tally(VotePolicy(quorum=1), PASSED, [absent(voter) for voter in POLICY.voters])
    assert explanation.outcome == "undecided"
    assert explanation.summary == "undecided: no ballot carries weight"


def test_the_explanation_names_who_was_pivotal_and_what_flips_it() -> None:
    policy = VotePolicy(voters={"reviewer": 5000, "security": 4900, "tester": 100}, threshold=0.51)
    ballots = [cast("reviewer", "approve"), cast("security", "reject", SHOWN), cast("tester", "approve")]
    explanation = tally(policy, PASSED, ballots)
    assert explanation.outcome == "approved"
    assert [round(row.banzhaf, 3) for row in explanation.voters] == [0.6, 0.2, 0.2]
    assert {row.role: row.outcome_without for row in explanation.voters} == {
        "reviewer": "rejected",
        "security": "approved",
        "tester": "undecided",
    }
    assert explanation.flip == ("tester: approve → reject",)


def test_the_second_round_tells_what_the_first_came_to() -> None:
    explanation = tally(POLICY, PASSED, all_say("approve"), number=2, round_one="undecided")
    assert (explanation.round, explanation.round_one_outcome, explanation.outcome) == (2, "undecided", "approved")


SIDES = st.sampled_from(["approve", "reject", "abstain", "absent"])
CASTS = st.lists(st.tuples(SIDES, st.integers(0, 5000)), min_size=4, max_size=4)


@given(CASTS, st.integers(0, 3), st.integers(0, 5000))
def test_more_weight_behind_a_yes_never_turns_approved_into_anything_else(
    sides: list[tuple[str, int]], index: int, more: int
) -> None:
    casts = [Cast(voter, side, weight) for voter, (side, weight) in zip(POLICY.voters, sides, strict=True)]  # type: ignore[arg-type]
    before = decide(POLICY, casts)
    if casts[index].side == "approve" and before == "approved":
        casts[index] = Cast(casts[index].voter, "approve", casts[index].weight + more)
        assert decide(POLICY, casts) == "approved"


@given(CASTS)
def test_the_order_of_the_voters_decides_nothing(sides: list[tuple[str, int]]) -> None:
    casts = [Cast(voter, side, weight) for voter, (side, weight) in zip(POLICY.voters, sides, strict=True)]  # type: ignore[arg-type]
    assert decide(POLICY, casts) == decide(POLICY, casts[::-1])
