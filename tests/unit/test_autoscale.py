"""The autoscaler of the simulation obeys its limits, and the chart's rules hold still where nothing changes."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.scaling import SYNC_SECONDS, Autoscaler, read_rules

RULES = read_rules()
LOADS = st.lists(st.floats(0, 2_000), min_size=1, max_size=120)


def play(kind: str, metrics: list[float], *, naive: bool = False) -> tuple[Autoscaler, list[int]]:
    """The pods after each look at the metric, from the least on."""
    rule = RULES[kind].naive() if naive else RULES[kind]
    scaler, pods, seen = Autoscaler(rule), rule.least, [rule.least]
    for number, metric in enumerate(metrics):
        pods = scaler.decide(float(number * SYNC_SECONDS), pods, metric)
        seen.append(pods)
    return scaler, seen


@pytest.mark.parametrize("kind", RULES)
@given(metrics=LOADS)
def test_there_are_never_more_pods_than_the_most_nor_fewer_than_the_least(kind: str, metrics: list[float]) -> None:
    _, pods = play(kind, metrics)
    assert all(RULES[kind].least <= each <= RULES[kind].most for each in pods)


@pytest.mark.parametrize("kind", RULES)
@given(metrics=LOADS)
def test_pods_at_most_double_in_a_minute(kind: str, metrics: list[float]) -> None:
    _, pods = play(kind, metrics)
    looks = RULES[kind].up.period // SYNC_SECONDS
    for before, after in zip(pods, pods[looks:], strict=False):
        assert after <= 2 * before or after <= 2 * min(pods)


@pytest.mark.parametrize("kind", RULES)
@given(metrics=LOADS)
def test_of_pods_that_only_go_at_most_half_go_in_five_minutes(kind: str, metrics: list[float]) -> None:
    highest = [5_000.0] * 40
    _, pods = play(kind, [*highest, *sorted(metrics, reverse=True)])
    looks = RULES[kind].down.period // SYNC_SECONDS
    fell = pods[pods.index(max(pods)) :]
    for before, after in zip(fell, fell[looks - 1 :], strict=False):
        assert after >= math.floor(before / 2)


def test_a_steady_load_with_noise_moves_nothing_back_and_forth() -> None:
    noise = random.Random(7)  # noqa: S311 - not a secret
    scaler, _ = play("orchestrator", [60 * noise.uniform(0.8, 1.2) for _ in range(480)])
    assert scaler.taken_back() == scaler.flaps() == 0


def test_the_bare_table_flaps_under_that_noise() -> None:
    noise = random.Random(7)  # noqa: S311 - not a secret
    scaler, _ = play("orchestrator", [60 * noise.uniform(0.8, 1.2) for _ in range(480)], naive=True)
    assert scaler.flaps() > 0


def test_a_slow_model_alone_adds_no_pods() -> None:
    metric = RULES["peer-hub"].latency(p95=400.0, busy=0.3)
    _, pods = play("peer-hub", [metric] * 100)
    assert max(pods) == RULES["peer-hub"].least


def test_the_bare_table_adds_pods_to_a_slow_model_until_there_are_no_more() -> None:
    metric = RULES["peer-hub"].naive().latency(p95=400.0, busy=0.3)
    _, pods = play("peer-hub", [metric] * 100, naive=True)
    assert pods[-1] == RULES["peer-hub"].most


def test_without_a_metric_the_pods_stay() -> None:
    assert Autoscaler(RULES["sandbox"]).decide(0.0, 7, None) == 7
