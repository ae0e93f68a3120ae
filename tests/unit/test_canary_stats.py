"""The canary's test may be looked at after each task: it hardly cries without harm, and cries where there is some."""

from dataclasses import replace
from math import sqrt

import pytest

from activities.canary_stats import CanaryOutcome, CanaryRules, CanarySeen, decide, look
from bench.learning_tables import RUNS, Trial, alarms, tasks_to_alarm

ALPHA = 0.05
RULES = CanaryRules(share=0.2, alpha=ALPHA, tasks=20, margin=0.05, hours=168)


def seen(canary: tuple[int, int], parent: tuple[int, int], hours: float = 1) -> CanarySeen:
    """So many tasks that failed of those that ended; the canary's failures are the last."""
    return CanarySeen(
        canary_failed=canary[0], canary_done=canary[1], parent_failed=parent[0], parent_done=parent[1],
        failures=[False] * parent[0] + [True] * canary[0], hours=hours,
    )  # fmt: skip


def test_no_failure_says_nothing() -> None:
    assert look([], 0.2, ALPHA).e_value == 1.0


def test_the_likelihood_ratios_are_those_of_the_formula() -> None:
    by_hand = sum((ratio / (0.5 * ratio + 0.5)) ** 2 / (0.5 * ratio + 0.5) for ratio in (1.25, 1.5, 2, 3, 5)) / 5
    assert look([True, False, True], 0.5, ALPHA).e_value == pytest.approx(by_hand)


def test_what_chance_gives_is_expected_to_come_to_one() -> None:
    # A martingale: the mean over all ways in which four failures may fall, by how probable each is.
    share, total = 0.2, 0.0
    for way in range(16):
        failures = [bool(way >> bit & 1) for bit in range(4)]
        total += share ** sum(failures) * (1 - share) ** (4 - sum(failures)) * look(failures, share, ALPHA).e_value
    assert total == pytest.approx(1.0)


def test_an_alarm_stays_one_whatever_comes_after() -> None:
    cried = look([True] * 10 + [False] * 60, 0.2, ALPHA)
    assert (cried.alarm, cried.e_value < 1) == (True, True)


@pytest.mark.parametrize("trial", [Trial(0.3), Trial(0.1, share=0.5)], ids=str)
def test_false_alarms_of_all_looks_together_stay_below_alpha(trial: Trial) -> None:
    # And three standard errors of the simulation.
    assert alarms(trial, ALPHA) <= ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / RUNS)


@pytest.mark.parametrize(("ratio", "at_least"), [(2.0, 0.5), (3.0, 0.95)])
def test_harm_is_found(ratio: float, at_least: float) -> None:
    assert alarms(Trial(0.3, ratio), ALPHA, runs=400) >= at_least


def test_harm_that_begins_after_a_good_start_is_found() -> None:
    late = Trial(0.1, 6.0, calm=10)
    assert alarms(late, ALPHA, runs=400) >= 0.95
    assert (tasks_to_alarm(late) or late.tasks) < late.tasks


@pytest.mark.parametrize(
    ("trial", "outcome"),
    [
        (seen((0, 5), (0, 20)), None),
        (seen((0, 20), (0, 80)), "adopted"),
        (seen((8, 8), (2, 30)), "harm"),
        # Enough tasks, but it looks worse and is not shown to be: it goes on, and then ends without a word for it.
        (seen((4, 20), (8, 80)), None),
        (seen((12, 60), (28, 240)), "undecided"),
        (seen((6, 60), (24, 240)), "adopted"),
        # So few of the parent's count as none that fails.
        (seen((2, 20), (9, 9)), None),
        (seen((0, 5), (0, 20), hours=168), "undecided"),
    ],
)
def test_a_trial_ends_by_what_is_known(trial: CanarySeen, outcome: CanaryOutcome | None) -> None:
    assert decide(trial, RULES)[0] == outcome


@pytest.mark.parametrize(("failed", "outcome"), [(0, "adopted"), (3, "adopted"), (60, "undecided")])
def test_where_all_tasks_are_the_canarys_many_failures_never_adopt_it(failed: int, outcome: CanaryOutcome) -> None:
    assert decide(seen((failed, 60), (0, 0)), replace(RULES, share=1.0))[0] == outcome


def test_a_decision_says_its_numbers() -> None:
    assert decide(seen((0, 20), (0, 80)), RULES)[1] == (
        "no harm was seen: 0 of 20 tasks failed with it, 0 of 80 with its parent (e-value 1, alarm at 20)"
    )
