"""Which rules fail more often than chance would have it: from what was worked on to patterns with numbers. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from schema.messages.learning import Pattern
from schema.messages.steps import Role

MAX_TASK_IDS = 50
"""Failing tasks that a pattern names, the newest."""

FALSE_ACCEPT = "ballot/false-accept"
FALSE_REJECT = "ballot/false-reject"

_NEGLIGIBLE = 1e-18


@dataclass(frozen=True)
class Worked:
    """One outcome of a role.

    Attributes:
        spec: the digest of what was asked for: the same task, submitted ten times, is one.
        rules: what failed in it.
    """

    task_id: UUID
    spec: str
    rules: Sequence[str]
    at: datetime


@dataclass(frozen=True)
class Group:
    """Whose outcomes are counted together."""

    tenant: str
    role: Role


@dataclass(frozen=True)
class Counted:
    """How often one rule failed: in `failing` of `tasks` different tasks; `task_ids` are the failing, newest first."""

    tasks: int
    failing: int
    task_ids: tuple[UUID, ...] = ()


@dataclass(frozen=True)
class Thresholds:
    """What makes a pattern: as the settings `learning_fdr`, `learning_min_tasks`, `learning_base_rate`."""

    fdr: float
    min_tasks: int
    base_rate: float
    window_days: int


@dataclass
class Window:
    """The outcomes of one group, added one by one. It holds each task once, however many outcomes it had."""

    outcomes: int = 0
    _seen: dict[str, datetime] = field(default_factory=dict)
    _failed: dict[str, dict[str, tuple[datetime, UUID]]] = field(default_factory=dict)

    def add(self, worked: Worked) -> None:
        """A task failed a rule if any of its outcomes did."""
        self.outcomes += 1
        self._seen[worked.spec] = max(worked.at, self._seen.get(worked.spec, worked.at))
        for rule in worked.rules:
            failed = self._failed.setdefault(rule, {})
            failed[worked.spec] = max((worked.at, worked.task_id), failed.get(worked.spec, (worked.at, worked.task_id)))

    @property
    def rules(self) -> Iterable[str]:
        """Those that failed."""
        return self._failed.keys()

    def counted(self, since: Mapping[str, datetime | None]) -> dict[str, Counted]:
        """By rule, what came after the time that `since` names for it; all of it where it names none."""
        return {rule: self._count(rule, since.get(rule)) for rule in self._failed}

    def _count(self, rule: str, since: datetime | None) -> Counted:
        failed = sorted(self._failed[rule].values(), reverse=True)
        seen = len(self._seen)
        if since is not None:
            failed = [each for each in failed if each[0] > since]
            seen = sum(at > since for at in self._seen.values())
        return Counted(seen, len(failed), tuple(task_id for _, task_id in failed[:MAX_TASK_IDS]))


def judged(rules: Sequence[str], ballot: str | None, truth: bool | None) -> list[str]:
    """What failed in an outcome, as far as is known now: a truth that came later counts above how the task ended."""
    if truth is None or ballot not in ("approve", "reject"):
        return list(rules)
    kept = [rule for rule in rules if rule not in (FALSE_ACCEPT, FALSE_REJECT)]
    if (ballot == "approve") is truth:
        return kept
    return [*kept, FALSE_ACCEPT if ballot == "approve" else FALSE_REJECT]


def find_patterns(groups: Mapping[Group, Mapping[str, Counted]], held: Thresholds) -> list[tuple[Group, Pattern]]:
    """What fails often, the surest first.

    A rule is measured against the mean rate of the other rules of its group and one standard error of that, since a
    group whose tasks are hard fails at everything; and against `held.base_rate` at least, since what hardly ever fails
    would make of three a pattern.
    """
    tested = [
        (group, rule, count, _base_rate(rules, rule, held.base_rate))
        for group, rules in groups.items()
        for rule, count in rules.items()
        if count.failing
    ]
    p_values = [binomial_tail(count.failing, count.tasks, base) for _, _, count, base in tested]
    found = [
        (
            group,
            Pattern(
                rule=rule,
                role=group.role,
                tasks=count.tasks,
                failing=count.failing,
                base_rate=base,
                p_value=p_value,
                q_value=q_value,
                window_days=held.window_days,
                task_ids=count.task_ids,
            ),
        )
        for (group, rule, count, base), p_value, q_value in zip(tested, p_values, q_values(p_values), strict=True)
        if q_value <= held.fdr and count.failing >= held.min_tasks
    ]
    return sorted(found, key=lambda each: (each[1].q_value, each[1].p_value, each[0].tenant, each[1].rule))


def binomial_tail(failing: int, tasks: int, rate: float) -> float:
    """P(X >= failing) of a binomial X over `tasks`, each at `rate`: the one-sided exact test.

    The first term is made of logarithms (`lgamma`), the next each from the one before, away from the mean, so that
    they only get smaller: nothing overflows, and the sum ends where nothing more would be added to it.
    """
    if failing <= 0:
        return 1.0
    if failing > tasks:
        return 0.0
    odds = rate / (1.0 - rate)
    if failing <= tasks * rate:
        below = range(failing - 1, 0, -1)
        ratios = (each / ((tasks - each + 1) * odds) for each in below)
        return max(0.0, 1.0 - _sum(_term(failing - 1, tasks, rate), ratios))
    above = range(failing, tasks)
    return min(1.0, _sum(_term(failing, tasks, rate), ((tasks - each) * odds / (each + 1) for each in above)))


def q_values(p_values: Sequence[float]) -> list[float]:
    """The smallest false discovery rate at which each would be found.

    Benjamini and Hochberg, "Controlling the false discovery rate", J. R. Stat. Soc. B 57 (1995), pages 289 to 300: of
    m p-values in their order the i-th is worth m * p / i, and no more than any that follows it.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    found, least = [1.0] * len(p_values), 1.0
    for place, index in enumerate(order):
        least = min(least, p_values[index] * len(p_values) / (len(p_values) - place))
        found[index] = least
    return found


def _base_rate(rules: Mapping[str, Counted], rule: str, least: float) -> float:
    """With a standard error for its being an estimate itself: without it noise is found up to half as often again."""
    others = [count for name, count in rules.items() if name != rule and count.failing]
    if not others:
        return least
    mean = math.fsum(count.failing / count.tasks for count in others) / len(others)
    error = math.sqrt(mean * (1.0 - mean) / sum(count.tasks for count in others))
    # Never 1: what always fails, as all else does, is no news, and the logarithms need some room.
    return min(max(least, mean + error), 1.0 - 1e-9)


def _term(number: int, tasks: int, rate: float) -> float:
    ways = math.lgamma(tasks + 1) - math.lgamma(number + 1) - math.lgamma(tasks - number + 1)
    return math.exp(ways + number * math.log(rate) + (tasks - number) * math.log1p(-rate))


def _sum(first: float, ratios: Iterable[float]) -> float:
    total = term = first
    for ratio in ratios:
        term *= ratio
        total += term
        if term <= total * _NEGLIGIBLE:
            break
    return total
