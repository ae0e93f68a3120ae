"""Counts a vote and explains it. Pure: the same ballots and evidence give the same explanation, always."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations, product
from typing import Literal

from schema.messages.steps import CastBallot
from schema.messages.vote import (
    Evidence,
    Explanation,
    Objection,
    VoteOutcome,
    VotePolicy,
    Voter,
    VoterAccount,
)

from workflows.grounding import Grounded, ground
from workflows.power import banzhaf, shapley_shubik

Side = Literal["approve", "reject", "abstain", "absent"]


@dataclass(frozen=True)
class Cast:
    """One voter's say as it counts."""

    voter: Voter
    side: Side
    weight: int
    vetoes: bool = False


def tally(
    policy: VotePolicy,
    evidence: Evidence,
    ballots: Sequence[CastBallot],
    *,
    number: int = 1,
    round_one: VoteOutcome | None = None,
) -> Explanation:
    """The outcome of one round, and why.

    Args:
        number: of the round.
        round_one: what round 1 came to, where this is a later one.
    """
    grounded = {cast.voter: ground(cast.ballot, cast.voter, policy.voters[cast.voter], evidence) for cast in ballots}
    casts = [
        Cast(cast.voter, _side(cast), grounded[cast.voter].weight, policy.veto and grounded[cast.voter].vetoes)
        for cast in ballots
    ]
    outcome = decide(policy, casts)
    veto = next((f"{cast.voter} vetoed: a finding of high severity" for cast in casts if cast.vetoes), None)
    return Explanation(
        outcome=outcome,
        threshold=policy.threshold,
        reject_threshold=policy.reject_threshold,
        quorum=policy.quorum_needed,
        round=number,
        round_one_outcome=round_one or outcome,
        voters=_accounts(policy, ballots, casts, grounded, outcome),
        veto=veto,
        flip=_flip(policy, evidence, casts, outcome),
        objections=tuple(objection for cast in ballots for objection in grounded[cast.voter].objections),
        summary=_summary(policy, casts, outcome, veto),
    )


def decide(policy: VotePolicy, casts: Iterable[Cast]) -> VoteOutcome:
    """The rule (design §11): a veto rejects; else quorum; else approve at A ≥ threshold × S, reject at
    R ≥ reject threshold × S, where S = A + R is the effective weight of the ballots that take a side."""
    casts = list(casts)
    if any(cast.vetoes for cast in casts):
        return "rejected"
    counting = [cast for cast in casts if cast.weight > 0 and cast.side in ("approve", "reject")]
    if not counting or len(counting) < policy.quorum_needed:
        return "undecided"
    approving = sum(cast.weight for cast in counting if cast.side == "approve")
    rejecting = sum(cast.weight for cast in counting if cast.side == "reject")
    if approving >= _exact(policy.threshold) * (approving + rejecting):
        return "approved"
    if rejecting >= _exact(policy.reject_threshold) * (approving + rejecting):
        return "rejected"
    return "undecided"


def surviving_objections(explanation: Explanation) -> tuple[str, ...]:
    """The objections that their evidence bears, without names, for the voters of the next round."""
    lines = (_objection_line(counted.objection) for counted in explanation.objections if counted.survives)
    return tuple(dict.fromkeys(lines)) or ("none that the evidence bears",)


def _objection_line(objection: Objection) -> str:
    where = f" at {objection.where}" if objection.where else ""
    return f"{objection.severity} {objection.category}{where}, evidence: {', '.join(objection.evidence)}"


def _exact(threshold: float) -> Fraction:
    """0.6 as three fifths, not as the nearest binary fraction."""
    return Fraction(str(threshold))


def _side(cast: CastBallot) -> Side:
    return "absent" if cast.ballot is None else cast.ballot.choice


def _accounts(
    policy: VotePolicy,
    ballots: Sequence[CastBallot],
    casts: Sequence[Cast],
    grounded: dict[Voter, Grounded],
    outcome: VoteOutcome,
) -> tuple[VoterAccount, ...]:
    weights = [cast.weight for cast in casts]
    quota = _exact(policy.threshold) * sum(weights)
    powers = zip(banzhaf(weights, quota), shapley_shubik(weights, quota), strict=True)
    accounts = []
    for cast, ballot, (swing_share, order_share) in zip(casts, ballots, powers, strict=True):
        without = decide(policy, [other for other in casts if other is not cast])
        accounts.append(
            VoterAccount(
                role=cast.voter,
                choice=cast.side,
                weight=policy.voters[cast.voter],
                effective_weight=cast.weight,
                reasons=grounded[cast.voter].reasons,
                rationale=ballot.ballot.rationale if ballot.ballot else "",
                confidence=ballot.ballot.confidence if ballot.ballot else None,
                pivotal=without != outcome,
                outcome_without=without,
                banzhaf=float(swing_share),
                shapley_shubik=float(order_share),
            )
        )
    return tuple(accounts)


def _flip(
    policy: VotePolicy, evidence: Evidence, casts: Sequence[Cast], outcome: VoteOutcome
) -> tuple[str, ...] | None:
    """The fewest changes of choice that change the outcome; of equals, those of least weight. None: no change can.

    A changed ballot counts with its full weight, as if its new choice were grounded; but no ballot can approve
    with effect what failed its tests.
    """
    sides: tuple[Side, ...] = ("reject", "abstain") if evidence.tests_failed else ("approve", "reject", "abstain")
    for size in range(1, len(casts) + 1):
        changes = [
            dict(zip(chosen, choice, strict=True))
            for chosen in combinations(range(len(casts)), size)
            for choice in product(sides, repeat=size)
        ]
        found = [
            change
            for change in changes
            if all(casts[index].side != side for index, side in change.items())
            and decide(policy, [_changed(policy, cast, change.get(index)) for index, cast in enumerate(casts)])
            != outcome
        ]
        if found:
            least = min(found, key=lambda change: sum(policy.voters[casts[index].voter] for index in change))
            return tuple(f"{casts[index].voter}: {casts[index].side} → {side}" for index, side in least.items())
    return None


def _changed(policy: VotePolicy, cast: Cast, side: Side | None) -> Cast:
    if side is None:
        return cast
    return replace(cast, side=side, weight=0 if side == "abstain" else policy.voters[cast.voter], vetoes=False)


def _summary(policy: VotePolicy, casts: Sequence[Cast], outcome: VoteOutcome, veto: str | None) -> str:
    counting = [cast for cast in casts if cast.weight > 0 and cast.side in ("approve", "reject")]
    total = sum(cast.weight for cast in counting)
    if veto is not None:
        return f"rejected: {veto}"
    if total == 0:
        return "undecided: no ballot carries weight"
    if len(counting) < policy.quorum_needed:
        return f"undecided: {len(counting)} of {policy.quorum_needed} ballots that a decision needs carry weight"
    approving = sum(cast.weight for cast in counting if cast.side == "approve")
    share = f"{approving / total:.0%} of the weight approves, {policy.threshold:.0%} are needed"
    if outcome == "rejected":
        share = f"{(total - approving) / total:.0%} of the weight rejects, {policy.reject_threshold:.0%} are enough"
    return f"{outcome}: {share}"
