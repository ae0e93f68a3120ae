"""A seed repeats a storm: the same tasks, the same faults, the same kills in the same order."""

from itertools import islice

import pytest

from tests.chaos.storm_plan import OUTSIDE, PARTS, Plan
from tests.support.provider import Asked
from tests.support.stormy_provider import WEIGHTS, StormyProvider

PLAN = Plan(seed=7, seconds=60, parts=(*PARTS, *OUTSIDE))
OTHER = Plan(seed=8, seconds=60, parts=(*PARTS, *OUTSIDE))


def faults(seed: int) -> list[str | None]:
    provider = StormyProvider(1, seed, stall_seconds=1)
    return [provider.fault_of(Asked("storm", "developer", False, {})) for _ in range(300)]


def test_the_same_seed_plans_the_same_storm() -> None:
    again = Plan(seed=7, seconds=60, parts=PLAN.parts)
    assert list(islice(PLAN.kills(), 50)) == list(islice(again.kills(), 50))
    assert list(islice(PLAN.tasks("north"), 50)) == list(islice(again.tasks("north"), 50))
    assert faults(7) == faults(7)


def test_another_seed_plans_another_storm() -> None:
    assert list(islice(PLAN.kills(), 50)) != list(islice(OTHER.kills(), 50))
    assert list(islice(PLAN.tasks("north"), 50)) != list(islice(OTHER.tasks("north"), 50))
    assert faults(7) != faults(8)


def test_every_part_is_killed_before_one_is_killed_again() -> None:
    order = [part for _, part in islice(PLAN.kills(), 3 * len(PLAN.parts))]
    for round_number in range(3):
        first = round_number * len(PLAN.parts)
        assert sorted(order[first : first + len(PLAN.parts)]) == sorted(PLAN.parts)


def test_every_fault_comes_and_most_requests_meet_none() -> None:
    met = faults(7)
    assert set(met) == {None, *WEIGHTS}
    assert met.count(None) > len(met) / 2


def test_the_short_form_leaves_alone_what_other_tests_need(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOLDEN_CHAOS_SEED", "GOLDEN_CHAOS_SECONDS", "GOLDEN_CHAOS_PARTS"):
        monkeypatch.delenv(name, raising=False)
    assert set(Plan.from_environment().parts) == set(PARTS)
    monkeypatch.setenv("GOLDEN_CHAOS_SECONDS", "300")
    assert set(Plan.from_environment().parts) == {*PARTS, *OUTSIDE}
    monkeypatch.setenv("GOLDEN_CHAOS_PARTS", "worker,dockerd")
    assert set(Plan.from_environment().parts) == {"worker", "dockerd"}
