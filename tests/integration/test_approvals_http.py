"""Proposals over HTTP: who may decide, on exactly what they were shown, once."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from schema.database import Database
from schema.messages.vote import DEFAULT_WEIGHTS
from tests.support.approvals import learning, pending, policy_of, vote_often
from tests.support.audit import acts_of
from tests.support.http import client, problem, tenant_name

Token = Callable[..., str]
ROUTE = "/v1/approvals"


async def decide(http: httpx.AsyncClient, found: dict[str, Any], act: str = "approve", **body: Any) -> httpx.Response:
    return await http.post(
        f"{ROUTE}/{found['id']}/{act}", json={"reason": "because", "digest": found["digest"], **body}
    )


async def shown(http: httpx.AsyncClient) -> dict[str, Any]:
    """The tenant's one proposal."""
    (found,) = (await http.get(ROUTE)).json()["items"]
    return dict(found)


async def test_weights_that_the_records_speak_for_are_proposed_approved_and_in_force(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    await vote_often(database, tenant)
    async with client(gateway_url, token("developer", tenant, "ann")) as http:
        made = await http.post("/v1/proposals", json={"kind": "weights"})
        assert made.status_code == 202, made.text
        again = await http.post("/v1/proposals", json={"kind": "weights"})
    assert (again.status_code, problem(again)) == (409, "proposal-open")
    diff = made.json()["diff"]
    assert diff["before"] == DEFAULT_WEIGHTS
    assert diff["after"]["architect"] < diff["before"]["architect"]
    assert sum(diff["after"].values()) == sum(diff["before"].values())
    assert await policy_of(database, tenant) is None

    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        found = await shown(http)
        assert (await decide(http, found)).json()["state"] == "approved"
    wanted = await pending(database, tenant_name())
    await learning(database).settle_update(wanted.model_copy(update={"tenant": tenant, "update_id": found["id"]}))
    assert await policy_of(database, tenant) == {"voters": diff["after"]}
    acts = [(act.actor, act.action, act.reason) for act in await acts_of(database, tenant) if act.object == found["id"]]
    assert acts[-2:] == [("bob", "approvals.approve", "approved"), ("golden", "learning.settle", None)]


async def test_nothing_is_proposed_without_a_record(gateway_url: str, token: Token) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        answer = await http.post("/v1/proposals", json={"kind": "weights"})

    assert (answer.status_code, problem(answer)) == (409, "nothing-to-propose")


async def test_nobody_decides_on_what_they_proposed(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    await pending(database, tenant, proposer="ann")
    async with client(gateway_url, token("admin", tenant, "ann")) as http:
        answers = [await decide(http, await shown(http), act) for act in ("approve", "reject")]
        state = (await shown(http))["state"]

    assert [each.status_code for each in answers] == [403, 403]
    assert state == "pending"


async def test_only_what_was_shown_is_approved(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    await pending(database, tenant)
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        answer = await decide(http, await shown(http), digest="1" * 64)
        state = (await shown(http))["state"]

    assert (answer.status_code, problem(answer), state) == (409, "digest-changed", "pending")


async def test_a_proposal_that_was_changed_under_its_digest_is_not_approved(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    await pending(database, tenant, digest="0" * 64)
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        answer = await decide(http, await shown(http))

    assert (answer.status_code, problem(answer)) == (409, "digest-changed")


async def test_of_two_who_decide_at_once_one_wins_and_the_other_is_told(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    await pending(database, tenant)
    async with (
        client(gateway_url, token("approver", tenant, "bob")) as one,
        client(gateway_url, token("approver", tenant, "eve")) as other,
    ):
        found = await shown(one)
        answers = await asyncio.gather(
            *(decide(http, found, act) for http, act in ((one, "approve"), (other, "reject")) for _ in range(3))
        )

    assert sorted(each.status_code for each in answers) == [200, 409, 409, 409, 409, 409]
    assert {problem(each) for each in answers if each.status_code == 409} == {"approval-decided"}


@pytest.mark.parametrize("role", ["viewer", "developer", "operator"])
async def test_who_may_not_decide_is_refused(role: Any, gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    wanted = await pending(database, tenant)
    async with client(gateway_url, token(role, tenant, "bob")) as http:
        answer = await decide(http, {"id": str(wanted.update_id), "digest": "0" * 64})

    assert answer.status_code == 403


async def test_another_tenants_proposal_is_404(gateway_url: str, token: Token, database: Database) -> None:
    wanted = await pending(database, tenant_name())
    async with client(gateway_url, token("admin", tenant_name(), "bob")) as http:
        seen = [await http.get(f"{ROUTE}/{each}") for each in (wanted.update_id, uuid4(), "x")]
        decided = await decide(http, {"id": str(wanted.update_id), "digest": "0" * 64})
        listed = (await http.get(ROUTE)).json()["items"]

    assert {each.status_code for each in [*seen, decided]} == {404}
    assert listed == []
