"""Renders the chart as a cluster would get it."""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

from deploy.chart_files import CHART

Manifest = dict[str, Any]

NEEDED: Manifest = {
    "image": {"repository": "registry.example/golden"},
    "settings": {"temporalAddress": "temporal.example:7233"},
    "secrets": {
        "database": {"name": "golden-database"},
        "keys": {"name": "golden-keys"},
        "models": {"name": "golden-models"},
        "docker": {"name": "golden-docker"},
    },
    "sandbox": {"dockerHost": "tcp://sandbox.example:2376"},
}
"""What has no default."""

EVERYTHING: Manifest = {
    "autoscaling": {"mode": "keda", "keda": {"authentication": {"secretName": "prometheus", "ca": True}}},
    "gateway": {
        "ingress": {"enabled": True, "className": "nginx", "host": "golden.example", "tlsSecret": "golden-tls"},
        "trustedProxies": "10.0.0.0/8",
        "podLabels": {"team": "platform"},
        "nodeSelector": {"pool": "web"},
        "priorityClassName": "high",
    },
    "secrets": {
        "temporal": {"name": "golden-temporal", "apiKey": True, "tls": True, "ca": True},
        "gatewayTls": {"name": "golden-tls"},
    },
    "settings": {"env": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://otel.example:4318"}, "temporalUiUrl": "http://ui:8080"},
    "image": {"digest": f"sha256:{'0' * 64}", "pullSecrets": [{"name": "registry"}]},
    "versioning": {
        "enabled": True,
        "buildId": "2.0.0",
        "old": [{"buildId": "1.9.0", "tag": "1.9.0"}, {"buildId": "1.8.0", "tag": "1.8.0", "kinds": ["orchestrator"]}],
    },
    "workerDefaults": {"tolerations": [{"key": "golden", "operator": "Exists"}]},
    "networkPolicies": {"egress": {"extra": [{"port": 4318}]}},
    "monitoring": {"labels": {"release": "prometheus"}},
}
"""Every switch on."""


def merged(*layers: Manifest) -> Manifest:
    """Values over values, as Helm lays files of them over one another."""
    result: Manifest = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, dict) and isinstance(result.get(name), dict)
            result[name] = merged(result[name], value) if both else value
    return result


def render(values: Manifest | None = None) -> list[Manifest]:
    """The manifests of a release `golden` in `prod`, with these values over those that are needed.

    Raises:
        HelmError: the values are refused.
    """
    return list(_rendered(json.dumps(merged(NEEDED, values or {}))))


def of_kind(manifests: list[Manifest], kind: str) -> dict[str, Manifest]:
    """The manifests of one kind by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] == kind}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    """The pod templates of everything that makes pods, by kind and name."""
    makers = ("Deployment", "Job", "StatefulSet", "DaemonSet")
    return {
        f"{each['kind']}/{each['metadata']['name']}": each["spec"]["template"]
        for each in manifests
        if each["kind"] in makers
    }


def containers(pod: Manifest) -> Iterator[Manifest]:
    """Every container of a pod template."""
    yield from pod["spec"].get("initContainers", [])
    yield from pod["spec"]["containers"]


def schema_of(kind: str) -> Manifest:
    """The schema of a custom resource."""
    loaded: Manifest = json.loads((Path(__file__).parent / "crds" / f"{kind}.json").read_text())
    return loaded


@cache
def _rendered(values: str) -> tuple[Manifest, ...]:
    with Chart.load(CHART) as chart:
        files = chart.render(json.loads(values), name="golden", namespace="prod")
    texts = [text for path, text in sorted(files.items()) if path.endswith(".yaml")]
    return tuple(manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest)
