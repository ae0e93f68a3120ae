"""The rule that decides, and the least change of choices that would decide otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal

from schema.messages.vote import Evidence, Reduction, VoteOutcome, VotePolicy, Voter

from workflows.weighing import Records, by_agreement, exact, left_of

Side = Literal["approve", "reject", "abstain", "absent"]


@dataclass(frozen=True)
class Cast:
    """One voter's say.

    Attributes:
        reductions: what was taken from its weight for its own sake, whoever else votes.
    """

    voter: Voter
    side: Side
    weight: int
    vetoes: bool = False
    reductions: tuple[Reduction, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether it takes a side and nothing annuls it. The weight has no say in it."""
        return self.side in ("approve", "reject") and all(reduction.factor for reduction in self.reductions)


@dataclass(frozen=True)
class Count:
    """The effective weight on each side, and the ballots that it is made of."""

    approving: int
    rejecting: int
    ballots: int

    @property
    def total(self) -> int:
        return self.approving + self.rejecting


@dataclass(frozen=True)
class Weighed:
    """What each ballot counts for beside the others, in their order.

    Attributes:
        agreement: what agreement takes, by voter.
    """

    casts: tuple[Cast, ...]
    weights: tuple[int, ...]
    agreement: dict[Voter, Reduction]


@dataclass(frozen=True)
class Flip:
    """A change of choices that changes the outcome; its cost is the weight of who would have to change."""

    changes: tuple[str, ...]
    cost: int
    outcome: VoteOutcome


def weigh(casts: Sequence[Cast], records: Records) -> Weighed:
    """The effective weights of ballots that are counted together."""
    agreement = by_agreement([cast.voter for cast in casts if cast.counts], records)
    weights = []
    for cast in casts:
        further = [agreement[cast.voter]] if cast.voter in agreement else []
        weights.append(left_of(cast.weight, [*cast.reductions, *further]) if cast.counts else 0)
    return Weighed(tuple(casts), tuple(weights), agreement)


def count(weighed: Weighed) -> Count:
    """A and R of the rule: abstaining, absent and annulled ballots are in neither."""
    counted = [(cast.side, weight) for cast, weight in zip(weighed.casts, weighed.weights, strict=True) if weight]
    approving = sum(weight for side, weight in counted if side == "approve")
    return Count(approving, sum(weight for _, weight in counted) - approving, len(counted))


def decide(policy: VotePolicy, weighed: Weighed) -> VoteOutcome:
    """The rule (design §11): a veto rejects; else quorum; else approve at A ≥ threshold × S, reject at
    R ≥ reject threshold × S, where S = A + R is the effective weight of the ballots that take a side."""
    if any(cast.vetoes for cast in weighed.casts):
        return "rejected"
    counted = count(weighed)
    if counted.total == 0 or counted.ballots < policy.quorum_needed:
        return "undecided"
    if counted.approving >= exact(policy.threshold) * counted.total:
        return "approved"
    if counted.rejecting >= exact(policy.reject_threshold) * counted.total:
        return "rejected"
    return "undecided"


def least_flip(
    policy: VotePolicy, evidence: Evidence, casts: Sequence[Cast], records: Records, outcome: VoteOutcome
) -> Flip | None:
    """The fewest changes of choice that change the outcome; of equals, those of least weight. None: no change can.

    A changed ballot counts as if its new choice were well grounded; but no ballot can approve with effect what failed
    its tests. Who agrees with whom is reckoned anew among those who then count.
    """
    sides: tuple[Side, ...] = ("reject", "abstain") if evidence.tests_failed else ("approve", "reject", "abstain")
    for size in range(1, len(casts) + 1):
        changes = [
            dict(zip(chosen, choice, strict=True))
            for chosen in combinations(range(len(casts)), size)
            for choice in product(sides, repeat=size)
        ]
        real = [change for change in changes if all(casts[index].side != side for index, side in change.items())]
        tried = [(change, decide(policy, weigh(_changed(casts, change), records))) for change in real]
        found = [(change, then) for change, then in tried if then != outcome]
        if found:
            costs = [sum(casts[index].weight for index in change) for change, _ in found]
            least, then = found[costs.index(min(costs))]
            told = tuple(f"{casts[index].voter}: {casts[index].side} → {side}" for index, side in least.items())
            return Flip(told, min(costs), then)
    return None


def _changed(casts: Sequence[Cast], change: dict[int, Side]) -> list[Cast]:
    return [
        replace(cast, side=change[index], vetoes=False, reductions=()) if index in change else cast
        for index, cast in enumerate(casts)
    ]
