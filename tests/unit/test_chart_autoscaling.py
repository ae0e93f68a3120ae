"""How the chart scales: the promised numbers, one autoscaler for a Deployment, series that exist."""

import re
from typing import Any

import pytest
import yaml

from deploy.chart_files import CHART, HERE
from schema.metrics import BY_NAME
from tests.support import chart
from tests.support.chart import Manifest

PROMISED = {
    "peer-hub": (2, 10, "Value", 150),
    "orchestrator": (2, 20, "AverageValue", 10),
    "sandbox": (3, 15, "AverageValue", 5),
    "supervisor": (1, 5, "AverageValue", 5),
}
FUNCTIONS = {
    "histogram_quantile", "sum", "by", "rate", "max", "vector", "scalar", "clamp_max", "and", "or", "on",
    "namespace", "le", "state", "m",
}  # fmt: skip


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((HERE / "alerts" / "autoscaling.rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def _autoscalers(mode: str) -> dict[str, Manifest]:
    kind = {"hpa": "HorizontalPodAutoscaler", "keda": "ScaledObject"}[mode]
    return chart.of_kind(chart.render({"autoscaling": {"mode": mode}}), kind)


@pytest.mark.parametrize("worker", PROMISED)
def test_hpa_has_the_promised_numbers(worker: str) -> None:
    spec = _autoscalers("hpa")[f"golden-{worker}"]["spec"]
    (metric,) = spec["metrics"]
    target = metric["external"]["target"]
    threshold = target["value" if target["type"] == "Value" else "averageValue"]
    assert (spec["minReplicas"], spec["maxReplicas"], target["type"], int(threshold)) == PROMISED[worker]


@pytest.mark.parametrize("worker", PROMISED)
def test_keda_has_the_promised_numbers(worker: str) -> None:
    spec = _autoscalers("keda")[f"golden-{worker}"]["spec"]
    (trigger,) = spec["triggers"]
    numbers = (spec["minReplicaCount"], spec["maxReplicaCount"], trigger["metricType"])
    assert (*numbers, int(trigger["metadata"]["threshold"])) == PROMISED[worker]


@pytest.mark.parametrize("mode", ["hpa", "keda"])
def test_pods_double_in_a_minute_at_most_and_halve_in_five(mode: str) -> None:
    for scaler in _autoscalers(mode).values():
        spec = scaler["spec"]
        behavior = spec["behavior"] if mode == "hpa" else spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        up, down = behavior["scaleUp"], behavior["scaleDown"]
        assert up["policies"] == [{"type": "Percent", "value": 100, "periodSeconds": 60}]
        assert down["policies"] == [{"type": "Percent", "value": 50, "periodSeconds": 300}]
        assert up["stabilizationWindowSeconds"] > 0
        assert down["stabilizationWindowSeconds"] >= 300


@pytest.mark.parametrize("mode", ["hpa", "keda", "none"])
def test_a_deployment_has_one_autoscaler_or_a_number_of_pods_never_both(mode: str) -> None:
    manifests = chart.render({"autoscaling": {"mode": mode}})
    kinds = {each["kind"] for each in manifests} & {"HorizontalPodAutoscaler", "ScaledObject"}
    assert kinds == {"hpa": {"HorizontalPodAutoscaler"}, "keda": {"ScaledObject"}, "none": set()}[mode]
    scaled = [
        each["spec"]["scaleTargetRef"]["name"] for kind in kinds for each in chart.of_kind(manifests, kind).values()
    ]
    assert len(scaled) == len(set(scaled))
    for name, deployment in chart.of_kind(manifests, "Deployment").items():
        assert ("replicas" in deployment["spec"]) != (name in scaled), name


def test_what_hpa_asks_for_is_what_the_adapter_is_told_to_give() -> None:
    manifests = chart.render()
    text = chart.of_kind(manifests, "ConfigMap")["golden-prometheus-adapter"]["data"]["values.yaml"]
    given = {rule["name"]["as"]: rule["seriesQuery"] for rule in yaml.safe_load(text)["rules"]["external"]}
    scalers = chart.of_kind(manifests, "HorizontalPodAutoscaler").values()
    asked = {metric["external"]["metric"]["name"] for each in scalers for metric in each["spec"]["metrics"]}
    assert asked == set(given)
    recorded = {rule["record"] for rule in _rules()}
    assert {re.search(r'__name__="([^"]+)"', query)[1] for query in given.values()} <= recorded  # type: ignore[index]


def test_what_keda_asks_for_is_recorded_and_of_its_own_namespace() -> None:
    recorded = {rule["record"] for rule in _rules()}
    for scaler in _autoscalers("keda").values():
        metadata = scaler["spec"]["triggers"][0]["metadata"]
        series, namespace = re.fullmatch(r'max\(([a-z_:0-9]+)\{namespace="([a-z]+)"\}\)', metadata["query"]).groups()  # type: ignore[union-attr]
        assert series in recorded
        assert namespace == "prod"
        assert metadata["ignoreNullValues"] == "false"


def test_every_series_that_a_rule_reads_exists() -> None:
    known = {rule["record"] for rule in _rules()} | set(BY_NAME)
    known |= {f"{metric.name}_bucket" for metric in BY_NAME.values() if metric.kind == "histogram"}
    for rule in _rules():
        bare = re.sub(r'\{[^}]*\}|"[^"]*"|\[[^\]]*\]', "", rule["expr"])
        assert set(re.findall(r"[a-z_][a-z_:0-9]*", bare)) - FUNCTIONS <= known, rule["record"]


def test_the_gate_of_the_rules_is_that_of_the_values() -> None:
    own = yaml.safe_load((CHART / "values.yaml").read_text())["workers"]["peer-hub"]["autoscaling"]
    numbers = {rule["record"]: rule["expr"] for rule in _rules()}
    assert numbers["golden:autoscale_consensus_target_seconds"] == f"vector({own['threshold']})"
    assert numbers["golden:autoscale_busy_target_share"] == f"vector({own['gate']['busyShare']})"


def test_the_cluster_gets_the_gate_that_its_values_say() -> None:
    scaling = {"autoscaling": {"threshold": 90, "gate": {"busyShare": 0.6}}}
    manifests = chart.render({"workers": {"peer-hub": scaling}})
    groups = chart.of_kind(manifests, "PrometheusRule")["golden"]["spec"]["groups"]
    numbers = {rule.get("record"): rule["expr"] for group in groups for rule in group["rules"]}
    assert numbers["golden:autoscale_consensus_target_seconds"] == "vector(90)"
    assert numbers["golden:autoscale_busy_target_share"] == "vector(0.6)"
    scaler = chart.of_kind(manifests, "HorizontalPodAutoscaler")["golden-peer-hub"]
    assert scaler["spec"]["metrics"][0]["external"]["target"]["value"] == "90"
