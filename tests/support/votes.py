"""An explained vote for tests, with something of everything that can be told."""

from schema.messages.vote import (
    CountedObjection,
    Explanation,
    LateBallot,
    Objection,
    Reduction,
    VoterAccount,
    VoterRecord,
)

VOTE = Explanation(
    outcome="undecided",
    threshold=0.6,
    reject_threshold=0.5,
    quorum=2,
    round=2,
    round_one_outcome="approved",
    voters=(
        VoterAccount(
            role="reviewer",
            choice="approve",
            weight=3000,
            effective_weight=3000,
            confidence=0.9,
            pivotal=True,
            outcome_without="rejected",
            banzhaf=0.5,
            shapley_shubik=0.5,
            rationale="All tests pass.",
        ),
        VoterAccount(
            role="security",
            choice="reject",
            weight=2500,
            effective_weight=1250,
            confidence=0.8,
            outcome_without="approved",
            reasons=("said 0.80 and was right in 5 of 12",),
            reductions=(Reduction(rule="confidence", factor=0.5, reason="said 0.80 and was right in 5 of 12"),),
            record=VoterRecord(voter="security", judged=12, agreed=5, brier=0.31),
        ),
        VoterAccount(role="tester", choice="absent", weight=2500, effective_weight=0, outcome_without="undecided"),
    ),
    flip=("tester: absent → approve",),
    flip_cost=2500,
    effective_votes=1.72,
    late=(LateBallot(voter="tester", round=2, choice="approve", confidence=0.7),),
    question="Is a path that nobody checked acceptable?",
    objections=(
        CountedObjection(
            objection=Objection(category="tests", severity="low"), survives=False, reason="all tests passed"
        ),
        CountedObjection(
            objection=Objection(category="security", severity="medium", where="a.py:3", evidence=("security/1",)),
            survives=True,
        ),
        CountedObjection(objection=Objection(category="security", severity="high", where="a.py:9"), survives=True),
    ),
    summary="undecided: 52% of the weight approves, 60% are needed",
)
