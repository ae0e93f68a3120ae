"""Voting power: how much each weight really decides. Exact, by counting all coalitions; for up to 12 voters.

Sources: Banzhaf, "Weighted Voting Doesn't Work", Rutgers Law Review 19 (1965); Shapley and Shubik, "A Method for
Evaluating the Distribution of Power in a Committee System", American Political Science Review 48 (1954).
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import factorial


def banzhaf(weights: Sequence[int], quota: Fraction) -> list[Fraction]:
    """The normalised Banzhaf index: each voter's share of all swings. All zero where nobody can swing."""
    swings = [sum(1 for _ in _swings(weights, quota, voter)) for voter in range(len(weights))]
    total = sum(swings)
    return [Fraction(count, total) if total else Fraction(0) for count in swings]


def shapley_shubik(weights: Sequence[int], quota: Fraction) -> list[Fraction]:
    """The Shapley-Shubik index: the share of all orders in which a voter's weight meets the quota."""
    count = len(weights)
    orders = [Fraction(factorial(size) * factorial(count - size - 1), factorial(count)) for size in range(count)]
    return [sum((orders[size] for size in _swings(weights, quota, voter)), Fraction(0)) for voter in range(count)]


def _swings(weights: Sequence[int], quota: Fraction, voter: int) -> Iterator[int]:
    """The sizes of the coalitions of others that lose without `voter` and win with it."""
    others = [weight for index, weight in enumerate(weights) if index != voter]
    for size in range(len(others) + 1):
        for coalition in combinations(others, size):
            weight = sum(coalition)
            if weight < quota <= weight + weights[voter]:
                yield size
