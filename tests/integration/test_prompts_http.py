"""Prompts over HTTP: what is active and how it came to be, the way back, and where each role stands in its limits."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from schema.columns import MARK
from schema.database import Database
from tests.support.audit import acts_of
from tests.support.http import client, problem, tenant_name
from tests.support.learning import START, approve, install_prompts, pending_update, propose

Token = Callable[..., str]
ROUTE = "/v1/prompts/developer"


async def teach(database: Database, tenant: str, *guidelines: str, adopted: int | None = None) -> list[UUID]:
    """Guidelines learned one after the other, the first `adopted` of them in force for all; their versions."""
    made = []
    for number, guideline in enumerate(guidelines):
        update_id = await pending_update(database, tenant, guideline=guideline)
        version = await approve(database, update_id, at=START + timedelta(days=number))
        assert isinstance(version, UUID)
        made.append(version)
        if adopted is None or number < adopted:
            async with database.service() as connection:
                finish = text("SELECT finish_prompt_canary(:id, 'adopted', 'golden', 'no harm')")
                await connection.execute(finish, {"id": update_id})
    return made


async def test_a_prompt_is_shown_with_its_canary_its_versions_and_its_log(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    first, second, third = await teach(database, tenant, "Close files.", "Name constants.", "Raise early.", adopted=2)
    async with client(gateway_url, token("viewer", tenant)) as http:
        found = (await http.get(ROUTE, params={"limit": 2})).json()
        page = {"cursor": found["next_cursor"], "before": found["next_move"]}
        rest = (await http.get(ROUTE, params=page)).json()

    assert (found["active"], found["previous"], found["canary"]["version"]) == (str(second), str(first), str(third))
    assert [(each["number"], each["text"]) for each in found["guidelines"]] == [
        (1, "Close files."), (2, "Name constants."),
    ]  # fmt: skip
    learned = [each for each in (*found["items"], *rest["items"]) if each["kind"] == "update"]
    assert [each["id"] for each in learned] == [str(third), str(second), str(first)]
    assert {(each["proposer"], each["approver"]) for each in learned} == {("ann", "bob")}
    own = [each["kind"] for each in (*found["moves"], *rest["moves"]) if each["tenant"] == tenant]
    assert own == ["canary", "adopted", "canary", "adopted", "canary"]


async def test_a_version_is_shown_in_full_and_beside_another(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    first, second = await teach(database, tenant, "Close files.", "Name constants.")
    async with client(gateway_url, token("viewer", tenant)) as http:
        whole = (await http.get(f"{ROUTE}/versions/{second}", params={"against": str(first)})).json()
        back = (await http.get(f"{ROUTE}/versions/{first}", params={"against": str(second)})).json()
        wrong = await http.get(f"{ROUTE}/versions/{first}", params={"against": str(uuid4())})
        elsewhere = await http.get(f"/v1/prompts/tester/versions/{first}")

    assert whole["text"].endswith("\n- Close files.\n- Name constants.")
    assert whole["difference"] == {
        "against": str(first), "added": ["Name constants."], "removed": [], "base_changed": False,
    }  # fmt: skip
    assert back["difference"]["removed"] == ["Name constants."]
    assert (wrong.status_code, elsewhere.status_code) == (422, 404)


async def test_a_rollback_is_for_new_tasks_at_once_ends_a_canary_and_is_on_record(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant, key = tenant_name(), {"Idempotency-Key": str(uuid4())}
    first, second, _ = await teach(database, tenant, "Close files.", "Name constants.", "Raise early.", adopted=2)
    said = {"version": str(first), "reason": "they named everything"}
    async with client(gateway_url, token("operator", tenant, "olga")) as http:
        done, repeated = [await http.post(f"{ROUTE}/rollback", json=said, headers=key) for _ in range(2)]
        again = await http.post(f"{ROUTE}/rollback", json=said)
        shown = (await http.get("/v1/approvals", params={"state": "rolled_back"})).json()["items"]

    assert [each["ended"] for each in shown] == [said["reason"], "rolled back by hand after it was adopted"]
    told = done.json()
    assert (done.status_code, told["active"], told["canary"]) == (200, str(first), None)
    assert (told["moves"][0]["reason"], told["moves"][0]["from_version"]) == (said["reason"], str(second))
    assert (repeated.status_code, again.status_code, problem(again)) == (200, 409, "version-active")
    async with database.service() as connection:
        stored = text("SELECT reason FROM prompt_moves WHERE tenant = :t AND kind = 'rolled_back'")
        assert all(str(each).startswith(MARK) for each in await connection.scalars(stored, {"t": tenant}))
    acts = [act for act in await acts_of(database, tenant) if act.action == "prompts.rollback"]
    assert {act.actor for act in acts} == {"olga"}
    assert not any(said["reason"] in (act.reason or "") for act in acts)


@pytest.mark.parametrize("what", ["never there", "never active", "another tenant's"])
async def test_only_to_what_was_active_here_is_rolled_back(
    what: str, gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    (tried,) = await teach(database, tenant, "Close files.", adopted=0)
    (theirs,) = await teach(database, tenant_name(), "Close files.")
    version = {"never there": uuid4(), "never active": tried, "another tenant's": theirs}[what]
    async with client(gateway_url, token("operator", tenant)) as http:
        answer = await http.post(f"{ROUTE}/rollback", json={"version": str(version), "reason": "it is bad"})

    assert answer.status_code == 422
    assert "golden prompts log developer" in answer.json()["errors"][0]["message"]


async def test_an_unknown_role_is_404_with_those_there_are(gateway_url: str, token: Token) -> None:
    async with client(gateway_url, token("viewer", tenant_name())) as http:
        answer = await http.get("/v1/prompts/manager")

    assert (answer.status_code, problem(answer)) == (404, "not-found")
    assert "architect, developer" in answer.json()["detail"]


async def test_the_limits_are_shown_as_they_are_at_a_time_with_what_waits(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    made = await pending_update(database, tenant, "security")
    assert isinstance(await approve(database, made), UUID)
    waiting = await propose(database, tenant, "security")
    async with database.tenant(tenant) as connection:
        await connection.execute(text("SELECT admit_prompt_update(:id)"), {"id": waiting})
    async with client(gateway_url, token("viewer", tenant)) as http:
        now = (await http.get("/v1/governance/status")).json()
        later = {"at": (datetime.now(UTC) + timedelta(days=2)).isoformat()}
        then = (await http.get("/v1/governance/status", params=later)).json()
        never = await http.get("/v1/governance/status", params={"at": "0001-01-01T00:00:00Z"})
        stats = (await http.get("/v1/governance/stats")).json()["items"]

    def of(status: dict[str, Any]) -> dict[str, Any]:
        return dict(next(each for each in status["items"] if each["role"] == "security"))

    assert [len(each["items"]) for each in (now, then)] == [5, 5]
    assert (of(now)["allowed"], of(now)["used_today"], of(now)["waiting"]) == (False, 1, 1)
    assert (of(then)["allowed"], of(then)["used_today"]) == (True, 0)
    assert [(each["id"], each["state"]) for each in now["queue"]] == [(str(waiting), "waiting")]
    assert now["queue"][0]["not_before"] is not None
    assert never.status_code == 422
    assert [(each["role"], each["proposed"], each["approved"]) for each in stats] == [("security", 2, 1)]


async def test_the_platform_is_asked_about_itself_by_whoever_speaks_for_it(
    gateway_url: str, token: Token, database: Database
) -> None:
    await install_prompts(database)
    async with client(gateway_url, token("operator", "*"), **{"Golden-Tenant": "*"}) as http:
        prompt = (await http.get(ROUTE)).json()
        status = (await http.get("/v1/governance/status")).json()
        rollback = await http.post(f"{ROUTE}/rollback", json={"version": prompt["active"], "reason": "as it is"})

    assert {each["tenant"] for each in (prompt, *status["items"])} == {"*"}
    assert (rollback.status_code, problem(rollback)) == (409, "version-active")
