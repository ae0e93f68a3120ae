"""Counts a vote and explains it. Pure: the same ballots, evidence and records give the same explanation, always."""

from collections.abc import Sequence

from schema.messages.consensus import CastBallot, RoundBallot
from schema.messages.vote import (
    Evidence,
    Explanation,
    LateBallot,
    Objection,
    VoteOutcome,
    VotePolicy,
    VoterAccount,
    VoterRecord,
)

from workflows.deciding import Cast, Side, Weighed, count, decide, least_flip, weigh
from workflows.grounding import Grounded, ground
from workflows.power import banzhaf, shapley_shubik
from workflows.telling_votes import question_of, summary_of
from workflows.weighing import Records, by_confidence, effective_votes, exact


def tally(
    policy: VotePolicy,
    evidence: Evidence,
    ballots: Sequence[CastBallot],
    *,
    number: int = 1,
    round_one: VoteOutcome | None = None,
    records: Sequence[VoterRecord] = (),
) -> Explanation:
    """The outcome of one round, and why.

    Args:
        number: of the round.
        round_one: what round 1 came to, where this is a later one.
        records: how the voters did before.
    """
    by_voter = {record.voter: record for record in records}
    grounded = [ground(cast.ballot, cast.voter, evidence) for cast in ballots]
    casts = [_cast(policy, *each, by_voter) for each in zip(ballots, grounded, strict=True)]
    weighed = weigh(casts, by_voter)
    outcome = decide(policy, weighed)
    veto = next((f"{cast.voter} vetoed: a finding of high severity" for cast in casts if cast.vetoes), None)
    flip = least_flip(policy, evidence, casts, by_voter, outcome)
    explanation = Explanation(
        outcome=outcome,
        threshold=policy.threshold,
        reject_threshold=policy.reject_threshold,
        quorum=policy.quorum_needed,
        round=number,
        round_one_outcome=round_one or outcome,
        voters=_accounts(policy, ballots, grounded, weighed, by_voter),
        veto=veto,
        flip=flip.changes if flip else None,
        flip_cost=flip.cost if flip else None,
        flip_outcome=flip.outcome if flip else None,
        objections=tuple(objection for each in grounded for objection in each.objections),
        effective_votes=effective_votes([cast.voter for cast in casts if cast.counts], weighed.agreement),
        summary=summary_of(policy, count(weighed), outcome, veto),
    )
    asked = question_of(explanation, evidence) if outcome == "undecided" else None
    return explanation.model_copy(update={"question": asked})


def surviving_objections(explanation: Explanation) -> tuple[str, ...]:
    """The objections that their evidence bears, without names, for the voters of the next round."""
    lines = (_objection_line(counted.objection) for counted in explanation.objections if counted.survives)
    return tuple(dict.fromkeys(lines)) or ("none that the evidence bears",)


def ballots_of(explanation: Explanation, late: Sequence[LateBallot] = ()) -> tuple[RoundBallot, ...]:
    """The rows of one counted round. A ballot that came after the count has the place of the absent voter's."""
    came = {ballot.voter: ballot for ballot in late if ballot.round == explanation.round}
    return tuple(_row(account, explanation.round, came.get(account.role)) for account in explanation.voters)


def _row(account: VoterAccount, number: int, late: LateBallot | None) -> RoundBallot:
    return RoundBallot(
        round=number,
        voter=account.role,
        choice=late.choice if late else account.choice,
        confidence=late.confidence if late else account.confidence,
        weight=account.weight,
        effective_weight=account.effective_weight,
        late=late is not None,
    )


def _objection_line(objection: Objection) -> str:
    where = f" at {objection.where}" if objection.where else ""
    return f"{objection.severity} {objection.category}{where}, evidence: {', '.join(objection.evidence)}"


def _cast(policy: VotePolicy, cast: CastBallot, grounded: Grounded, records: Records) -> Cast:
    """A ballot with what its own words and its voter's record take. A record takes only what evidence left."""
    reductions = grounded.reductions
    if cast.ballot is not None and not grounded.void:
        by_record = by_confidence(cast.ballot, records.get(cast.voter))
        reductions += (by_record,) if by_record is not None else ()
    side: Side = "absent" if cast.ballot is None else cast.ballot.choice
    return Cast(cast.voter, side, policy.voters[cast.voter], policy.veto and grounded.vetoes, reductions)


def _accounts(
    policy: VotePolicy,
    ballots: Sequence[CastBallot],
    grounded: Sequence[Grounded],
    weighed: Weighed,
    records: Records,
) -> tuple[VoterAccount, ...]:
    outcome = decide(policy, weighed)
    quota = exact(policy.threshold) * sum(weighed.weights)
    powers = zip(banzhaf(weighed.weights, quota), shapley_shubik(weighed.weights, quota), strict=True)
    accounts = []
    for cast, weight, said, why, (swings, orders) in zip(
        weighed.casts, weighed.weights, ballots, grounded, powers, strict=True
    ):
        agreement = weighed.agreement.get(cast.voter)
        reductions = (*cast.reductions, *([agreement] if agreement is not None else []))
        without = decide(policy, weigh([other for other in weighed.casts if other is not cast], records))
        accounts.append(
            VoterAccount(
                role=cast.voter,
                choice=cast.side,
                weight=cast.weight,
                effective_weight=weight,
                reasons=(*why.reasons, *(reduction.reason for reduction in reductions)),
                rationale=said.ballot.rationale if said.ballot else "",
                confidence=said.ballot.confidence if said.ballot else None,
                pivotal=without != outcome,
                outcome_without=without,
                banzhaf=float(swings),
                shapley_shubik=float(orders),
                reductions=reductions,
                record=records.get(cast.voter),
            )
        )
    return tuple(accounts)
