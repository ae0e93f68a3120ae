"""Voting power: how much each weight really decides. Exact, over all coalitions, for up to 12 voters.

Sources: Banzhaf, "Weighted Voting Doesn't Work", Rutgers Law Review 19 (1965); Shapley and Shubik, "A Method for
Evaluating the Distribution of Power in a Committee System", American Political Science Review 48 (1954).
"""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, factorial

MOST_VOTERS = 12


def banzhaf(weights: Sequence[int], quota: Fraction) -> list[Fraction]:
    """The normalised Banzhaf index: each voter's share of all swings. All zero where nobody can swing.

    Raises:
        ValueError: there are more than 12 voters.
    """
    swings = [sum(by_size) for by_size in _swings(weights, quota)]
    total = sum(swings)
    return [Fraction(count, total) if total else Fraction(0) for count in swings]


def shapley_shubik(weights: Sequence[int], quota: Fraction) -> list[Fraction]:
    """The Shapley-Shubik index: the share of all orders in which a voter's weight meets the quota.

    Raises:
        ValueError: there are more than 12 voters.
    """
    count = len(weights)
    orders = [factorial(size) * factorial(count - size - 1) for size in range(count)]
    return [
        Fraction(sum(swings * order for swings, order in zip(by_size, orders, strict=True)), factorial(count))
        for by_size in _swings(weights, quota)
    ]


def _swings(weights: Sequence[int], quota: Fraction) -> list[list[int]]:
    """For each voter, by size, how many coalitions of others lose without it and win with it.

    A coalition is a number whose bits are its voters; its weight is that of the coalition without its lowest bit, and
    that voter's.
    """
    count, least = len(weights), ceil(quota)
    if count > MOST_VOTERS:
        raise ValueError(f"the indices are exact for up to {MOST_VOTERS} voters")
    sums = [0] * (1 << count)
    for coalition in range(1, 1 << count):
        lowest = coalition & -coalition
        sums[coalition] = sums[coalition ^ lowest] + weights[lowest.bit_length() - 1]
    found = [[0] * count for _ in range(count)]
    # Only losing coalitions that some voter could turn are looked at.
    for coalition, weight in enumerate(sums):
        if weight < least:
            for voter in range(count):
                if not coalition >> voter & 1 and weight + weights[voter] >= least:
                    found[voter][coalition.bit_count()] += 1
    return found
