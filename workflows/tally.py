"""Counts a vote and explains it. Pure: the same ballots, evidence and records give the same explanation, always."""

from collections.abc import Sequence
from dataclasses import dataclass

from schema.messages.steps import CastBallot, RoundBallot
from schema.messages.vote import (
    Evidence,
    Explanation,
    LateBallot,
    Objection,
    Reduction,
    VoteOutcome,
    VotePolicy,
    VoterAccount,
    VoterRecord,
)

from workflows.deciding import Cast, Side, count, decide, least_flip
from workflows.grounding import Grounded, ground
from workflows.power import banzhaf, shapley_shubik
from workflows.telling_votes import question_of, summary_of
from workflows.weighing import Records, by_agreement, by_confidence, effective_votes, exact, left_of


@dataclass(frozen=True)
class Weighed:
    """One ballot as it counts: what the evidence says of it, what was taken from it, and what is left."""

    ballot: CastBallot
    grounded: Grounded
    reductions: tuple[Reduction, ...]
    cast: Cast


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
    weighed, independent = _weigh(policy, evidence, ballots, by_voter)
    casts = [each.cast for each in weighed]
    outcome = decide(policy, casts)
    veto = next((f"{cast.voter} vetoed: a finding of high severity" for cast in casts if cast.vetoes), None)
    flip = least_flip(policy, evidence, casts, outcome)
    explanation = Explanation(
        outcome=outcome,
        threshold=policy.threshold,
        reject_threshold=policy.reject_threshold,
        quorum=policy.quorum_needed,
        round=number,
        round_one_outcome=round_one or outcome,
        voters=_accounts(policy, weighed, by_voter, outcome),
        veto=veto,
        flip=flip.changes if flip else None,
        flip_cost=flip.cost if flip else None,
        objections=tuple(objection for each in weighed for objection in each.grounded.objections),
        effective_votes=independent,
        summary=summary_of(policy, count(casts), outcome, veto),
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


def _weigh(
    policy: VotePolicy, evidence: Evidence, ballots: Sequence[CastBallot], records: Records
) -> tuple[list[Weighed], float]:
    """Each ballot's weight, and how many independent votes they are. A record takes only what evidence left."""
    grounded = [ground(cast.ballot, cast.voter, evidence) for cast in ballots]
    counted = [cast.voter for cast, each in zip(ballots, grounded, strict=True) if not each.void]
    agreement = by_agreement(counted, records)
    weighed = []
    for cast, each in zip(ballots, grounded, strict=True):
        reductions = list(each.reductions)
        if cast.ballot is not None and not each.void:
            further = (by_confidence(cast.ballot, records.get(cast.voter)), agreement.get(cast.voter))
            reductions += [reduction for reduction in further if reduction is not None]
        weight = left_of(policy.voters[cast.voter], reductions) if each.takes_side else 0
        counts = Cast(cast.voter, _side(cast), weight, policy.veto and each.vetoes)
        weighed.append(Weighed(cast, each, tuple(reductions), counts))
    return weighed, effective_votes(counted, agreement)


def _side(cast: CastBallot) -> Side:
    return "absent" if cast.ballot is None else cast.ballot.choice


def _accounts(
    policy: VotePolicy, weighed: Sequence[Weighed], records: Records, outcome: VoteOutcome
) -> tuple[VoterAccount, ...]:
    casts = [each.cast for each in weighed]
    weights = [cast.weight for cast in casts]
    quota = exact(policy.threshold) * sum(weights)
    accounts = []
    for each, swings, orders in zip(weighed, banzhaf(weights, quota), shapley_shubik(weights, quota), strict=True):
        voter, said = each.cast.voter, each.ballot.ballot
        without = decide(policy, [other for other in casts if other is not each.cast])
        accounts.append(
            VoterAccount(
                role=voter,
                choice=each.cast.side,
                weight=policy.voters[voter],
                effective_weight=each.cast.weight,
                reasons=(*each.grounded.reasons, *(reduction.reason for reduction in each.reductions)),
                rationale=said.rationale if said else "",
                confidence=said.confidence if said else None,
                pivotal=without != outcome,
                outcome_without=without,
                banzhaf=float(swings),
                shapley_shubik=float(orders),
                reductions=each.reductions,
                record=records.get(voter),
            )
        )
    return tuple(accounts)
