"""The chart as Kubernetes gets it: of valid shape, with every reference pointing at something."""

from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from helm_python.chart import Chart, lint

from deploy import chart_files
from gateway.main import DRAIN_SECONDS
from tests.support import chart
from tests.support.chart import EVERYTHING, NEEDED, Manifest
from workers.kinds import KINDS
from workers.main import GRACE

CUSTOM = {path.stem for path in (Path(chart.__file__).parent / "crds").glob("*.json")}
VARIANTS: dict[str, Manifest] = {
    "as it comes": {},
    "keda": {"autoscaling": {"mode": "keda"}},
    "no autoscaler": {"autoscaling": {"mode": "none"}},
    "everything": EVERYTHING,
    "as little as possible": {
        "autoscaling": {"mode": "none"},
        "exporter": {"enabled": False},
        "gateway": {"replicas": 1, "anchor": {"mode": "ephemeral"}},
        "migration": {"enabled": False},
        "monitoring": {"enabled": False},
        "networkPolicies": {"enabled": False},
        "podDisruptionBudgets": {"enabled": False},
        "topologySpread": {"enabled": False},
    },
}


@pytest.fixture(params=VARIANTS, scope="module")
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return chart.render(VARIANTS[request.param])


@pytest.mark.parametrize("version", ["1.29", "1.33"])
def test_kubernetes_takes_every_manifest_of_its_own_kinds(manifests: list[Manifest], version: str) -> None:
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_operators_take_their_custom_resources(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] in CUSTOM:
            jsonschema.validate(manifest, chart.schema_of(manifest["kind"]))


def test_helm_lint_finds_nothing_to_object_to() -> None:
    report = lint(chart_files.CHART, NEEDED, strict=True)
    assert not report["errors"]
    assert all(message["severity"] < 2 for message in report["messages"]), report


def test_there_is_a_deployment_for_every_kind_of_worker() -> None:
    found = chart.of_kind(chart.render(), "Deployment")
    assert set(found) == {f"golden-{name}" for name in (*KINDS, "gateway", "exporter")}


def test_no_two_manifests_have_one_name(manifests: list[Manifest]) -> None:
    names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
    assert len(names) == len(set(names))


def test_every_selector_finds_exactly_its_own_pods(manifests: list[Manifest]) -> None:
    pods = chart.pods(manifests)
    for name, deployment in chart.of_kind(manifests, "Deployment").items():
        found = _found(deployment["spec"]["selector"], pods)
        assert found == [f"Deployment/{name}"]
    for name, service in chart.of_kind(manifests, "Service").items():
        found = _found({"matchLabels": service["spec"]["selector"]}, pods)
        assert len(found) == 1, name
        named = {port["name"] for port in pods[found[0]]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    for budget in chart.of_kind(manifests, "PodDisruptionBudget").values():
        assert len(_found(budget["spec"]["selector"], pods)) == 1


def test_prometheus_finds_every_process(manifests: list[Manifest]) -> None:
    pods, services = chart.pods(manifests), chart.of_kind(manifests, "Service")
    seen = {
        name
        for each in chart.of_kind(manifests, "PodMonitor").values()
        for name in _found(each["spec"]["selector"], pods)
    }
    for monitor in chart.of_kind(manifests, "ServiceMonitor").values():
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        matching = [each for each in services.values() if wanted <= each["metadata"]["labels"].items()]
        assert len(matching) == 1
        seen |= set(_found({"matchLabels": matching[0]["spec"]["selector"]}, pods))
    if seen or chart.of_kind(manifests, "PodMonitor"):
        assert seen == {name for name in pods if name.startswith("Deployment/")}


def test_every_volume_config_map_and_account_that_is_named_is_there(manifests: list[Manifest]) -> None:
    accounts, maps = chart.of_kind(manifests, "ServiceAccount"), chart.of_kind(manifests, "ConfigMap")
    for name, pod in chart.pods(manifests).items():
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounted = {mount["name"] for each in chart.containers(pod) for mount in each["volumeMounts"]}
        assert mounted == volumes, name
        assert pod["spec"]["serviceAccountName"] in accounts
        named = {source["configMapRef"]["name"] for each in chart.containers(pod) for source in each.get("envFrom", [])}
        assert named <= set(maps)


def test_files_that_settings_name_lie_in_a_volume(manifests: list[Manifest]) -> None:
    for name, pod in chart.pods(manifests).items():
        for container in chart.containers(pod):
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            paths = [each["value"] for each in container.get("env", []) if str(each.get("value")).startswith("/")]
            for path in paths:
                assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), (name, path)


def test_pods_get_longer_to_end_than_their_processes_take() -> None:
    pods = chart.pods(chart.render())
    for name, pod in pods.items():
        if not name.startswith("Deployment/"):
            continue
        pause = int(
            pod["spec"]["containers"][0]
            .get("lifecycle", {})
            .get("preStop", {})
            .get("exec", {})
            .get("command", [0, 0])[1]
        )
        needed = pause + (DRAIN_SECONDS if name.endswith("-gateway") else GRACE.total_seconds())
        assert pod["spec"]["terminationGracePeriodSeconds"] > needed + 5, name


def test_every_process_is_probed(manifests: list[Manifest]) -> None:
    for name, pod in chart.pods(manifests).items():
        if name.startswith("Deployment/"):
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(pod["spec"]["containers"][0]), name


def test_old_builds_live_on_beside_the_new_one_with_their_own_image_and_without_an_autoscaler() -> None:
    manifests = chart.render(EVERYTHING)
    deployments = chart.of_kind(manifests, "Deployment")
    old, new = deployments["golden-orchestrator-1-9-0"], deployments["golden-orchestrator"]
    assert {_env(old)["GOLDEN_BUILD_ID"], _env(new)["GOLDEN_BUILD_ID"]} == {"1.9.0", "2.0.0"}
    assert old["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1.9.0")
    assert old["spec"]["replicas"] == 1
    assert "golden-peer-hub-1-8-0" not in deployments
    targets = [each["spec"]["scaleTargetRef"]["name"] for each in chart.of_kind(manifests, "ScaledObject").values()]
    assert not [name for name in targets if "1-9-0" in name]


def test_the_chart_has_the_rules_and_dashboards_of_today() -> None:
    assert chart_files.stale() == [], "run `make chart`"


def test_a_packaged_chart_is_loaded_again(tmp_path: Path) -> None:
    with Chart.load(chart_files.CHART) as loaded:
        archive = loaded.save(tmp_path)
    with Chart.load(archive) as again:
        assert again.name == "golden"
        assert again.render(NEEDED, name="golden", namespace="prod")


def _env(deployment: Manifest) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in deployment["spec"]["template"]["spec"]["containers"][0]["env"]}


def _found(selector: Manifest, pods: dict[str, Manifest]) -> list[str]:
    """The pods that a label selector finds."""
    wanted = selector.get("matchLabels", {}).items()
    among = [(each["key"], each["values"]) for each in selector.get("matchExpressions", [])]
    labels = {name: pod["metadata"]["labels"] for name, pod in pods.items()}
    return [
        name
        for name, has in labels.items()
        if wanted <= has.items() and all(has.get(key) in values for key, values in among)
    ]
