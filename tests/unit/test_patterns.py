"""Patterns: exact tails, the false discovery rate, different tasks, and how seldom noise is taken for a pattern."""

import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import comb
from uuid import UUID

import pytest

from activities.patterns import (
    Counted,
    Group,
    Thresholds,
    Window,
    Worked,
    binomial_tail,
    find_patterns,
    judged,
    q_values,
)
from schema.messages.learning import Pattern

START = datetime(2026, 1, 1, tzinfo=UTC)
HELD = Thresholds(fdr=0.05, min_tasks=5, base_rate=0.05, window_days=14)
GROUP = Group("t", "developer")


def worked(number: int, *rules: str, spec: str | None = None) -> Worked:
    return Worked(UUID(int=number), spec or f"spec {number}", rules, START + timedelta(hours=number))


def found(window: Window, held: Thresholds = HELD) -> list[Pattern]:
    return [pattern for _, pattern in find_patterns({GROUP: window.counted({})}, held)]


@pytest.mark.parametrize("rate", [Fraction(1, 20), Fraction(3, 10), Fraction(19, 20)])
@pytest.mark.parametrize("tasks", [1, 2, 7, 40])
def test_the_tail_is_the_sum_of_all_that_is_as_bad(tasks: int, rate: Fraction) -> None:
    for failing in range(tasks + 2):
        terms = (comb(tasks, k) * rate**k * (1 - rate) ** (tasks - k) for k in range(failing, tasks + 1))
        assert binomial_tail(failing, tasks, float(rate)) == pytest.approx(float(sum(terms)), rel=1e-10, abs=1e-15)


def test_the_tail_of_very_many_tasks_neither_overflows_nor_is_lost() -> None:
    assert binomial_tail(100_000, 1_000_000, 0.05) == 0.0
    assert binomial_tail(1, 1_000_000, 0.05) == 1.0
    # By the central limit theorem, with the correction for whole numbers.
    assert binomial_tail(50_000, 1_000_000, 0.05) == pytest.approx(0.5, abs=0.002)


def test_q_values_are_those_of_benjamini_and_hochberg() -> None:
    # The 15 p-values of their paper's example, which rejects the first four at 0.05.
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0,
    ]  # fmt: skip
    assert [q <= 0.05 for q in q_values(p_values)] == [True] * 4 + [False] * 11
    assert q_values([0.04, 0.01]) == [0.04, 0.02]


def test_a_planted_rule_is_found_with_its_numbers() -> None:
    window = Window()
    for number in range(40):
        window.add(
            worked(number, *(["security/B602"] if number % 4 == 0 else []), *(["lint/E711"] if not number else []))
        )
    (pattern,) = found(window)
    assert (pattern.rule, pattern.tasks, pattern.failing, pattern.base_rate) == ("security/B602", 40, 10, 0.05)
    assert pattern.p_value == pytest.approx(binomial_tail(10, 40, 0.05))
    assert pattern.q_value == pytest.approx(2 * pattern.p_value)
    assert pattern.task_ids == tuple(UUID(int=number) for number in range(36, -1, -4))


def test_the_same_task_ten_times_is_one_task() -> None:
    window = Window()
    for number in range(10):
        window.add(worked(number, "security/B602", spec="the same"))
        window.add(worked(100 + number))
    assert window.counted({})["security/B602"] == Counted(11, 1, (UUID(int=9),))
    assert found(window) == []


def test_a_rule_that_fails_as_often_as_all_others_is_no_pattern() -> None:
    window = Window()
    for number in range(40):
        window.add(worked(number, *(f"tests/{name}" for place, name in enumerate("abc") if (number + place) % 3 == 0)))
    assert found(window) == []


def test_what_came_before_the_last_answer_to_a_rule_does_not_count() -> None:
    window = Window()
    for number in range(20):
        window.add(worked(number, "security/B602", "lint/E711"))
    counted = window.counted({"security/B602": START + timedelta(hours=16)})
    assert (counted["security/B602"].tasks, counted["security/B602"].failing) == (3, 3)
    assert (counted["lint/E711"].tasks, counted["lint/E711"].failing) == (20, 20)


@pytest.mark.parametrize(
    ("ballot", "truth", "rules"),
    [
        ("approve", None, ["ballot/false-reject", "x"]),
        ("approve", True, ["x"]),
        ("approve", False, ["x", "ballot/false-accept"]),
        ("reject", True, ["x", "ballot/false-reject"]),
        ("reject", False, ["x"]),
        ("abstain", False, ["ballot/false-reject", "x"]),
        (None, False, ["ballot/false-reject", "x"]),
    ],
)
def test_a_truth_that_came_later_says_who_was_wrong(ballot: str | None, truth: bool | None, rules: list[str]) -> None:
    assert judged(["ballot/false-reject", "x"], ballot, truth) == rules


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_of_scans_of_noise_alone_no_more_than_the_rate_finds_anything(rate: float) -> None:
    chance = random.Random(7)  # noqa: S311 - not a secret
    alarms = 0
    for _ in range(400):
        groups = {}
        for tenant in "abc":
            window = Window()
            for number in range(40):
                window.add(worked(number, *(f"r/{name}" for name in range(8) if chance.random() < rate)))
            groups[Group(tenant, "developer")] = window.counted({})
        alarms += bool(find_patterns(groups, HELD))
    assert alarms <= 400 * 0.05
