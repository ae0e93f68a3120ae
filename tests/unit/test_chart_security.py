"""What the chart's pods may do, whom they talk to, and where their secrets lie."""

import copy
from typing import Any

import pytest

from tests.support import chart
from tests.support.chart import EVERYTHING, Manifest
from tests.support.pod_security import violations

SECRETS = ("GOLDEN_DATABASE_URL", "GOLDEN_DATABASE_TENANT_URL", "GOLDEN_DATABASE_MIGRATOR_URL", "TEMPORAL_API_KEY")
FORBIDDEN: dict[str, Any] = {
    "hostNetwork": lambda pod: pod["spec"].update(hostNetwork=True),
    "hostPath": lambda pod: pod["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
    "root": lambda pod: pod["spec"]["securityContext"].update(runAsUser=0),
    "perhaps root": lambda pod: pod["spec"]["securityContext"].pop("runAsNonRoot"),
    "no seccomp": lambda pod: pod["spec"]["securityContext"].pop("seccompProfile"),
    "privileged": lambda pod: _security(pod).update(privileged=True),
    "escalation": lambda pod: _security(pod).pop("allowPrivilegeEscalation"),
    "capabilities": lambda pod: _security(pod).pop("capabilities"),
    "added capability": lambda pod: _security(pod)["capabilities"].update(add=["SYS_ADMIN"]),
    "hostPort": lambda pod: pod["spec"]["containers"][0]["ports"].append({"containerPort": 1, "hostPort": 1}),
    "sysctl": lambda pod: pod["spec"]["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
}


@pytest.fixture(params=[{}, EVERYTHING], ids=["as it comes", "everything"], scope="module")
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return chart.render(request.param)


def test_every_pod_is_restricted(manifests: list[Manifest]) -> None:
    assert {name: found for name, pod in chart.pods(manifests).items() if (found := violations(pod))} == {}


@pytest.mark.parametrize("breach", FORBIDDEN)
def test_the_check_of_restricted_sees(breach: str) -> None:
    pod = copy.deepcopy(chart.pods(chart.render())["Deployment/golden-gateway"])
    FORBIDDEN[breach](pod)
    assert violations(pod)


def test_roots_are_read_only_and_there_is_a_limit_of_memory(manifests: list[Manifest]) -> None:
    for pod in chart.pods(manifests).values():
        for container in chart.containers(pod):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert "memory" in container["resources"]["limits"]


def test_no_pod_and_no_account_gets_a_token(manifests: list[Manifest]) -> None:
    for pod in chart.pods(manifests).values():
        assert pod["spec"]["automountServiceAccountToken"] is False
    accounts = chart.of_kind(manifests, "ServiceAccount")
    assert accounts
    assert all(account["automountServiceAccountToken"] is False for account in accounts.values())
    assert not {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"} & {each["kind"] for each in manifests}


def test_services_of_the_namespace_set_no_settings(manifests: list[Manifest]) -> None:
    assert all(pod["spec"]["enableServiceLinks"] is False for pod in chart.pods(manifests).values())


def test_no_secret_is_made_or_given_as_a_value(manifests: list[Manifest]) -> None:
    assert not chart.of_kind(manifests, "Secret")
    for pod in chart.pods(manifests).values():
        names = {each["name"] for container in chart.containers(pod) for each in container.get("env", [])}
        assert not names & set(SECRETS)


def test_only_the_migration_sees_the_migrators_url_and_only_the_gateway_the_signing_keys() -> None:
    pods = chart.pods(chart.render())
    items = {name: {item["key"] for item in _secret(pod, "database")["items"]} for name, pod in pods.items()}
    assert [name for name, keys in items.items() if "migrator-url" in keys] == ["Job/golden-migration"]
    signing = [name for name, pod in pods.items() if any(each["name"] == "signing" for each in pod["spec"]["volumes"])]
    assert signing == ["Deployment/golden-gateway"]


def test_the_sandbox_workers_reach_docker_over_tls_and_see_no_model_key() -> None:
    pod = chart.pods(chart.render())["Deployment/golden-sandbox"]
    env = {each["name"]: each["value"] for each in pod["spec"]["containers"][0]["env"]}
    assert env["DOCKER_HOST"].startswith("tcp://")
    assert env["DOCKER_TLS_VERIFY"] == "1"
    assert not [volume for volume in pod["spec"]["volumes"] if volume["name"] == "models"]


def test_nothing_is_let_in_but_calls_of_the_gateway_and_scrapes() -> None:
    policies = chart.of_kind(chart.render(), "NetworkPolicy")
    denied = policies.pop("golden-default-deny")["spec"]
    assert denied["policyTypes"] == ["Ingress", "Egress"]
    assert not {"ingress", "egress"} & set(denied)
    for name, policy in policies.items():
        for rule in policy["spec"]["ingress"]:
            ports = [port["port"] for port in rule["ports"]]
            assert (ports == ["metrics"] and rule["from"]) or (name, ports) == ("golden-gateway", ["http"])


def test_every_pod_has_a_policy_of_its_own_and_only_the_sandbox_reaches_docker(manifests: list[Manifest]) -> None:
    policies = chart.of_kind(manifests, "NetworkPolicy")
    for name, pod in chart.pods(manifests).items():
        labels = pod["metadata"]["labels"].items()
        own = [each for each in policies.values() if each["spec"]["podSelector"]["matchLabels"].items() <= labels]
        assert len(own) == 2, name
        ports = {port["port"] for each in own for rule in each["spec"].get("egress", []) for port in rule["ports"]}
        assert (2376 in ports) == ("sandbox" in name)
        assert {53, 5432} <= ports


def test_a_budget_never_keeps_a_node_from_being_drained(manifests: list[Manifest]) -> None:
    budgets = chart.of_kind(manifests, "PodDisruptionBudget")
    assert budgets
    assert all("minAvailable" not in each["spec"] and each["spec"]["maxUnavailable"] for each in budgets.values())


def _security(pod: Manifest) -> Any:
    return pod["spec"]["containers"][0]["securityContext"]


def _secret(pod: Manifest, name: str) -> Any:
    return next(volume["secret"] for volume in pod["spec"]["volumes"] if volume["name"] == name)
