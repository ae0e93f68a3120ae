"""How often noise is taken for a pattern: `python -m bench.patterns`, in ten seconds, of seeded chance alone."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from activities.patterns import Group, Thresholds, Window, Worked, find_patterns

HELD = Thresholds(fdr=0.05, min_tasks=5, base_rate=0.05, window_days=14)
RULES = [f"lint/N{number}" for number in range(8)]
START = datetime(2026, 1, 1, tzinfo=UTC)


def main() -> None:
    print("single scans, three tenants: share of 400 that find anything")
    for rate in (0.03, 0.05, 0.1, 0.2, 0.4):
        shares = [f"{size} tasks: {_single(rate, size):.1%}" for size in (10, 40, 150)]
        print(f"  rules fail in {rate:.0%}: {', '.join(shares)}")
    print("29 looks in 14 days, one tenant, 10 tasks a day: share of 60 series that find anything")
    for rate in (0.03, 0.05, 0.15):
        print(f"  rules fail in {rate:.0%}: {_series(rate):.0%}")


def _single(rate: float, size: int, scans: int = 400) -> float:
    chance = random.Random(1)  # noqa: S311 - not a secret
    return sum(_finds([_tasks(chance, rate, size) for _ in range(3)]) for _ in range(scans)) / scans


def _series(rate: float, series: int = 60) -> float:
    chance = random.Random(1)  # noqa: S311 - not a secret
    found = 0
    for _ in range(series):
        work = _tasks(chance, rate, 280)
        found += any(_finds([work[end - 140 : end]]) for end in range(140, 281, 5))
    return found / series


def _tasks(chance: random.Random, rate: float, size: int) -> list[Worked]:
    failed = [[rule for rule in RULES if chance.random() < rate] for _ in range(size)]
    return [
        Worked(UUID(int=number), f"spec {number}", rules, START + timedelta(hours=number))
        for number, rules in enumerate(failed)
    ]


def _finds(tenants: Sequence[Sequence[Worked]]) -> bool:
    groups = {}
    for number, work in enumerate(tenants):
        window = Window()
        for each in work:
            window.add(each)
        groups[Group(f"t{number}", "developer")] = window.counted({})
    return bool(find_patterns(groups, HELD))


if __name__ == "__main__":
    main()
