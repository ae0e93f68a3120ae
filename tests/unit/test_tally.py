"""The count of a vote and its explanation."""

import re
from fractions import Fraction
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schema.explained import by_category
from schema.messages.consensus import CastBallot
from schema.messages.vote import (
    Ballot,
    Choice,
    Evidence,
    Explanation,
    LateBallot,
    Objection,
    VoteOutcome,
    VotePolicy,
    Voter,
    VoterRecord,
)
from workflows.tally import ballots_of, surviving_objections, tally

PASSED = Evidence(tests_passed=3, tests_failed=0, lines={"a.py": 10})
FAILED = Evidence(tests_passed=2, tests_failed=1, lines={"a.py": 10})
FOUND = Evidence(tests_passed=3, tests_failed=0, lines={"a.py": 10}, findings={"S1": "high"})
POLICY = VotePolicy()
SHOWN = Objection(category="correctness", severity="high", where="a.py:3", evidence=("diff",))
LIES = [
    Objection(category="tests", severity="high", where="a.py:3", evidence=("diff",)),
    Objection(category="correctness", severity="high", where="a.py:3", evidence=("tests",)),
    Objection(category="correctness", severity="high", where="a.py:11", evidence=("diff",)),
    Objection(category="correctness", severity="high", where="b.py:1", evidence=("diff",)),
    Objection(category="security", severity="high", where="a.py:3", evidence=("S9",)),
    Objection(category="security", severity="high", where="a.py:3", evidence=()),
]


def cast(voter: Voter, choice: Choice, *objections: Objection, said: str = "") -> CastBallot:
    ballot = Ballot(choice=choice, confidence=0.9, rationale=said, evidence=("diff",), objections=objections)
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
    for lie in LIES:
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
    assert explanation.flip_cost == 100


def test_the_second_round_tells_what_the_first_came_to() -> None:
    explanation = tally(POLICY, PASSED, all_say("approve"), number=2, round_one="undecided")
    assert (explanation.round, explanation.round_one_outcome, explanation.outcome) == (2, "undecided", "approved")


def test_a_person_is_asked_by_what_each_side_says_and_nobody_is_named() -> None:
    policy = VotePolicy(threshold=0.9, reject_threshold=0.9)
    weak = Objection(category="maintainability", severity="low", where="a.py:1", evidence=("diff",))
    ballots = [
        cast("reviewer", "approve", said="It is\nclear."),
        cast("security", "reject", weak, SHOWN, said="x" * 300),
    ]
    explanation = tally(policy, PASSED, [*ballots, cast("tester", "approve"), absent("architect")])
    assert explanation.question == (
        "Is this candidate to be accepted? The vote did not decide: 69% of the weight approves, where 90% are needed, "
        "and 31% rejects, where 90% are; 3 of 3 tests passed. For it: “It is clear.” "
        f"Against it: “{'x' * 199}…” "
        "Objections that the evidence bears: high correctness at a.py:3, low maintainability at a.py:1."
    )
    assert tally(POLICY, PASSED, all_say("approve")).question is None


def test_a_person_is_told_that_too_few_ballots_count() -> None:
    asked = tally(POLICY, PASSED, [cast("reviewer", "approve"), *map(absent, list(POLICY.voters)[1:])]).question
    assert asked is not None
    assert "but only 1 of the 2 ballots that a decision needs carry weight" in asked
    assert "No objection is borne by the evidence." in asked


def test_objections_are_shown_by_category_and_the_gravest_that_survives_first() -> None:
    lie, mild = SHOWN.model_copy(update={"where": "b.py:1"}), SHOWN.model_copy(update={"severity": "low"})
    other = SHOWN.model_copy(update={"category": "security"})
    explanation = tally(POLICY, PASSED, [cast("reviewer", "reject", lie, mild), cast("tester", "reject", other, SHOWN)])
    grouped = by_category(explanation)
    assert list(grouped) == ["correctness", "security"]
    assert [each.objection for each in grouped["correctness"]] == [SHOWN, mild, lie]


def test_the_rows_of_a_round_hold_what_it_counted_and_what_came_too_late() -> None:
    explanation = tally(POLICY, PASSED, [cast("reviewer", "approve"), absent("tester"), absent("security")])
    late = LateBallot(voter="tester", round=1, choice="reject", confidence=0.4)
    rows = ballots_of(explanation, [late, late.model_copy(update={"voter": "security", "round": 2})])
    assert [(row.voter, row.choice, row.confidence, row.weight, row.effective_weight, row.late) for row in rows] == [
        ("reviewer", "approve", 0.9, 3000, 3000, False),
        ("tester", "reject", 0.4, 2500, 0, True),
        ("security", "absent", None, 2500, 0, False),
    ]


VOTERS: tuple[Voter, ...] = get_args(Voter)
OBJECTIONS = st.sampled_from([SHOWN, *LIES, Objection(category="security", severity="high", evidence=("S1",))])
BALLOTS = st.builds(
    Ballot,
    choice=st.sampled_from(get_args(Choice)),
    confidence=st.integers(0, 10).map(lambda tenths: tenths / 10),
    rationale=st.sampled_from(["", "The tests fail.", "All tests pass."]),
    evidence=st.sampled_from([(), ("tests",), ("S9",)]),
    objections=st.lists(OBJECTIONS, max_size=2).map(tuple),
)
CASTS = st.tuples(*(st.builds(CastBallot, voter=st.just(voter), ballot=st.none() | BALLOTS) for voter in VOTERS))
SHARED = st.fixed_dictionaries(dict.fromkeys(VOTERS, st.integers(0, 20)))
RECORDS = st.tuples(
    *(
        st.builds(
            VoterRecord, voter=st.just(voter), judged=st.just(20), agreed=st.integers(0, 20),
            shared=st.just(dict.fromkeys(VOTERS, 20)), same=SHARED,
        )
        for voter in VOTERS
    )
)  # fmt: skip
EVIDENCE = st.sampled_from([PASSED, FAILED, FOUND])
POLICIES = st.builds(
    VotePolicy,
    voters=st.fixed_dictionaries(dict.fromkeys(VOTERS, st.integers(1, 5000))),
    quorum=st.none() | st.integers(1, 4),
    threshold=st.sampled_from([0.51, 0.6, 1.0]),
    reject_threshold=st.sampled_from([0.5, 0.9]),
)


