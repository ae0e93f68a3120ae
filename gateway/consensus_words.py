"""How a vote is told in words: the same sentences at the terminal and in the picture."""

from collections.abc import Iterable

from gateway.terminal import line
from schema.messages.vote import CountedObjection, Explanation, LateBallot, VoterAccount


def share(basis_points: int) -> str:
    """A weight as people read it: `25 %`, `12.5 %`."""
    return f"{basis_points / 100:g} %"


def rule_of(vote: Explanation) -> str:
    """What a decision needed, and in which round it was counted."""
    ballots = "1 ballot" if vote.quorum == 1 else f"{vote.quorum} ballots"
    return (
        f"round {vote.round}; approval needs {vote.threshold:.0%} of the weight, rejection "
        f"{vote.reject_threshold:.0%}, either at least {ballots} that carry weight"
    )


def counted_of(vote: Explanation) -> str:
    """How the weight that counts is divided, and how many independent votes it amounts to."""
    approving, rejecting = sides_of(vote)
    told = f"counted: {share(approving)} approve, {share(rejecting)} reject"
    if vote.effective_votes is not None:
        told += f"; worth {vote.effective_votes:.2f} independent votes"
    return told


def sides_of(vote: Explanation) -> tuple[int, int]:
    """The effective weight for it and against it, in basis points."""
    approving, rejecting = (
        sum(voter.effective_weight for voter in vote.voters if voter.choice == side) for side in ("approve", "reject")
    )
    return approving, rejecting


def first_round_of(vote: Explanation) -> str | None:
    """What round 1 alone would have decided, where there was a second."""
    if vote.round == 1:
        return None
    same = "the same" if vote.round_one_outcome == vote.outcome else "the second round changed it"
    return f"round 1 alone: {vote.round_one_outcome} ({same})"


def flip_of(vote: Explanation) -> str:
    """What would have changed the outcome at the least cost."""
    if not vote.flip:
        annulled = [voter.role for voter in vote.voters if voter.reductions and not voter.effective_weight]
        lost = f" (what counts for nothing, for the reasons beside it: {', '.join(annulled)})" if annulled else ""
        return f"no change of choices alone would have changed the outcome{lost}"
    cost = "" if vote.flip_cost is None else f" (voters of {share(vote.flip_cost)} of the weight)"
    then = f"to come out {vote.flip_outcome}" if vote.flip_outcome else "another outcome"
    return f"{then} would have taken: {'; '.join(line(change) for change in vote.flip)}{cost}"


def pivots_of(vote: Explanation) -> str:
    """Whose single ballot the outcome hung on."""
    names = [voter.role for voter in vote.voters if voter.pivotal]
    return f"pivotal: {', '.join(names)}" if names else "pivotal: nobody's ballot alone"


def power_of(voter: VoterAccount) -> str:
    """What a voter could have moved, alone and over all orders of voting."""
    told = f"Banzhaf {voter.banzhaf:.2f}, Shapley-Shubik {voter.shapley_shubik:.2f}"
    return f"{told}; without this ballot: {voter.outcome_without}" if voter.pivotal else told


def ballot_of(voter: VoterAccount) -> str:
    """What a voter chose, and how sure they said they were."""
    return voter.choice if voter.confidence is None else f"{voter.choice} {voter.confidence:.2f}"


def weight_of(voter: VoterAccount) -> str:
    """What a ballot could weigh and what it did."""
    full, left = share(voter.weight), share(voter.effective_weight)
    return full if full == left else f"{full} → {left}"


def reasons_of(voter: VoterAccount) -> tuple[str, ...]:
    """What was taken from a ballot's weight, rule by rule; else the plain reasons."""
    ruled = tuple(f"{each.rule} ×{each.factor:.2f}: {line(each.reason)}" for each in voter.reductions)
    said = {line(each.reason) for each in voter.reductions}
    return (*ruled, *(line(reason) for reason in voter.reasons if line(reason) not in said))


def record_of(voter: VoterAccount) -> str | None:
    """How this voter did in earlier votes whose truth is known."""
    record = voter.record
    if record is None or record.judged == 0:
        return None
    brier = "" if record.brier is None else f", Brier {record.brier:.2f}"
    return f"right in {record.agreed} of {record.judged} earlier votes{brier}"


def late_of(late: Iterable[LateBallot]) -> tuple[str, ...]:
    """The ballots that came after the count."""
    return tuple(
        f"{each.voter}, round {each.round}: {each.choice} {each.confidence:.2f}, too late and not counted"
        for each in late
    )


def objection_of(counted: CountedObjection) -> str:
    """One objection without its category: how serious, where, by which evidence, and whether that bears it."""
    objection = counted.objection
    where = f" at {line(objection.where)}" if objection.where else ""
    cited = f", citing {', '.join(line(each) for each in objection.evidence)}" if objection.evidence else ""
    fate = "survives" if counted.survives else "does not survive"
    reason = f": {line(counted.reason)}" if counted.reason else ""
    return f"{objection.severity}{where}{cited}: {fate}{reason}"
