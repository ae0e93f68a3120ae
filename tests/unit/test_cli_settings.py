"""The command line's settings: the token, the tenant and what is told where one is missing or bad."""

import json
from pathlib import Path

import pytest

from gateway.authorisation import Principal
from gateway.token_keys import KeyFolder
from gateway.token_reader import Issuer, TokenReader
from gateway.token_rules import own_rules
from schema.keys import ensure_signing_key, read_public_keys
from schema.settings import Settings
from tests.support.scripted_gateway import Golden, ScriptedGateway, problem
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden
from tests.unit.test_cli import file as file


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


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GOLDEN_RATE_LIMITS", "admin=100000", "admin: Input should be less than or equal to 10000"),
        ("GOLDEN_RATE_LIMITS", "viewer=x", "viewer: Input should be a valid integer"),
        ("GOLDEN_RATE_LIMITS", "root=5", "'root' is not one of admin"),
        ("GOLDEN_TRUSTED_PROXIES", "nowhere", "'nowhere'"),
    ],
)
def test_a_bad_setting_is_told_in_our_words_with_the_role_that_it_is_about(
    name: str, value: str, told: str, gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    code, _, err = golden("tasks")

    assert code == 2
    assert err.startswith(f"golden: {name}: {told}")
    assert err.count(value.partition("=")[0]) == 1
    assert "Value error" not in err


def test_token_issue_prints_a_good_token_alone(gateway: ScriptedGateway, golden: Golden) -> None:
    settings = Settings()
    ensure_signing_key(settings.keys_folder)

    code, out, _ = golden("token", "issue", "--role", "approver", "--tenant", "team-a", "--sub", "pat", "--ttl", "2h")

    outcome = TokenReader([Issuer(own_rules(settings), KeyFolder(settings))]).read(out.rstrip("\n"))
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


def test_without_the_keys_the_gateway_is_asked_for_a_token(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on("POST /v1/tokens", (201, {"token": "a.b.c"}))

    code, out, _ = golden("token", "issue", "--role", "viewer", "--tenant", "team-a")

    assert (code, out) == (0, "a.b.c\n")
    _, headers, body = gateway.asked[0]
    assert headers["golden-tenant"] == "team-a"
    assert json.loads(body) == {"sub": "cli", "role": "viewer", "tenant": "team-a", "ttl": "12h"}


def test_token_list_shows_who_has_which_and_what_is_revoked(gateway: ScriptedGateway, golden: Golden) -> None:
    token = {"jti": "id-1", "sub": "ann\x1b[31m", "role": "viewer", "tenant": "t1", "iat": 1, "exp": 2}
    items = [{**token, "issued_by": None, "revoked_at": "2026-01-01T00:00:00Z"}]
    gateway.on("GET /v1/tokens?limit=50&sub=ann", (200, {"items": items, "next_cursor": None}))

    code, out, _ = golden("token", "list", "--sub", "ann")

    assert code == 0
    assert "id-1" in out
    assert "(offline)" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "query"),
    [
        (("a b",), "jti=a%20b"),
        (("--sub", "ann"), "sub=ann"),
        (("--issued-before", "2026-11-23T10:00:00+01:00"), "issued_before=2026-11-23T10%3A00%3A00%2B01%3A00"),
        (("id-1", "--reason", "left"), "jti=id-1&reason=left"),
    ],
    ids=str,
)
def test_token_revoke_asks_the_gateway(
    arguments: tuple[str, ...], query: str, gateway: ScriptedGateway, golden: Golden
) -> None:
    gateway.on(f"DELETE /v1/tokens?{query}", (200, {}))

    assert golden("token", "revoke", *arguments, "--tenant", "team-b")[0] == 0
    assert gateway.asked[0][1]["golden-tenant"] == "team-b"


@pytest.mark.parametrize("arguments", [(), ("id-1", "--sub", "ann")], ids=str)
def test_what_to_revoke_is_said_once(arguments: tuple[str, ...], gateway: ScriptedGateway, golden: Golden) -> None:
    code, _, err = golden("token", "revoke", *arguments)

    assert (code, gateway.asked) == (2, [])
    assert "--issued-before" in err


def test_keys_are_rotated_listed_and_forgotten(gateway: ScriptedGateway, golden: Golden) -> None:
    folder = Settings().keys_folder
    old = ensure_signing_key(folder).kid

    new = golden("token", "rotate")[1].strip()
    assert golden("token", "keys")[1] == f"{new} signs\n{old} retired\n"
    assert golden("token", "rotate", "--forget", old)[0] == 0

    assert set(read_public_keys(folder)) == {new}
    code, _, err = golden("token", "rotate", "--forget", new)
    assert (code, "rotate first" in err) == (2, True)
