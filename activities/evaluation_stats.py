"""What pairs of runs say of two versions of a prompt. Whoever has the pairs gets the same numbers.

Formulas, sources, and how often they are wrong: docs/learning-statistics.md.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import comb
from uuid import UUID

from schema.messages.learning import EvaluationReport, PairRun, RuleReport, Verdict

RESAMPLES = 2_000
TAIL = 50
"""Of so many resamples, those that lie outside of the 95 % on each side."""

SIGNIFICANT = 0.05
"""Two-sided, for who wants to know whether anything differs at all."""

ONE_SIDED = 2 * SIGNIFICANT
"""For the rule that a proposal is to mend: which way it has to differ was said before."""


def mcnemar(better: int, worse: int) -> float:
    """McNemar's exact test, two-sided: how probable so uneven a split of the pairs that differ is by chance.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947, in
    its exact form: of n = better + worse pairs, the smaller side is binomial with 1/2.
    """
    pairs, fewer = better + worse, min(better, worse)
    tail = sum(comb(pairs, number) for number in range(fewer + 1))
    return min(1.0, 2 * tail / (1 << pairs))


def bootstrap_interval(runs: Sequence[PairRun], seed: str, resamples: int = RESAMPLES) -> tuple[float, float]:
    """95 % of the difference of shares, by the percentiles of a bootstrap over tasks: all seeds of a task are drawn
    together, since they are alike (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993).

    Args:
        seed: of the draws, so that the same pairs give the same interval.
    """
    clusters = list(_by_task(runs).values())
    if not clusters:
        return (0.0, 0.0)
    sums, draw = [(sum(each), len(each)) for each in clusters], random.Random(seed)  # noqa: S311 (no secret)
    found = []
    for _ in range(resamples):
        drawn = draw.choices(sums, k=len(sums))
        found.append(sum(total for total, _ in drawn) / sum(size for _, size in drawn))
    found.sort()
    tail = TAIL * resamples // RESAMPLES
    return (found[max(0, tail - 1)], found[min(resamples - 1, resamples - tail)])


@dataclass(frozen=True)
class Compared:
    """Two versions by numbers.

    Attributes:
        p_value: over pairs; `p_tasks`, the same test with one vote for each task, by its better seeds less its worse.
    """

    pairs: int
    tasks: int
    better: int
    worse: int
    old: int
    new: int
    p_value: float
    p_tasks: float
    difference: float
    interval: tuple[float, float]


def compare(runs: Sequence[PairRun], seed: str) -> Compared:
    """The numbers of these pairs; without any, there is no difference."""
    gains = [int(new) - int(old) for _, _, old, new in runs]
    votes = [sum(each) for each in _by_task(runs).values()]
    better, worse = gains.count(1), gains.count(-1)
    return Compared(
        pairs=len(runs),
        tasks=len(votes),
        better=better,
        worse=worse,
        old=sum(old for _, _, old, _ in runs),
        new=sum(new for _, _, _, new in runs),
        p_value=mcnemar(better, worse),
        p_tasks=mcnemar(sum(vote > 0 for vote in votes), sum(vote < 0 for vote in votes)),
        difference=sum(gains) / len(runs) if runs else 0.0,
        interval=bootstrap_interval(runs, seed),
    )


def verdict(seen: Compared, *, margin: float, min_tasks: int) -> tuple[Verdict, str]:
    """Better, worse or unclear, and why in a sentence.

    Better needs the margin, an interval that is not below 0, and chance ruled out both over pairs and over tasks:
    several seeds of one task are no several tasks. Worse needs the margin and an interval that is not above 0, for
    what might do harm has to show that it does none.

    Args:
        margin: of the difference of shares, between 0 and 1.
        min_tasks: so many different tasks are needed for anything but unclear.
    """
    if not seen.pairs:
        return "unclear", "nothing could be compared"
    low, high = seen.interval
    told = (
        f"the new version did well in {seen.new} of {seen.pairs} runs over {seen.tasks} tasks, the old one in "
        f"{seen.old} ({_points(seen.difference)} points, 95 % from {_points(low)} to {_points(high)}, "
        f"p = {seen.p_value:.3g}, over tasks {seen.p_tasks:.3g})"
    )
    if seen.tasks < min_tasks:
        return "unclear", f"{seen.tasks} different past tasks are too few, {min_tasks} are needed: {told}"
    if seen.difference <= -margin and high <= 0:
        return "worse", f"worse by the margin of {100 * margin:g} points or more: {told}"
    chance = max(seen.p_value, seen.p_tasks)
    if seen.difference >= margin and low >= 0 and chance <= SIGNIFICANT:
        return "better", f"better by the margin of {100 * margin:g} points or more, and not by chance: {told}"
    return "unclear", f"neither better nor worse by the margin of {100 * margin:g} points beyond chance: {told}"


def verdict_on_rule(rule: str, own: Compared, seen: Compared, *, margin: float) -> tuple[Verdict, str]:
    """Of a proposal that is to mend a rule, whose whole is not worse and whose tasks are enough.

    Better is what makes the rule fail less by the margin, with chance ruled out over pairs and over tasks, while all
    together does not look worse by the margin: so little of what can go wrong is the rule's that all together would
    hardly ever show it.
    """
    low, high = own.interval
    told = (
        f"{rule} failed in {own.pairs - own.new} of {own.pairs} runs with the new version, in {own.pairs - own.old} "
        f"with the old one ({_points(own.difference)} points, 95 % from {_points(low)} to {_points(high)}, "
        f"p = {own.p_value:.3g}, over tasks {own.p_tasks:.3g})"
    )
    whole = f"all in all {seen.new} of {seen.pairs} did well, and {seen.old} with the old one"
    if own.difference < margin or low < 0 or max(own.p_value, own.p_tasks) > ONE_SIDED:
        return "unclear", f"what it is to mend did not fail less beyond chance: {told}; {whole}"
    if seen.difference < -margin:
        return "unclear", f"it mends what it is to mend, and something else looks worse: {told}; {whole}"
    return "better", f"what it is to mend fails less, and not by chance: {told}; {whole}"


def report_of(
    update_id: UUID,
    runs: Sequence[PairRun],
    *,
    margin: float,
    min_tasks: int,
    tokens: int = 0,
    remark: str = "",
    rule: str | None = None,
    rule_runs: Sequence[PairRun] = (),
) -> EvaluationReport:
    """The report of an evaluation, from its pairs.

    Args:
        remark: what else is to be told, as that the budget ended it.
        rule: what the proposal is to mend; `rule_runs`, the same pairs by that alone.
    """
    seen = compare(runs, str(update_id))
    found, why = verdict(seen, margin=margin, min_tasks=min_tasks)
    own = None
    if rule is not None:
        mended = compare(rule_runs, str(update_id))
        own = _of_rule(rule, mended, rule_runs)
        if found != "worse" and seen.tasks >= min_tasks:
            found, why = verdict_on_rule(rule, mended, seen, margin=margin)
    return EvaluationReport(
        **asdict(seen),
        margin=margin,
        verdict=found,
        why=f"{why}; {remark}" if remark else why,
        tokens=tokens,
        runs=tuple(runs),
        rule=own,
    )


def _of_rule(rule: str, seen: Compared, runs: Sequence[PairRun]) -> RuleReport:
    numbers = {name: value for name, value in asdict(seen).items() if name in RuleReport.model_fields}
    return RuleReport(rule=rule, runs=tuple(runs), **numbers)


def _by_task(runs: Sequence[PairRun]) -> dict[UUID, list[int]]:
    """What each task's seeds gained, tasks in order of their ids: runs in another order are the same runs."""
    gains: dict[UUID, list[int]] = defaultdict(list)
    for task_id, _, old, new in sorted(runs):
        gains[task_id].append(int(new) - int(old))
    return gains


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
