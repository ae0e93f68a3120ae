"""The horizontal autoscaler's arithmetic, and the rules of the chart that it goes by.

After https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/: a ratio of metric and target with ten
per cent of tolerance, stabilisation windows, and policies that limit a change by per cent in a period.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

VALUES = Path(__file__).parent.parent / "deploy" / "chart" / "values.yaml"
TOLERANCE = 0.1
SYNC_SECONDS = 15


@dataclass(frozen=True)
class Policy:
    """At most `percent` of change in a period, after a recommendation has stood for a window; seconds."""

    percent: float
    period: int
    window: int


@dataclass(frozen=True)
class Rule:
    """How one kind of worker scales.

    Attributes:
        average: whether the metric is divided by the pods, as `averageValue`, or taken as it is, as `value`.
        gate: the busy share of the slots from which a latency counts; None where it always does.
    """

    least: int
    most: int
    threshold: float
    average: bool
    up: Policy
    down: Policy
    gate: float | None = None

    def naive(self) -> "Rule":
        """The same numbers, read as the bare table: nothing gated, nothing stabilised."""
        return replace(self, gate=None, up=replace(self.up, window=0), down=replace(self.down, window=0))

    def latency(self, p95: float, busy: float) -> float:
        """What a latency counts as: below the gate the pods follow the slots, and never upwards."""
        if self.gate is None or (p95 > self.threshold and busy >= self.gate):
            return p95
        return self.threshold * min(busy / self.gate, 1.0)


def read_rules(path: Path = VALUES) -> dict[str, Rule]:
    """The rule of every kind of worker, from the chart's values."""
    values: dict[str, Any] = yaml.safe_load(path.read_text())
    behavior = values["autoscaling"]["behavior"]
    up, down = (_policy(behavior[name]) for name in ("scaleUp", "scaleDown"))
    return {kind: _rule(each["autoscaling"], up, down) for kind, each in values["workers"].items()}


def _policy(told: dict[str, Any]) -> Policy:
    return Policy(told["percent"], told["periodSeconds"], told["stabilizationWindowSeconds"])


def _rule(told: dict[str, Any], up: Policy, down: Policy) -> Rule:
    gate = told.get("gate", {}).get("busyShare")
    return Rule(told["min"], told["max"], told["threshold"], told["target"] == "averageValue", up, down, gate)


@dataclass
class Autoscaler:
    """One autoscaler with its memory. `changes` are the times and amounts of what it did."""

    rule: Rule
    changes: list[tuple[float, int]] = field(default_factory=list)
    _wishes: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, pods: int, metric: float | None) -> int:
        """The pods there should be from now on; without a metric they stay."""
        if metric is None:
            return pods
        rule = self.rule
        self._wishes.append((now, max(rule.least, min(rule.most, self._wish(pods, metric)))))
        longest = max(rule.up.window, rule.down.window)
        self._wishes = [wish for wish in self._wishes if wish[0] >= now - longest]
        decided = self._limited(now, pods, self._steady(now, pods))
        if decided != pods:
            self.changes.append((now, decided - pods))
        return decided

    def _wish(self, pods: int, metric: float) -> int:
        average = self.rule.average
        ratio = metric / (self.rule.threshold * (pods if average else 1))
        if abs(ratio - 1) <= TOLERANCE:
            return pods
        return math.ceil(metric / self.rule.threshold if average else pods * ratio)

    def _steady(self, now: float, pods: int) -> int:
        """Upwards the least of the window, downwards the most."""
        higher = min(wish for at, wish in self._wishes if at >= now - self.rule.up.window)
        lower = max(wish for at, wish in self._wishes if at >= now - self.rule.down.window)
        return min(max(pods, higher), lower)

    def _limited(self, now: float, pods: int, wanted: int) -> int:
        up, down = self.rule.up, self.rule.down
        if wanted > pods:
            return max(pods, min(wanted, math.ceil(self._before(now, up.period, pods) * (1 + up.percent / 100))))
        if wanted < pods:
            return min(pods, max(wanted, int(self._before(now, down.period, pods) * (1 - down.percent / 100))))
        return pods

    def _before(self, now: float, period: int, pods: int) -> int:
        """The pods at the beginning of the period."""
        return pods - sum(change for at, change in self.changes if at > now - period)

    def taken_back(self, within: float = 300.0) -> int:
        """How often it went back on what it had done, sooner than `within` seconds after."""
        pairs = zip(self.changes, self.changes[1:], strict=False)
        return sum(before * after < 0 and later - at < within for (at, before), (later, after) in pairs)

    def flaps(self, within: float = 900.0) -> int:
        """How often it went back and forth and back within so many seconds."""
        threes = zip(self.changes, self.changes[1:], self.changes[2:], strict=False)
        return sum(
            first * second < 0 and second * third < 0 and later - at < within
            for (at, first), (_, second), (later, third) in threes
        )
