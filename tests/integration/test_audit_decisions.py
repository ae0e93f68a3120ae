"""Every decision of the gateway is in the audit log exactly once, or it was not made; nobody reads another's."""

import asyncio
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.authorisation import GRANTS, ROLES, Role
from gateway.operations import Operation
from gateway.routes import OPERATIONS
from schema.audit import payload_digest
from schema.database import Database
from schema.settings import Settings
from schema.tables import tasks
from tests.integration.conftest import running_gateway
from tests.support.audit import acts_of, chain_of
from tests.support.http import SPEC, client, count, problem, set_task, submit, tenant_name
from tests.support.parts import free_port
from tests.support.paths import path_of

Token = Callable[..., str]

TRACE = "0af7651916cd43dd8448eb211c80319c"
REASON = {"decision": "accept", "reason": "a secret reason"}


async def ask(url: str, holder: str, operation: Operation, task_id: str) -> httpx.Response:
    """A request to a route, with a body where it takes one."""
    path = path_of(operation.path, uuid4(), task_id=task_id)
    body: dict[str, Any] = {} if operation.takes is None else {"json": {}}
    async with client(url, holder) as http:
        return await http.request(operation.method, path, **body)


def named(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


class TestEveryRoute:
    @pytest.mark.parametrize("operation", OPERATIONS, ids=named)
    async def test_who_may_is_recorded_once(
        self, operation: Operation, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant, "bob")) as http:
            task = await submit(http)
        before = len(await acts_of(database, tenant))
        async with asyncio.timeout(20):
            answer = await first_byte(gateway_url, token("admin", tenant, "ann"), operation, task["task_id"])

        (record,) = (await acts_of(database, tenant))[before:]
        assert (record.actor, record.role) == ("ann", "admin")
        assert record.outcome == ("allowed" if answer < 400 else "denied")

    @pytest.mark.parametrize("operation", OPERATIONS, ids=named)
    async def test_who_may_not_is_recorded_once_with_the_reason(
        self, operation: Operation, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant, role = tenant_name(), _without(operation)
        if role is None:
            return  # everybody may
        answer = await ask(gateway_url, token(role, tenant), operation, str(uuid4()))

        assert answer.status_code == 403
        (record,) = await acts_of(database, tenant)
        reason = f"forbidden: the role {role} has no permission {operation.permission}"
        assert (record.action, record.outcome, record.reason) == (operation.act, "denied", reason)


def _without(operation: Operation) -> Role | None:
    return next((role for role in ROLES if role not in GRANTS[operation.permission]), None)


async def first_byte(url: str, holder: str, operation: Operation, task_id: str) -> int:
    """The status of an answer that need not end."""
    path = path_of(operation.path, uuid4(), task_id=task_id)
    body: dict[str, Any] = {} if operation.takes is None else {"json": {}}
    async with client(url, holder) as http, http.stream(operation.method, path, **body) as answer:
        return answer.status_code


class TestActs:
    async def test_a_record_says_who_what_on_what_how_and_in_which_request(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        headers = {"X-Request-Id": "r-1", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
        async with client(gateway_url, token("developer", tenant, "ann"), **headers) as http:
            task = await submit(http)

        (record,) = await acts_of(database, tenant)
        assert (record.actor, record.role, record.action, record.object, record.outcome, record.reason) == (
            *("ann", "developer", "tasks.submit", task["task_id"], "allowed", None),
        )
        assert (record.request_id, record.trace_id, record.digest) == ("r-1", TRACE, payload_digest(SPEC))
        assert SPEC["instructions"] not in record.model_dump_json()

    async def test_a_cancel_a_decision_and_their_refusals(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant, "bob")) as bob:
            task, other = await submit(bob), await submit(bob)
            await set_task(database, task, state="escalated")
            await bob.post(f"{other['links']['self']}/cancel")
        async with client(gateway_url, token("admin", tenant, "ann")) as ann:
            decided = [await ann.post(f"{task['links']['self']}/decision", json=REASON) for _ in range(2)]
            await set_task(database, other, state="cancelled")
            final = await ann.post(f"{other['links']['self']}/cancel")
        async with client(gateway_url, token("admin", tenant, "bob")) as own:
            refused = await own.post(f"{task['links']['self']}/decision", json=REASON)

        assert [each.status_code for each in (*decided, final, refused)] == [200, 409, 409, 403]
        records = (await acts_of(database, tenant))[2:]
        assert [(each.actor, each.action, each.outcome, each.reason) for each in records] == [
            ("bob", "tasks.cancel", "allowed", None),
            ("ann", "tasks.decide", "allowed", "accept"),
            ("ann", "tasks.decide", "denied", "already-decided"),
            ("ann", "tasks.cancel", "denied", "task-final"),
            ("bob", "tasks.decide", "denied", "forbidden: nobody decides on what they submitted themselves"),
        ]
        assert [each.object for each in records] == [
            other["task_id"],
            *[task["task_id"]] * 2,
            other["task_id"],
            task["task_id"],
        ]
        assert records[1].digest == records[2].digest == payload_digest(REASON)
        assert "secret reason" not in str(records)

    async def test_a_repeated_request_is_recorded_as_one_of_the_same_object(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "k"}) as http:
            answers = await asyncio.gather(*(http.post("/v1/tasks", json=SPEC) for _ in range(20)))

        records = await acts_of(database, tenant)
        assert len({answer.json()["task_id"] for answer in answers}) == 1
        assert {record.object for record in records} == {answers[0].json()["task_id"]}
        assert [record.reason is None for record in records].count(True) == 1
        assert len(records) == 20

    async def test_another_tenants_task_is_denied_and_recorded_in_the_asking_tenants_chain(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        mine, other = tenant_name(), tenant_name()
        async with client(gateway_url, token("developer", other)) as http:
            task = await submit(http)
        async with client(gateway_url, token("admin", mine)) as http:
            answer = await http.get(task["links"]["self"])

        assert answer.status_code == 404
        (record,) = await acts_of(database, mine)
        assert (record.outcome, record.reason, record.object) == ("denied", "not-found", task["task_id"])
        assert [each.action for each in await acts_of(database, other)] == ["tasks.submit"]

    async def test_what_a_client_wrote_into_paths_headers_and_fields_is_not_kept(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        headers = {"X-Request-Id": "MARK er", "traceparent": "00-MARKER"}
        async with client(gateway_url, token("admin", tenant), **headers) as http:
            await http.get("/v1/tasks/MARKER")
            await http.get("/v1/tasks?MARKER=1")
            await http.post("/v1/tasks", json={**SPEC, "MARKER": 1})
            await http.post("/v1/tasks", json={**SPEC, "files": {"../MARKER": ""}})
            await http.get("/v1/tasks", headers={"Golden-Tenant": "MARKER"})

        records = await acts_of(database, tenant)
        assert len(records) == 5
        assert {record.outcome for record in records} == {"denied"}
        assert "MARK" not in str(records)


class TestWithoutRecords:
    async def test_nothing_is_submitted_read_or_even_refused(
        self, gateway_url: str, token: Token, database: Database, owner: AsyncEngine
    ) -> None:
        tenant = tenant_name()
        holder, viewer = token("admin", tenant), token("viewer", tenant)
        for each in (holder, viewer):
            async with client(gateway_url, each) as http:
                assert (await http.get("/v1/tasks")).status_code == 200
        async with owner.begin() as connection:
            await connection.execute(text("REVOKE EXECUTE ON FUNCTION audit_append FROM golden_service, golden_tenant"))
        try:
            async with client(gateway_url, holder) as http:
                act, read = await http.post("/v1/tasks", json=SPEC), await http.get("/v1/tasks")
            async with client(gateway_url, viewer) as http:
                refused = await http.post("/v1/tasks", json=SPEC)
        finally:
            async with owner.begin() as connection:
                await connection.execute(
                    text("GRANT EXECUTE ON FUNCTION audit_append TO golden_service, golden_tenant")
                )

        for answer in (act, read, refused):
            assert (answer.status_code, problem(answer)) == (503, "audit-unavailable")
            assert answer.headers["retry-after"] == "2"
        assert await count(database, tasks, tenant) == 0
        assert len(await acts_of(database, tenant)) == 2


class TestGroups:
    async def test_decisions_in_flight_are_committed_together_by_two_gateways_without_a_fork(
        self, settings: Settings, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        other = settings.model_copy(update={"gateway_port": free_port()})
        holder = token("admin", tenant)
        async with running_gateway(other), client(gateway_url, holder) as one, client(other.gateway_url, holder) as two:
            reads = [(one, two)[n % 2].get("/v1/tasks") for n in range(60)]
            acts = [(one, two)[n % 2].post("/v1/tasks", json=SPEC) for n in range(20)]
            answers = await asyncio.gather(*reads, *acts)

        assert sorted(answer.status_code for answer in answers) == [200] * 60 + [202] * 20
        records = await acts_of(database, tenant)
        assert len(records) == 80
        async with database.tenant(tenant) as connection:
            written = text("SELECT count(DISTINCT xmin::text) FROM audit_records WHERE action = 'tasks.list'")
            assert (await connection.scalar(written) or 60) < 60


class TestFailures:
    async def test_a_flood_of_bad_tokens_does_not_fill_the_platforms_chain(
        self, settings: Settings, database: Database
    ) -> None:
        flooded = settings.model_copy(update={"gateway_port": free_port()})
        before = len(await chain_of(database, "*"))
        async with running_gateway(flooded), client(flooded.gateway_url, "x.y.z") as http:
            answers = await asyncio.gather(*(http.get("/v1/tasks") for _ in range(100)))

        assert {answer.status_code for answer in answers} == {401}
        told = [each for each in (await chain_of(database, "*"))[before:] if each.actor == "unauthenticated"]
        assert len(told) == 61
        assert told[-1].reason == "40 more were not recorded one by one"
        assert {each.object for each in told[:-1]} == {"127.0.0.1"}

    async def test_an_address_that_is_refused_by_its_limit_hides_no_failure_of_another(
        self, settings: Settings, database: Database
    ) -> None:
        changes = {
            "gateway_port": free_port(),
            "trusted_proxies": (ip_network("127.0.0.1/32"),),
            "rate_limits": settings.rate_limits | {"unauthenticated": 5},
        }
        strict = settings.model_copy(update=changes)
        before = len(await chain_of(database, "*"))
        loud, quiet = (f"203.0.113.{number}" for number in (77, 78))
        async with running_gateway(strict), client(strict.gateway_url, "x.y.z") as http:
            for _ in range(100):
                await http.get("/v1/tasks", headers={"X-Forwarded-For": loud})
            await http.get("/v1/tasks", headers={"X-Forwarded-For": quiet})

        told = [each for each in (await chain_of(database, "*"))[before:] if each.actor == "unauthenticated"]
        assert [each.outcome for each in told if each.object == quiet] == ["denied"]
        reasons = Counter(each.reason for each in told if each.object == loud)
        assert sorted(reasons.values()) == [5, 60]
        assert reasons["rate-limited"] == 60
        assert told[-1].reason == "rate-limited; 35 more were not recorded one by one"
