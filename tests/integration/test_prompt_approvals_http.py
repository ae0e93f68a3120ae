"""Changes of prompts that people decide on over HTTP, by the same rules as whoever calls the functions by hand."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import insert, select, text, update

from schema.columns import MARK
from schema.database import Database
from schema.engine import connect
from schema.settings import Settings
from schema.tables import learning_updates, prompt_limits
from tests.integration.conftest import running_gateway
from tests.support.audit import acts_of
from tests.support.http import client, problem, tenant_name
from tests.support.learning import Refused, approve, pending_update, propose, row_of
from tests.support.parts import free_port

Token = Callable[..., str]
ROUTE = "/v1/approvals"
AWAY = "127.0.0.1:1"


async def shown(http: httpx.AsyncClient, update_id: UUID) -> dict[str, Any]:
    return dict((await http.get(f"{ROUTE}/{update_id}")).json())


async def decide(http: httpx.AsyncClient, found: dict[str, Any], act: str = "approve", **body: Any) -> httpx.Response:
    said = {"reason": "it is right", "digest": found["digest"], **body}
    return await http.post(f"{ROUTE}/{found['id']}/{act}", json=said)


async def test_what_was_shown_is_approved_by_another_and_goes_to_a_share_of_the_new_tasks(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant, guideline="Close every file.")
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        found = await shown(http, update_id)
        done = (await decide(http, found)).json()
        prompt = (await http.get("/v1/prompts/developer")).json()

    assert found["diff"] == {"op": "add", "before": None, "after": "Close every file."}
    assert found["on_yes"].startswith("20 % of the new tasks get the new version")
    assert (done["state"], done["decided_by"], done["reason"], done["approvals"]) == (
        "approved", "bob", "it is right", 1,
    )  # fmt: skip
    assert (prompt["canary"]["version"], prompt["canary"]["share"]) == (done["version"], 20)
    assert prompt["guidelines"] == []
    async with database.service() as connection:
        sealed = await connection.scalar(text("SELECT reason FROM learning_updates WHERE id = :id"), {"id": update_id})
    assert str(sealed).startswith(MARK)
    acts = [(act.actor, act.action, act.digest) for act in await acts_of(database, tenant)]
    told = [act for act in acts if act[1].endswith(".approve")]
    assert told == [("bob", f"{what}.approve", found["digest"]) for what in ("prompts", "approvals")]


@pytest.mark.parametrize("changes", [{"digest": "1" * 64}, {}], ids=["another digest", "another diff"])
async def test_nothing_else_is_approved_than_what_is_there(
    changes: dict[str, str], gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    if not changes:
        other = {"op": "add", "before": None, "after": "Something harmless."}
        async with database.service() as connection:
            mine = update(learning_updates).where(learning_updates.c.id == update_id)
            await connection.execute(mine.values(diff=other))
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        found = await shown(http, update_id)
        answer = await decide(http, found, **changes)

        assert (answer.status_code, problem(answer)) == (409, "digest-changed")
        assert (await shown(http, update_id))["state"] == "pending"
        # What can't be trusted is rejected all the same.
        assert (await decide(http, found, "reject")).json()["state"] == "rejected"


async def test_one_made_from_another_version_has_to_be_looked_at_again(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    late, first = [await pending_update(database, tenant) for _ in range(2)]
    assert isinstance(await approve(database, first, at=datetime.now(UTC) - timedelta(days=30)), UUID)
    async with database.service() as connection:
        finish = text("SELECT finish_prompt_canary(:id, 'adopted', 'golden', 'no harm')")
        await connection.execute(finish, {"id": first})
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        found = await shown(http, late)
        answer = await decide(http, found)

    assert found["on_yes"].startswith("nothing yet: the prompt was changed since")
    assert (answer.status_code, problem(answer)) == (409, "digest-changed")
    assert "evaluated anew" in answer.json()["detail"]


async def test_a_limit_that_is_spent_says_when_to_come_back(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    first, second = [await pending_update(database, tenant, "security") for _ in range(2)]
    assert isinstance(await approve(database, first), UUID)
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        found = await shown(http, second)
        answer = await decide(http, found)

    assert (answer.status_code, problem(answer)) == (409, "learning-not-allowed-now")
    left = datetime.fromisoformat(answer.json()["next_allowed_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < left < timedelta(hours=24)
    assert abs(int(answer.headers["retry-after"]) - left.total_seconds()) < 60
    assert found["on_yes"].startswith("a yes is refused until")


async def test_of_many_who_decide_at_once_over_http_and_from_psql_one_wins_and_the_others_are_told(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    async with (
        client(gateway_url, token("approver", tenant, "bob")) as one,
        client(gateway_url, token("approver", tenant, "eve")) as other,
    ):
        found = await shown(one, update_id)
        answers, by_hand = await asyncio.gather(
            asyncio.gather(*(decide(http, found, act) for http in (one, other) for act in ("approve", "reject"))),
            asyncio.gather(*(approve(database, update_id, actor=f"carl-{n}") for n in range(3))),
        )
        state = (await shown(one, update_id))["state"]

    won = [each for each in answers if each.status_code == 200] + [each for each in by_hand if isinstance(each, UUID)]
    assert len(won) == 1
    lost = [each for each in answers if each.status_code != 200]
    assert {(each.status_code, problem(each), each.json()["state"]) for each in lost} == {
        (409, "approval-decided", state)
    }
    assert {each.code for each in by_hand if isinstance(each, Refused)} <= {"GL002"}


async def test_where_two_have_to_agree_the_first_leaves_it_pending(
    gateway_url: str, token: Token, database: Database, owner: Any
) -> None:
    tenant = tenant_name()
    limits = {"max_per_day": 5, "cooldown_hours": 2, "approval": "human", "quorum": 2}
    async with owner.begin() as connection:
        await connection.execute(insert(prompt_limits).values(tenant=tenant, role="developer", **limits))
    update_id = await pending_update(database, tenant)
    told = []
    for person in ("bob", "bob", "eve"):
        async with client(gateway_url, token("approver", tenant, person)) as http:
            answer = await decide(http, await shown(http, update_id))
            told.append((answer.status_code, answer.json()["state"], answer.json()["approvals"]))

    assert told == [(200, "pending", 1), (200, "pending", 1), (200, "approved", 2)]


@pytest.mark.parametrize("state", ["proposed", "waiting", "evaluating"])
async def test_what_is_not_put_to_people_yet_can_be_rejected_and_not_approved(
    state: str, gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    update_id = await propose(database, tenant)
    async with database.service() as connection:
        mine = update(learning_updates).where(learning_updates.c.id == update_id)
        await connection.execute(mine.values(state=state))
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        found = await shown(http, update_id)
        refused = await decide(http, found)
        assert (refused.status_code, refused.json()["state"]) == (409, state)
        assert (await decide(http, found, "reject")).json()["state"] == "rejected"


@pytest.mark.parametrize(("who", "role"), [("ann", "admin"), ("golden", "approver")])
async def test_neither_the_proposer_nor_who_bears_our_own_name_decides(
    who: str, role: str, gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    async with client(gateway_url, token(role, tenant, who)) as http:
        answers = [await decide(http, await shown(http, update_id), act) for act in ("approve", "reject")]

    assert [each.status_code for each in answers] == [403, 403]
    assert (await row_of(database, update_id)).state == "pending"


async def test_the_same_key_gives_the_first_answer(gateway_url: str, token: Token, database: Database) -> None:
    tenant, key = tenant_name(), {"Idempotency-Key": str(uuid4())}
    update_id = await pending_update(database, tenant)
    async with client(gateway_url, token("approver", tenant, "bob"), **key) as http:
        found = await shown(http, update_id)
        answers = [await decide(http, found) for _ in range(2)]

    assert [(each.status_code, each.json()["state"]) for each in answers] == [(200, "approved")] * 2


async def test_a_decision_is_made_while_no_worker_and_no_temporal_is_there(
    settings: Settings, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    alone = settings.model_copy(update={"gateway_port": free_port(), "temporal_address": AWAY})
    async with (
        running_gateway(alone, await connect(alone, lazy=True)),
        client(alone.gateway_url, token("approver", tenant, "bob")) as http,
    ):
        answer = await decide(http, await shown(http, update_id))

    assert (answer.status_code, answer.json()["state"]) == (200, "approved")
    async with database.service() as connection:
        wanted = select(learning_updates.c.version).where(learning_updates.c.id == update_id)
        assert str(await connection.scalar(wanted)) == answer.json()["version"]
