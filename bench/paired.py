"""Statistics of what was measured on the same problems: intervals by bootstrap, and McNemar's exact test."""

import random
from collections.abc import Callable, Sequence

from activities.evaluation_stats import mcnemar

__all__ = ["interval", "mcnemar", "wilson"]

DRAWS = 4_000
SEED = 1

Statistic = Callable[[Sequence[int]], float]
"""A figure of the problems with these indices; one may be there more than once."""


def interval(size: int, statistic: Statistic, level: float = 0.95) -> tuple[float, float]:
    """The percentile bootstrap's interval over problems (Efron and Tibshirani, "An Introduction to the Bootstrap",
    1993, chapter 13), from a fixed seed. What is paired stays paired, since whole problems are drawn.

    Raises:
        ValueError: there is no problem.
    """
    if size < 1:
        raise ValueError("an interval needs at least one problem")
    dice = random.Random(SEED)  # noqa: S311
    drawn = sorted(statistic([dice.randrange(size) for _ in range(size)]) for _ in range(DRAWS))
    below = round((1 - level) / 2 * (DRAWS - 1))
    return drawn[below], drawn[DRAWS - 1 - below]


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, "Probable inference", 1927); 0 to 1 without trials."""
    if trials == 0:
        return 0.0, 1.0
    share, square = hits / trials, z * z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * (share * (1 - share) / trials + square / (4 * trials**2)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
