"""Whether a version on trial does harm: a test that may be looked at after each task.

Formulas, sources, and how often they are wrong: docs/learning-statistics.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Literal

RISK_RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0)
"""How much more often than its parent a harmful version might fail: the test weighs all of them alike."""

KNOWN = 10
"""So many of a version's tasks must have ended before its share of failures counts."""

LONGEST = 3
"""A trial goes on to so many times the tasks that it needs, where it looks worse and is not shown to be."""

CanaryOutcome = Literal["harm", "adopted", "undecided"]


@dataclass(frozen=True)
class CanaryLook:
    """What the failures so far say.

    Attributes:
        e_value: how many times likelier they are under harm than by chance, as they stand.
        peak: the highest that it ever was.
        alarm: `peak` reached what chance reaches with a probability of at most `alpha`.
    """

    e_value: float
    peak: float
    alarm: bool


def look(failures: Sequence[bool], share: float, alpha: float) -> CanaryLook:
    """Look at the failing tasks of both versions, in the order in which they became known.

    Without harm, each falls into the canary with its share of the tasks, whatever fails and however often: the mean
    of the likelihood ratios against each risk ratio is then a martingale that begins at 1 (Wald, "Sequential tests of
    statistical hypotheses", 1945; conditional on the failures as Kulldorff et al., "A maximized sequential
    probability ratio test for drug and vaccine safety surveillance", 2011), and comes to 1/alpha at any time with a
    probability of at most alpha (Ville, "Étude critique de la notion de collectif", 1939).

    Args:
        failures: of each failing task, whether it was the canary's.
        share: of all tasks, that the canary gets; between 0 and 1.
        alpha: the probability of a false alarm, over all looks together.
    """
    inside = [log(ratio / _mean_risk(ratio, share)) for ratio in RISK_RATIOS]
    outside = [log(1 / _mean_risk(ratio, share)) for ratio in RISK_RATIOS]
    logs, e_value, peak = [0.0] * len(RISK_RATIOS), 1.0, 1.0
    for in_canary in failures:
        logs = [total + step for total, step in zip(logs, inside if in_canary else outside, strict=True)]
        e_value = sum(map(exp, logs)) / len(logs)
        peak = max(peak, e_value)
    return CanaryLook(e_value, peak, peak >= 1 / alpha)


@dataclass(frozen=True)
class CanarySeen:
    """Tasks that were admitted since the trial began, and have ended.

    Attributes:
        failures: of each failing task, whether it was the canary's, in the order in which they became known.
        hours: since the trial began.
    """

    canary_done: int
    canary_failed: int
    parent_done: int
    parent_failed: int
    failures: Sequence[bool]
    hours: float


@dataclass(frozen=True)
class CanaryRules:
    """When a trial ends.

    Attributes:
        share: of the tasks, that the canary gets; between 0 and 1.
        alpha: the probability of a false alarm.
        tasks: of the canary, that have to end without one.
        margin: by so much the canary's share of failures may be above the parent's.
        hours: after which a trial that told too little ends.
    """

    share: float
    alpha: float
    tasks: int
    margin: float
    hours: float


def decide(seen: CanarySeen, rules: CanaryRules) -> tuple[CanaryOutcome | None, str]:
    """How a trial ends, or None where it goes on; and why, in a sentence."""
    found = look(seen.failures, rules.share, rules.alpha)
    told = (
        f"{seen.canary_failed} of {seen.canary_done} tasks failed with it, {seen.parent_failed} of {seen.parent_done} "
        f"with its parent (e-value {found.e_value:.3g}, alarm at {1 / rules.alpha:.3g})"
    )
    if found.alarm:
        return "harm", f"it fails more often than its parent: {told}"
    if seen.canary_done >= rules.tasks:
        if not _looks_worse(seen, rules.margin):
            return "adopted", f"no harm was seen: {told}"
        if seen.canary_done >= LONGEST * rules.tasks:
            return "undecided", f"neither harm nor its absence was shown in {LONGEST} times the tasks: {told}"
    if seen.hours >= rules.hours:
        return "undecided", f"too little was known after {rules.hours:g} hours: {told}"
    return None, f"the trial goes on: {told}"


def _looks_worse(seen: CanarySeen, margin: float) -> bool:
    if seen.canary_done < KNOWN:
        return False
    # Where the canary has nearly all tasks no alarm can go off: it is held to a parent that never fails.
    parent = seen.parent_failed / seen.parent_done if seen.parent_done >= KNOWN else 0.0
    return seen.canary_failed / seen.canary_done - parent > margin


def _mean_risk(ratio: float, share: float) -> float:
    """The risk of all tasks together, where the canary's is `ratio` times its parent's."""
    return share * ratio + 1 - share
