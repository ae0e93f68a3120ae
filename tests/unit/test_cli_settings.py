"""The command line's settings: the token, the tenant and what is told where one is missing or bad."""

from pathlib import Path

import pytest

from gateway.authentication import KeyFolder, Verifier
from gateway.authorisation import Principal
from schema.settings import Settings
from tests.unit.test_cli import Golden, ScriptedGateway, problem
from tests.unit.test_cli import file as file
from tests.unit.test_cli import gateway as gateway
from tests.unit.test_cli import golden as golden


def test_without_a_token_the_folder_and_the_remedies_are_told(
    gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("GOLDEN_TOKEN")

    code, _, err = golden("tasks")

    assert code == 3
    assert err == (
        f"golden: no token in {tmp_path}: run golden there (cd to where `golden up` runs), "
        "or set GOLDEN_HOME or GOLDEN_TOKEN\n"
    )


@pytest.mark.parametrize("tenant", ["team-a", ""])
def test_the_tenant_of_the_environment_is_named_to_the_gateway(
    tenant: str, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDEN_TENANT", tenant)
    gateway.on("GET /v1/tasks?limit=50", (200, {"items": []}))

    assert golden("tasks", "--json")[0] == 0
    assert gateway.asked[0][1].get("golden-tenant", "") == tenant


def test_a_gateway_that_asks_for_the_tenant_is_told_as_the_setting(
    gateway: ScriptedGateway, golden: Golden, file: Path
) -> None:
    faults = [{"field": "Golden-Tenant", "message": "is required once"}]
    gateway.on("POST /v1/tasks", problem(422, "invalid-request", errors=faults))

    code, _, err = golden("submit", str(file))

    assert code == 3
    assert err == "golden: the token is for every tenant: set GOLDEN_TENANT to the one that is meant\n"


@pytest.mark.parametrize(
    ("name", "value"), [("GOLDEN_URL", "nonsense"), ("GOLDEN_GATEWAY_PORT", "99999999"), ("GOLDEN_TENANT", "A B")]
)
def test_a_bad_setting_is_told_by_its_name(
    name: str, value: str, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    code, _, err = golden("tasks")

    assert code == 2
    assert name in err


def test_token_issue_prints_a_good_token_alone(gateway: ScriptedGateway, golden: Golden) -> None:
    code, out, _ = golden("token", "issue", "--role", "approver", "--tenant", "team-a", "--sub", "pat", "--ttl", "2h")

    settings = Settings()
    outcome = Verifier(settings, KeyFolder(settings).find).authenticate(out.rstrip("\n"))
    assert code == 0
    assert isinstance(outcome, Principal)
    assert (outcome.sub, outcome.role, outcome.tenant) == ("pat", "approver", "team-a")
    assert gateway.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--role", "root", "--tenant", "a"),
        ("--role", "admin", "--tenant", "A B"),
        ("--role", "admin", "--tenant", "a", "--ttl", "soon"),
        ("--role", "admin", "--tenant", "a", "--ttl", "9999d"),
        ("--role", "admin", "--tenant", "a", "--sub", ""),
        ("--role", "admin"),
    ],
    ids=str,
)
def test_a_wrong_token_request_is_a_usage_error(
    arguments: tuple[str, ...], gateway: ScriptedGateway, golden: Golden
) -> None:
    code, out, _ = golden("token", "issue", *arguments)

    assert (code, out) == (2, "")