@given(POLICIES, EVIDENCE, CASTS, RECORDS, st.sampled_from(VOTERS), st.integers(0, 5000))
def test_more_weight_behind_a_yes_never_makes_an_outcome_worse(
    policy: VotePolicy,
    evidence: Evidence,
    ballots: tuple[CastBallot, ...],
    records: tuple[VoterRecord, ...],
    voter: Voter,
    more: int,
) -> None:
    before = tally(policy, evidence, ballots, records=records)
    if next(row for row in before.voters if row.role == voter).choice != "approve":
        return
    heavier = VotePolicy(**{**dict(policy), "voters": {**policy.voters, voter: policy.voters[voter] + more}})
    after = tally(heavier, evidence, ballots, records=records).outcome
    better: list[VoteOutcome] = ["rejected", "undecided", "approved"]
    assert better.index(after) >= better.index(before.outcome)


@given(POLICIES, EVIDENCE, CASTS, RECORDS)
def test_shares_sum_to_one_and_who_has_no_say_has_no_power(
    policy: VotePolicy, evidence: Evidence, ballots: tuple[CastBallot, ...], records: tuple[VoterRecord, ...]
) -> None:
    rows = tally(policy, evidence, ballots, records=records).voters
    for shares in ([row.banzhaf for row in rows], [row.shapley_shubik for row in rows]):
        assert sum(shares) == pytest.approx(1 if any(row.effective_weight for row in rows) else 0)
        assert not any(share for share, row in zip(shares, rows, strict=True) if not row.effective_weight)
        assert all(
            share == other
            for share, row in zip(shares, rows, strict=True)
            for other, twin in zip(shares, rows, strict=True)
            if row.effective_weight == twin.effective_weight
        )


@given(POLICIES, EVIDENCE, CASTS, RECORDS)
def test_an_absent_voter_is_never_a_yes_and_the_order_decides_nothing(
    policy: VotePolicy, evidence: Evidence, ballots: tuple[CastBallot, ...], records: tuple[VoterRecord, ...]
) -> None:
    outcome = tally(policy, evidence, ballots, records=records).outcome
    assert tally(policy, evidence, ballots[::-1], records=records).outcome == outcome
    present = [cast for cast in ballots if cast.ballot is not None]
    assert tally(policy, evidence, present, records=records).outcome == outcome


@given(POLICIES, EVIDENCE, CASTS)
@settings(max_examples=50)
def test_the_flip_flips_and_nothing_cheaper_does(
    policy: VotePolicy, evidence: Evidence, ballots: tuple[CastBallot, ...]
) -> None:
    explanation = tally(policy, evidence, ballots)
    found = []
    # Every other way in which the four could have voted, by the rule of the design and no code of ours.
    for choices in product(["as it was", "approve", "reject", "abstain"], repeat=4):
        changed = {voter: choice for voter, choice in zip(VOTERS, choices, strict=True) if choice != "as it was"}
        same = any(row.choice == changed.get(row.role) for row in explanation.voters)
        hopeless = evidence.tests_failed and "approve" in changed.values()
        if (
            not same
            and not hopeless
            and by_hand(policy, evidence, ballots, explanation, changed) != explanation.outcome
        ):
            found.append((len(changed), sum(policy.voters[voter] for voter in changed)))
    assert (explanation.flip is None) == (not found)
    if explanation.flip is not None:
        assert (len(explanation.flip), explanation.flip_cost) == min(found)
        told = [re.fullmatch(r"(\w+): (\w+) → (\w+)", line) for line in explanation.flip]
        changed = {match[1]: match[3] for match in told if match}  # type: ignore[misc]
        assert by_hand(policy, evidence, ballots, explanation, changed) != explanation.outcome


def by_hand(
    policy: VotePolicy,
    evidence: Evidence,
    ballots: tuple[CastBallot, ...],
    explanation: Explanation,
    changed: dict[Voter, str],
) -> VoteOutcome:
    """The outcome with some choices changed, reckoned from what the explanation says."""
    sides: dict[str, list[int]] = {"approve": [], "reject": []}
    for row in explanation.voters:
        side = changed.get(row.role, row.choice)
        weight = row.weight if row.role in changed else row.effective_weight
        if side in sides and weight:
            sides[side].append(weight)
    security = next(cast.ballot for cast in ballots if cast.voter == "security")
    cited = security and any(objection.evidence == ("S1",) for objection in security.objections)
    objects = cited and security and security.choice == "reject" and "security" not in changed
    if policy.veto and evidence is FOUND and objects:
        return "rejected"
    approving, rejecting = sum(sides["approve"]), sum(sides["reject"])
    total = approving + rejecting
    if not total or len(sides["approve"] + sides["reject"]) < policy.quorum_needed:
        return "undecided"
    if Fraction(approving, total) >= Fraction(str(policy.threshold)):
        return "approved"
    return "rejected" if Fraction(rejecting, total) >= Fraction(str(policy.reject_threshold)) else "undecided"
