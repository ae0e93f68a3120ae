"""What pairs of runs say: exact numbers, the same for everybody, and no verdict that chance can give too often."""

import random
from math import comb
from uuid import UUID

import pytest

from activities.evaluation_stats import SIGNIFICANT, bootstrap_interval, mcnemar, report_of
from schema.messages.learning import EvaluationReport, PairRun, Verdict

UPDATE = UUID(int=7)


def runs(*, better: int = 0, worse: int = 0, same: int = 0, seeds: int = 1) -> list[PairRun]:
    """A task for each, with so many seeds that all came out alike."""
    outcomes = [(False, True)] * better + [(True, False)] * worse + [(True, True)] * same
    return [
        (UUID(int=number), seed, old, new) for number, (old, new) in enumerate(outcomes, 1) for seed in range(seeds)
    ]


def told(pairs: list[PairRun], *, margin: float = 0.05, min_tasks: int = 8) -> EvaluationReport:
    return report_of(UPDATE, pairs, margin=margin, min_tasks=min_tasks)


@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    # By hand: twice the tail of a fair coin, never above 1.
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 2 / 32), (6, 0, 2 / 64), (0, 6, 2 / 64), (8, 1, 20 / 512), (3, 3, 1.0)],
)
def test_the_p_value_is_exact(better: int, worse: int, p_value: float) -> None:
    assert mcnemar(better, worse) == p_value


def test_the_interval_is_the_same_for_whoever_works_it_out_again() -> None:
    pairs = runs(better=6, worse=2, same=12)
    shuffled = random.Random(1).sample(pairs, len(pairs))  # noqa: S311
    assert bootstrap_interval(pairs, "a") == bootstrap_interval(shuffled, "a")
    low, high = bootstrap_interval(pairs, "a")
    assert low < 4 / 20 < high


def test_seeds_of_one_task_make_no_interval_narrower() -> None:
    once, often = runs(better=6, worse=2, same=12), runs(better=6, worse=2, same=12, seeds=3)
    assert bootstrap_interval(often, "a") == bootstrap_interval(once, "a")


@pytest.mark.parametrize(
    ("pairs", "wanted"),
    [
        (runs(better=8, same=12), "better"),
        (runs(worse=8, same=12), "worse"),
        (runs(worse=2, same=18), "worse"),
        (runs(better=4, worse=3, same=13), "unclear"),
        # Too few, whatever they say.
        (runs(better=7), "unclear"),
        (runs(), "unclear"),
        # Six pairs of two tasks are two tasks.
        (runs(better=2, same=8, seeds=3), "unclear"),
    ],
)
def test_the_verdict_follows_from_the_pairs(pairs: list[PairRun], wanted: Verdict) -> None:
    assert told(pairs).verdict == wanted


def test_less_than_the_margin_is_neither_better_nor_worse() -> None:
    assert told(runs(better=8, same=12), margin=0.5).verdict == "unclear"
    assert told(runs(worse=8, same=12), margin=0.5).verdict == "unclear"


def test_a_report_says_its_numbers_in_a_sentence_and_keeps_every_pair() -> None:
    report = told(runs(better=8, same=12))
    assert report.why == (
        "better by the margin of 5 points or more, and not by chance: the new version did well in 20 of 20 runs over "
        "20 tasks, the old one in 12 (+40.0 points, 95 % from +20.0 to +60.0, p = 0.00781, over tasks 0.00781)"
    )
    again = EvaluationReport.model_validate_json(report.model_dump_json())
    assert report_of(UPDATE, again.runs, margin=0.05, min_tasks=8) == report


def test_where_nothing_differs_few_splits_look_better() -> None:
    # Of so many tasks that differ, each a fair coin: how probable are those splits that the test takes for a gain.
    for differ in range(1, 61):
        wrong = sum(
            comb(differ, better)
            for better in range(differ + 1)
            if 2 * better > differ and mcnemar(better, differ - better) <= SIGNIFICANT
        )
        assert wrong / 2**differ <= SIGNIFICANT / 2


def own(pairs: list[PairRun], by_rule: list[PairRun]) -> EvaluationReport:
    return report_of(UPDATE, pairs, margin=0.05, min_tasks=8, rule="lint/B006", rule_runs=by_rule)


@pytest.mark.parametrize(
    ("pairs", "by_rule", "wanted"),
    [
        (runs(better=3, worse=3, same=14), runs(better=6, same=14), "better"),
        # All together is better, but not for what it was proposed for.
        (runs(better=8, same=12), runs(better=2, worse=1, same=17), "unclear"),
        (runs(better=3, worse=5, same=12), runs(better=8, same=12), "unclear"),
        (runs(worse=8, same=12), runs(better=8, same=12), "worse"),
        (runs(better=7), runs(better=7), "unclear"),
        (runs(same=20), runs(better=1, same=19), "unclear"),
    ],
)
def test_what_is_to_mend_a_rule_is_better_where_that_fails_less_and_nothing_looks_worse(
    pairs: list[PairRun], by_rule: list[PairRun], wanted: Verdict
) -> None:
    report = own(pairs, by_rule)
    assert report.verdict == wanted
    assert report.rule is not None
    assert report.rule.runs == tuple(by_rule)
    assert (report.pairs, report.runs) == (len(pairs), tuple(pairs))
