"""Who is refused, and what people decide on tasks, over HTTP."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client

from gateway.routes import OPERATIONS
from gateway.tokens import issue_token
from schema import engine
from schema.database import Database
from schema.settings import Settings
from schema.tables import accounts, decisions, idempotency_keys, task_events, tasks, texts
from tests.support.http import SPEC, client, problem, set_task, submit, tenant_name
from tests.support.paths import path_of

Token = Callable[..., str]

BODIES: dict[str, Any] = {
    "decision": {"decision": "accept", "reason": "x"},
    "truth": {"source": "tests", "good": True, "reason": "x"},
    "follow-ups": {"number": 1},
    "top-up": {"tokens": 1},
    "erasure": {"reason": "because"},
}
TASK_ROUTES = [(each.method, each.path) for each in OPERATIONS if "{task_id}" in each.path]


class TestDecisions:
    async def test_a_cancellation_is_a_row_and_reaches_the_workflow(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name(), sub="ann")) as http:
            task = await submit(http)
            first = await http.post(f"{task['links']['self']}/cancel")
            again = await http.post(f"{task['links']['self']}/cancel")

        assert (first.status_code, again.status_code) == (202, 202)
        async with database.service() as connection:
            row = (await connection.execute(select(tasks).where(tasks.c.task_id == UUID(task["task_id"])))).one()
        assert row.cancel_requested_by == "ann"
        history = await engine.task_handle(temporal_client, UUID(task["task_id"])).fetch_history()
        assert any(e.HasField("workflow_execution_cancel_requested_event_attributes") for e in history.events)

    async def test_a_final_task_is_not_cancelled(self, gateway_url: str, token: Token, database: Database) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            await set_task(database, task, state="rejected")
            response = await http.post(f"{task['links']['self']}/cancel")

        assert (response.status_code, problem(response), response.json()["state"]) == (409, "task-final", "rejected")

    async def test_a_developer_cancels_only_their_own(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant, sub="ann")) as http:
            path = (await submit(http))["links"]["self"]
        answers = {}
        for role, sub in (("developer", "bob"), ("viewer", "eve"), ("approver", "pat"), ("operator", "olga")):
            async with client(gateway_url, token(role, tenant, sub=sub)) as http:
                answers[role] = (await http.post(f"{path}/cancel")).status_code

        assert answers == {"developer": 403, "viewer": 403, "approver": 403, "operator": 202}

    async def test_an_escalated_task_is_decided_once_by_somebody_else(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, sub="ann")) as http:
            task = await submit(http)
            path = f"{task['links']['self']}/decision"
            await set_task(database, task, state="escalated")
            own = await http.post(path, json={"decision": "accept", "reason": "mine"})
        async with client(gateway_url, token("approver", tenant, sub="pat")) as http:
            first = await http.post(path, json={"decision": "accept", "reason": "good"})
            second = await http.post(path, json={"decision": "reject", "reason": "no"})

        assert (own.status_code, problem(own)) == (403, "forbidden")
        assert first.status_code == 200
        assert (second.status_code, problem(second)) == (409, "already-decided")
        async with database.tenant(tenant) as connection:
            row = (await connection.execute(select(decisions))).one()
        assert (row.decision, row.reason, row.actor) == ("accept", "good", "pat")
        history = await engine.task_handle(temporal_client, UUID(task["task_id"])).fetch_history()
        signals = [
            e.workflow_execution_signaled_event_attributes.signal_name
            for e in history.events
            if e.HasField("workflow_execution_signaled_event_attributes")
        ]
        assert signals == ["decision_recorded"]

    async def test_racing_decisions_let_one_in(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            task = await submit(http)
        await set_task(database, task, state="escalated")
        async with client(gateway_url, token("approver", tenant)) as http:
            bodies = [{"decision": choice, "reason": "x"} for choice in ("accept", "reject")] * 5
            path = f"{task['links']['self']}/decision"
            responses = await asyncio.gather(*(http.post(path, json=body) for body in bodies))

        assert sorted(response.status_code for response in responses) == [200] + [409] * 9

    async def test_a_decision_with_a_key_can_be_repeated(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            task = await submit(http)
        await set_task(database, task, state="escalated")
        async with client(gateway_url, token("approver", tenant), **{"Idempotency-Key": "d1"}) as http:
            path = f"{task['links']['self']}/decision"
            codes = [
                (await http.post(path, json={"decision": choice, "reason": "x"})).status_code
                for choice in ("accept", "accept", "reject")
            ]

        assert codes == [200, 200, 409]

    async def test_a_task_that_is_not_escalated_is_not_decided(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            task = await submit(http)
        async with client(gateway_url, token("approver", tenant)) as http:
            path = f"{task['links']['self']}/decision"
            response = await http.post(path, json={"decision": "accept", "reason": "x"})
            blank = await http.post(path, json={"decision": "accept", "reason": " "})
            odd = await http.post(path, json={"decision": "maybe", "reason": "x"})

        assert (response.status_code, problem(response)) == (409, "task-not-escalated")
        assert [each.json()["errors"][0]["field"] for each in (blank, odd)] == ["reason", "decision"]


class TestRefusals:
    async def test_without_a_good_token_every_route_is_401(self, gateway_url: str, settings: Settings) -> None:
        owner = create_async_engine(settings.database("migrator"))
        async with owner.begin() as connection:
            # What other tests have taken of this address's limit for the sandbox.
            await connection.execute(text("TRUNCATE rate_limits"))
        await owner.dispose()
        expired = issue_token(settings, sub="a", role="admin", tenant="t1", ttl=timedelta(hours=-1))
        claims = jwt.decode(expired, options={"verify_signature": False})
        kid = jwt.get_unverified_header(expired)["kid"]
        bad = {
            "none": None,
            "expired": expired,
            "alg none": jwt.encode(claims, "", algorithm="none", headers={"kid": kid}),
            "other key": jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid}),
            "rubbish": "rubbish",
        }
        for name, holder in bad.items():
            async with client(gateway_url, holder) as http:
                for operation in OPERATIONS:
                    path = path_of(operation.path, uuid4())
                    response = await http.request(operation.method, path, content=b"{")
                    assert (response.status_code, problem(response)) == (401, "unauthenticated"), (name, path)
                    assert response.headers["www-authenticate"].startswith('Bearer realm="golden"')

    async def test_a_foreign_tenants_task_is_404_on_every_route(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            task = await submit(http)
        await set_task(database, task, state="escalated")
        async with client(gateway_url, token("admin", tenant_name())) as http:
            for method, template in TASK_ROUTES:
                body = BODIES.get(template.rsplit("/", 1)[-1])
                foreign = await http.request(method, template.format(task_id=task["task_id"]), json=body)
                absent = await http.request(method, template.format(task_id=uuid4()), json=body)
                malformed = await http.request(method, template.format(task_id="x'--"), json=body)
                for response in (foreign, absent, malformed):
                    assert (response.status_code, problem(response)) == (404, "not-found"), template
                assert foreign.json()["detail"] == absent.json()["detail"]
            assert (await http.get("/v1/tasks")).json()["items"] == []
            cursor = await http.get("/v1/tasks", params={"cursor": task["task_id"]})
            assert cursor.status_code == 422

    async def test_roles_are_refused_before_bodies_are_read(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("viewer", tenant_name())) as http:
            response = await http.post("/v1/tasks", content=b"\xff")

        assert (response.status_code, problem(response)) == (403, "forbidden")

    async def test_a_token_for_every_tenant_must_name_one(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", "*")) as http:
            unnamed = await http.get("/v1/tasks")
            wrong = await http.get("/v1/tasks", headers={"Golden-Tenant": "No Tenant"})
            task = await http.post("/v1/tasks", json=SPEC, headers={"Golden-Tenant": tenant})
        async with client(gateway_url, token("viewer", tenant)) as http:
            shown = await http.get(task.json()["links"]["self"])
            other = await http.get("/v1/tasks", headers={"Golden-Tenant": "another"})

        assert [each.json()["errors"][0]["field"] for each in (unnamed, wrong)] == ["Golden-Tenant"] * 2
        assert (shown.status_code, other.status_code) == (200, 403)

    async def test_a_query_without_its_where_clause_sees_nothing_of_another_tenant(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        mine, theirs = tenant_name(), tenant_name()
        for tenant in (mine, theirs):
            async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "k"}) as http:
                await submit(http)

        async with database.tenant(mine) as connection:
            for table in (tasks, texts, task_events, accounts, idempotency_keys):
                rows = (await connection.execute(select(table.c.tenant))).scalars().all()
                assert set(rows) == {mine}, table.name
            changed = await connection.execute(update(tasks).values(reason="seen"))
            assert changed.rowcount == 1
        async with database.tenant("") as connection:
            assert (await connection.execute(select(tasks))).all() == []

    async def test_a_row_of_another_tenant_cannot_be_written(self, database: Database) -> None:
        with pytest.raises(Exception, match="row-level security"):
            async with database.tenant(tenant_name()) as connection:
                await connection.execute(insert(accounts).values(tenant="another-one", slots=1))
