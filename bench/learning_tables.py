"""How often the statistics of learning are wrong, by simulation with fixed seeds: the tables of its documentation.

python -m bench.learning_tables
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from activities.canary_stats import CanaryRules, CanarySeen, decide, look
from activities.evaluation_stats import compare, verdict
from schema.messages.learning import PairRun, Verdict

RUNS = 2_000
MARGIN, MIN_TASKS = 0.05, 8
VERDICTS: tuple[Verdict, ...] = ("better", "worse", "unclear")


@dataclass(frozen=True)
class Trial:
    """A canary: its share, and how often tasks fail. The canary's do so `ratio` times as often after `calm` tasks."""

    rate: float
    ratio: float = 1.0
    share: float = 0.2
    tasks: int = 200
    calm: int = 0

    def failures(self, seed: int) -> Iterator[tuple[int, bool]]:
        """Of one trial, the number of each task that failed, and whether the canary had it."""
        return ((number, in_canary) for number, in_canary, failed in self.ended(seed) if failed)

    def ended(self, seed: int) -> Iterator[tuple[int, bool, bool]]:
        """Each task of one trial in order: its number, whether the canary had it, and whether it failed."""
        draw = random.Random(f"{self}/{seed}")  # noqa: S311 (a simulation)
        for number in range(self.tasks):
            in_canary = draw.random() < self.share
            risk = self.rate * (self.ratio if in_canary and number >= self.calm else 1.0)
            yield number, in_canary, draw.random() < risk


def alarms(trial: Trial, alpha: float = 0.05, runs: int = RUNS) -> float:
    """The share of trials in which the alarm goes off at any of the looks."""
    told = ([in_canary for _, in_canary in trial.failures(seed)] for seed in range(runs))
    return sum(look(failures, trial.share, alpha).alarm for failures in told) / runs


def tasks_to_alarm(trial: Trial, alpha: float = 0.05, runs: int = 200) -> int | None:
    """The median number of tasks until the alarm, among trials of which some may have none: None if most have."""
    ends = []
    for seed in range(runs):
        seen: list[bool] = []
        end = trial.tasks + 1
        for number, in_canary in trial.failures(seed):
            seen.append(in_canary)
            if look(seen, trial.share, alpha).alarm:
                end = number + 1
                break
        ends.append(end)
    median = sorted(ends)[runs // 2]
    return median if median <= trial.tasks else None


def ends(trial: Trial, runs: int = 400) -> dict[str, float]:
    """The share of trials that end in each way, by the rules as the settings have them, without an end in time."""
    rules = CanaryRules(share=trial.share, alpha=0.05, tasks=20, margin=MARGIN, hours=1)
    found: Counter[str] = Counter()
    for seed in range(runs):
        done, failed, failures = Counter[bool](), Counter[bool](), list[bool]()
        for _, in_canary, has_failed in trial.ended(seed):
            done[in_canary] += 1
            failed[in_canary] += has_failed
            failures += [in_canary] * has_failed
            outcome, _ = decide(CanarySeen(done[True], failed[True], done[False], failed[False], failures, 0), rules)
            if outcome is not None:
                found[outcome] += 1
                break
    return {name: found[name] / runs for name in ("adopted", "harm", "undecided")}


def pairs(tasks: int, seeds: int, old: float, new: float, seed: int) -> list[PairRun]:
    """Runs of tasks that are of different difficulty: each version solves a task whose threshold it is above, with
    some chance in each run."""
    draw = random.Random(f"{tasks}/{seeds}/{old}/{new}/{seed}")  # noqa: S311 (a simulation)
    runs: list[PairRun] = []
    for number in range(tasks):
        shared = draw.random()
        for each in range(seeds):
            # Half of what decides is the task's, the other half the run's.
            before, after = ((shared if draw.random() < 0.5 else draw.random()) < skill for skill in (old, new))
            runs.append((UUID(int=number), each, before, after))
    return runs


def verdicts(tasks: int, seeds: int, old: float, new: float, runs: int) -> dict[Verdict, float]:
    """The share of evaluations that come to each verdict."""
    found = [
        verdict(compare(pairs(tasks, seeds, old, new, seed), str(seed)), margin=MARGIN, min_tasks=MIN_TASKS)[0]
        for seed in range(runs)
    ]
    return {name: found.count(name) / runs for name in VERDICTS}


def main() -> None:
    print("| tasks fail | share | times as often | alarm within 200 tasks | median tasks to it |")
    print("| --- | --- | --- | --- | --- |")
    for rate in (0.1, 0.3):
        for share in (0.1, 0.2, 0.5):
            for ratio in (1.0, 2.0, 3.0):
                trial = Trial(rate, ratio, share)
                median = tasks_to_alarm(trial)
                shown = f"| {rate:.0%} | {share:.0%} | {ratio:g} | {alarms(trial):.1%} |"
                print(f"{shown} {median if median else 'over 200'} |")
    print("\n| tasks fail | times as often | adopted | harm | undecided |")
    print("| --- | --- | --- | --- | --- |")
    for rate in (0.1, 0.3):
        for ratio in (0.5, 1.0, 1.5, 2.0, 3.0):
            of = ends(Trial(rate, ratio, tasks=600))
            shown = " | ".join(f"{of[name]:.1%}" for name in ("adopted", "harm", "undecided"))
            print(f"| {rate:.0%} | {ratio:g} | {shown} |")
    late = Trial(0.1, 6.0, tasks=200, calm=10)
    print(f"\nharm of 6 times from the 11th task: {alarms(late):.1%}, median {tasks_to_alarm(late)} tasks\n")
    print("| past tasks | seeds | old | new | better | worse | unclear |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for tasks, seeds in ((8, 3), (20, 1), (60, 1)):
        for old, new in ((0.5, 0.5), (0.5, 0.7), (0.5, 0.9), (0.7, 0.5)):
            told = verdicts(tasks, seeds, old, new, 400)
            shown = " | ".join(f"{told[name]:.1%}" for name in VERDICTS)
            print(f"| {tasks} | {seeds} | {old:.0%} | {new:.0%} | {shown} |")


if __name__ == "__main__":
    main()
