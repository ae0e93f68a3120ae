"""The rule that decides, and the least change of choices that would decide otherwise."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Literal

from schema.messages.vote import Evidence, VoteOutcome, VotePolicy, Voter

from workflows.weighing import exact

Side = Literal["approve", "reject", "abstain", "absent"]


@dataclass(frozen=True)
class Cast:
    """One voter's say as it counts."""

    voter: Voter
    side: Side
    weight: int
    vetoes: bool = False

    @property
    def counts(self) -> bool:
        return self.weight > 0 and self.side in ("approve", "reject")


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
class Flip:
    """A change of choices that changes the outcome; its cost is the weight of who would have to change."""

    changes: tuple[str, ...]
    cost: int


def count(casts: Iterable[Cast]) -> Count:
    """A and R of the rule: abstaining, absent and annulled ballots are in neither."""
    counting = [cast for cast in casts if cast.counts]
    approving = sum(cast.weight for cast in counting if cast.side == "approve")
    return Count(approving, sum(cast.weight for cast in counting) - approving, len(counting))


def decide(policy: VotePolicy, casts: Iterable[Cast]) -> VoteOutcome:
    """The rule (design §11): a veto rejects; else quorum; else approve at A ≥ threshold × S, reject at
    R ≥ reject threshold × S, where S = A + R is the effective weight of the ballots that take a side."""
    casts = list(casts)
    if any(cast.vetoes for cast in casts):
        return "rejected"
    counted = count(casts)
    if counted.total == 0 or counted.ballots < policy.quorum_needed:
        return "undecided"
    if counted.approving >= exact(policy.threshold) * counted.total:
        return "approved"
    if counted.rejecting >= exact(policy.reject_threshold) * counted.total:
        return "rejected"
    return "undecided"


def least_flip(policy: VotePolicy, evidence: Evidence, casts: Sequence[Cast], outcome: VoteOutcome) -> Flip | None:
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
            costs = [sum(policy.voters[casts[index].voter] for index in change) for change in found]
            least = found[costs.index(min(costs))]
            told = tuple(f"{casts[index].voter}: {casts[index].side} → {side}" for index, side in least.items())
            return Flip(told, min(costs))
    return None


def _changed(policy: VotePolicy, cast: Cast, side: Side | None) -> Cast:
    if side is None:
        return cast
    return replace(cast, side=side, weight=0 if side == "abstain" else policy.voters[cast.voter], vetoes=False)
