"""What the voters' records take from their ballots, and what is left of a weight.

Voters who always agree bring less than as many independent ones. Their agreement, corrected for chance, is

    ρ_ij = max(0, (p − ½) / (1 − ½)),   p = votes alike / votes shared,

the coefficient S of Bennett, Alpert and Goldstein ("Communications Through Limited-Response Questioning", Public
Opinion Quarterly 18, 1954) for two choices. A voter counts as 1 / (1 + Σ ρ_ij) votes, over the others that count.
The sum over all is the effective number of votes. For n voters who are all correlated by ρ it is
n / (1 + (n − 1)ρ): Kish's effective sample size of a cluster (Survey Sampling, 1965, 5.4); Ladha ("The Condorcet Jury
Theorem, Free Speech, and Correlated Votes", American Journal of Political Science 36, 1992) shows what correlation
costs a vote. The factor knows no weights, so that more weight behind a choice never counts against it.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor

from schema.messages.vote import Ballot, Reduction, Voter, VoterRecord

MIN_JUDGED = 20
"""With fewer votes whose truth is known, a record says nothing of confidence."""

MIN_SHARED = 20
"""With fewer votes in common, nobody knows who agrees with whom."""

TOLERANCE = Fraction(1, 5)
"""So far the stated confidence may lie from the share of right choices."""

Records = Mapping[Voter, VoterRecord]


def exact(number: float) -> Fraction:
    """0.6 as three fifths, not as the nearest binary fraction."""
    return Fraction(str(number))


def left_of(weight: int, reductions: Iterable[Reduction]) -> int:
    """The weight times every factor, rounded down, in basis points. What no rule annulled keeps at least one: or a
    little more weight could begin to count, for the quorum, against its own side."""
    left = Fraction(weight)
    for reduction in reductions:
        left *= exact(reduction.factor)
    return max(1, floor(left)) if left > 0 else 0


def by_confidence(ballot: Ballot, record: VoterRecord | None) -> Reduction | None:
    """As much as the confidence lies beyond the tolerance from the share of right choices is taken."""
    if record is None or record.judged < MIN_JUDGED:
        return None
    share = Fraction(record.agreed, record.judged)
    beyond = abs(exact(ballot.confidence) - share) - TOLERANCE
    if beyond <= 0:
        return None
    told = f"is {ballot.confidence:.0%} confident, and was right in {float(share):.0%} of {record.judged} votes"
    return Reduction(rule="confidence", factor=_rounded(1 - beyond), reason=told)


def by_agreement(counted: Sequence[Voter], records: Records) -> dict[Voter, Reduction]:
    """Of each voter that counts, what its agreement with the others takes; nothing is said where it takes nothing."""
    found = {}
    for voter in counted:
        alike = {other: _correlation(voter, other, records) for other in counted if other != voter}
        total = sum(alike.values(), Fraction(0))
        if total > 0:
            names = " and ".join(other for other, value in alike.items() if value > 0)
            told = f"votes as {names} do: together they are fewer independent votes"
            found[voter] = Reduction(rule="agreement", factor=_rounded(1 / (1 + total)), reason=told)
    return found


def effective_votes(counted: Sequence[Voter], agreement: Mapping[Voter, Reduction]) -> float:
    """How many independent votes the counted ballots amount to."""
    return float(sum((exact(agreement[voter].factor) if voter in agreement else Fraction(1) for voter in counted),
                     Fraction(0)))  # fmt: skip


def _correlation(one: Voter, other: Voter, records: Records) -> Fraction:
    record = records.get(one)
    shared = record.shared.get(other, 0) if record is not None else 0
    if record is None or shared < MIN_SHARED:
        return Fraction(0)
    return max(Fraction(0), 2 * Fraction(record.same.get(other, 0), shared) - 1)


def _rounded(factor: Fraction) -> float:
    """To a basis point, so that what is shown is what was reckoned with."""
    return round(factor * 10_000) / 10_000
