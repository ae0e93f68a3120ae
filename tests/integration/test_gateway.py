"""The gateway over HTTP, with a real PostgreSQL and a real Temporal behind it."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, insert, select, update
from temporalio.client import Client

from deploy.local import postgres
from gateway.routes import OPERATIONS
from gateway.tokens import issue_token
from schema import engine
from schema.database import Database
from schema.messages.task import TaskResult, TaskSpec, TaskState
from schema.settings import Settings
from schema.tables import accounts, decisions, idempotency_keys, task_events, tasks, texts
from schema.texts import get_text, put_text
from tests.integration.conftest import running_gateway
from tests.support.http import SPEC, client, spec
from tests.support.parts import free_port, running_part, running_postgres

Token = Callable[..., str]
TASK_ROUTES = [(each.method, each.path) for each in OPERATIONS if "{task_id}" in each.path]


def tenant_name() -> str:
    """A tenant that no other test has."""
    return f"t-{uuid4().hex[:12]}"


async def submit(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    response = await http.post("/v1/tasks", json=spec(**changes))
    assert response.status_code == 202, response.text
    return dict(response.json())


async def set_task(database: Database, task: dict[str, Any], **values: Any) -> None:
    async with database.service() as connection:
        await connection.execute(update(tasks).where(tasks.c.task_id == UUID(task["task_id"])).values(**values))


def problem(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    return str(body["type"]).removeprefix("https://golden.invalid/problems/")


async def count(database: Database, table: Any, tenant: str) -> int:
    async with database.service() as connection:
        found = await connection.execute(select(func.count()).select_from(table).where(table.c.tenant == tenant))
        return int(found.scalar_one())


class TestSubmission:
    async def test_a_task_is_accepted_told_and_started(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant, sub="ann")) as http:
            response = await http.post("/v1/tasks", json=SPEC)
            task = response.json()
            shown = await http.get(response.headers["location"])

        assert response.status_code == 202
        assert shown.json() == task
        assert (task["state"], task["tenant"], task["submitted_by"]) == ("submitted", tenant, "ann")
        assert UUID(task["task_id"]).version == 7
        started = await engine.task_handle(temporal_client, UUID(task["task_id"])).describe()
        assert started.task_queue == "orchestrator"

        async with database.tenant(tenant) as connection:
            row = (await connection.execute(select(tasks))).one()
            stored = TaskSpec.model_validate_json(await get_text(connection, tenant, row.spec))
            events = (await connection.execute(select(task_events))).all()
            account = (await connection.execute(select(accounts))).one()
        assert stored == TaskSpec.model_validate_json(json.dumps(SPEC))
        assert [(event.sequence, event.event, event.data["state"]) for event in events] == [(1, "state", "submitted")]
        assert (account.slots, row.budget_tokens) == (100, 20_000)

    async def test_yaml_is_taken_like_json(self, gateway_url: str, token: Token) -> None:
        body = "title: x\ninstructions: y\ntests: {test_a.py: ''}\nbudget_tokens: 1000\n"
        async with client(gateway_url, token("developer", tenant_name())) as http:
            for media_type in ("application/yaml", "application/x-yaml", "text/yaml; charset=utf-8"):
                response = await http.post("/v1/tasks", content=body, headers={"Content-Type": media_type})
                assert response.status_code == 202, response.text

    async def test_the_same_key_and_body_find_the_same_task(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("developer", tenant_name()), **{"Idempotency-Key": "k1"}) as http:
            first = await submit(http)
            again = await submit(http)
            reordered = await http.post(
                "/v1/tasks",
                content=json.dumps(dict(reversed(SPEC.items())), indent=3),
                headers={"Content-Type": "application/json"},
            )

        assert first["task_id"] == again["task_id"] == reordered.json()["task_id"]

    async def test_the_same_key_with_another_body_is_refused(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "k1"}) as http:
            await submit(http)
            response = await http.post("/v1/tasks", json=spec(title="Another"))

        assert (response.status_code, problem(response)) == (409, "idempotency-key-reused")
        assert await count(database, tasks, tenant) == 1

    async def test_fifty_racing_requests_with_one_key_make_one_task(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "race"}) as http:
            responses = await asyncio.gather(*(http.post("/v1/tasks", json=SPEC) for _ in range(50)))

        assert {response.status_code for response in responses} == {202}
        assert len({response.json()["task_id"] for response in responses}) == 1
        assert await count(database, tasks, tenant) == await count(database, idempotency_keys, tenant) == 1
        assert await count(database, task_events, tenant) == 1

    async def test_racing_requests_with_one_key_and_two_bodies_let_one_body_in(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "race"}) as http:
            bodies = [spec(title="One"), spec(title="Two")] * 10
            responses = await asyncio.gather(*(http.post("/v1/tasks", json=body) for body in bodies))

        assert sorted(response.status_code for response in responses) == [202] * 10 + [409] * 10
        assert await count(database, tasks, tenant) == 1

    async def test_a_key_belongs_to_its_principal_and_its_tenant(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        found = set()
        for holder in (token("developer", tenant, "ann"), token("developer", tenant, "bob"), token("admin", "t2")):
            async with client(gateway_url, holder, **{"Idempotency-Key": f"{tenant}-shared"}) as http:
                found.add((await submit(http))["task_id"])

        assert len(found) == 3

    @pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é"])
    async def test_a_key_must_be_visible_ascii(self, key: str, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            response = await http.post("/v1/tasks", json=SPEC, headers={"Idempotency-Key": key.encode("latin-1")})

        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == "Idempotency-Key"

    async def test_an_unknown_image_is_told(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            response = await http.post("/v1/tasks", json=spec(image="other"))

        assert response.json()["errors"] == [{"field": "image", "message": "is not one of the images here: default"}]

    @pytest.mark.parametrize(
        ("content", "field"),
        [
            ('{"title": ', "body"),
            ("[" * 100_000, "body"),
            ('{"title": "\\ud800"}', "title"),
            (json.dumps(spec(budget_tokens=0)), "budget_tokens"),
            (json.dumps(spec(tests={})), "tests"),
            (json.dumps(spec(bogus=1)), "bogus"),
            (json.dumps(spec(files={"../etc/passwd": ""})), "files.../etc/passwd"),
            (json.dumps(spec(files={"/etc/passwd": ""})), "files./etc/passwd"),
            (json.dumps(spec(files={"a.py": "x" * 1_048_577})), "files"),
            (json.dumps(spec(policy={"quorum": 99})), "policy.quorum"),
            (json.dumps(spec(candidates=10**40)), "candidates"),
        ],
        ids=lambda value: str(value)[:30],
    )
    async def test_a_malformed_submission_is_refused_naming_the_field(
        self, content: str, field: str, gateway_url: str, token: Token
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            response = await http.post("/v1/tasks", content=content, headers={"Content-Type": "application/json"})

        assert (response.status_code, problem(response)) == (422, "invalid-request")
        assert field in [error["field"] for error in response.json()["errors"]]

    async def test_bad_yaml_is_told_with_its_line(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            response = await http.post(
                "/v1/tasks", content="title: x\ntests: ]\n", headers={"Content-Type": "application/yaml"}
            )

        assert response.status_code == 422
        assert "line 2" in response.json()["errors"][0]["message"]

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Content-Type": "text/plain"},
            {"Content-Type": "application/json; charset=utf-16"},
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        ],
        ids=str,
    )
    async def test_another_type_of_body_is_refused(
        self, headers: dict[str, str], gateway_url: str, token: Token
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            response = await http.post("/v1/tasks", content=b"{}", headers=headers)

        assert (response.status_code, problem(response)) == (415, "unsupported-media-type")

    async def test_a_body_over_the_cap_is_refused_announced_or_not(self, gateway_url: str, token: Token) -> None:
        async def chunks() -> Any:
            for _ in range(40):
                yield b"x" * 65_536

        async with client(gateway_url, token("developer", tenant_name())) as http:
            headers = {"Content-Type": "application/json"}
            announced = await http.post("/v1/tasks", content=b"x" * 2_000_000, headers=headers)
            streamed = await http.post("/v1/tasks", content=chunks(), headers=headers)

        assert [(r.status_code, problem(r)) for r in (announced, streamed)] == [(413, "too-large")] * 2


class TestReading:
    async def test_lists_are_pages_newest_first(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            made = [(await submit(http, title=f"Task {n}"))["title"] for n in range(5)]
            found, cursor = [], ""
            for _ in range(3):
                query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
                page = (await http.get("/v1/tasks", params=query)).json()
                found += [task["title"] for task in page["items"]]
                cursor = page["next_cursor"]

        assert found == made[::-1]
        assert cursor is None

    async def test_lists_can_be_of_one_state(self, gateway_url: str, token: Token, database: Database) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            first, _ = await submit(http), await submit(http)
            await set_task(database, first, state="voting")
            page = (await http.get("/v1/tasks", params={"state": "voting"})).json()

        assert [task["task_id"] for task in page["items"]] == [first["task_id"]]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("state=odd", "state"),
            ("limit=0", "limit"),
            ("limit=101", "limit"),
            ("limit=x", "limit"),
            ("cursor=x", "cursor"),
            (f"cursor={uuid4()}", "cursor"),
            ("bogus=1", "bogus"),
            ("limit=1&limit=2", "limit"),
        ],
    )
    async def test_a_wrong_query_is_told(self, query: str, field: str, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("viewer", tenant_name())) as http:
            response = await http.get(f"/v1/tasks?{query}")

        assert response.status_code == 422
        assert response.json()["errors"][0]["field"] == field

    async def test_a_result_waits_for_the_end(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            task = await submit(http)
            early = await http.get(task["links"]["result"])
            result = TaskResult(task_id=UUID(task["task_id"]), state=TaskState.ACCEPTED, files={"add.py": "é\u2028"})
            async with database.tenant(tenant) as connection:
                reference = await put_text(connection, tenant, result.model_dump_json())
            await set_task(database, task, state="accepted", result=reference)
            late = await http.get(task["links"]["result"])
            consensus = await http.get(task["links"]["consensus"])

        assert (early.status_code, problem(early), early.json()["state"]) == (409, "task-not-final", "submitted")
        assert early.headers["retry-after"] == "2"
        assert TaskResult.model_validate_json(late.text) == result
        assert problem(consensus) == "not-found"

    async def test_a_task_that_was_only_closed_has_a_bare_result(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            task = await submit(http)
            await set_task(database, task, state="failed", reason="terminated")
            result = (await http.get(task["links"]["result"])).json()

        assert (result["state"], result["reason"], result["files"]) == ("failed", "terminated", {})


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
        expired = issue_token(settings, sub="a", role="admin", tenant="t1", ttl=timedelta(hours=-1))
        claims = jwt.decode(expired, options={"verify_signature": False})
        kid = jwt.get_unverified_header(expired)["kid"]
        bad = {
            "none": None,
            "expired": expired,
            "alg none": jwt.encode(claims, None, algorithm="none", headers={"kid": kid}),
            "other key": jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": kid}),
            "rubbish": "rubbish",
        }
        for name, holder in bad.items():
            async with client(gateway_url, holder) as http:
                for operation in OPERATIONS:
                    path = operation.path.format(task_id=uuid4())
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
                body = {"json": {"decision": "accept", "reason": "x"}} if template.endswith("decision") else {}
                foreign = await http.request(method, template.format(task_id=task["task_id"]), **body)
                absent = await http.request(method, template.format(task_id=uuid4()), **body)
                malformed = await http.request(method, template.format(task_id="x'--"), **body)
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


class TestHttp:
    async def test_unknown_routes_and_methods_are_problems(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("viewer", tenant_name())) as http:
            unknown = await http.get("/nope")
            slash = await http.get("/v1/tasks/")
            wrong = await http.delete("/v1/tasks")
            odd = await http.request("BREW", "/healthz")

        assert [problem(each) for each in (unknown, slash)] == ["not-found"] * 2
        assert [(each.status_code, problem(each)) for each in (wrong, odd)] == [(405, "method-not-allowed")] * 2
        assert wrong.headers["allow"] == "GET, HEAD, OPTIONS, POST"

    async def test_options_says_what_there_is_and_head_is_get_without_a_body(
        self, gateway_url: str, token: Token
    ) -> None:
        async with client(gateway_url, token("viewer", tenant_name())) as http:
            options = await http.options("/v1/tasks")
            head, get = await http.head("/v1/tasks"), await http.get("/v1/tasks")
            refused = await http.head("/v1/tasks", headers={"Authorization": ""})

        assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
        assert (refused.status_code, refused.content) == (401, b"")

    async def test_every_answer_has_a_request_id_and_the_security_headers(self, gateway_url: str) -> None:
        async with client(gateway_url, None) as http:
            answers = [await http.get(path) for path in ("/healthz", "/nope", "/v1/tasks", "/docs")]
            given = await http.get("/healthz", headers={"X-Request-Id": "abc-1"})
            hostile = await http.get("/healthz", headers={"X-Request-Id": "a b<script>"})

        for answer in answers:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "server" not in answer.headers
            assert UUID(answer.headers["x-request-id"])
        assert given.headers["x-request-id"] == "abc-1"
        assert UUID(hostile.headers["x-request-id"])

    async def test_health_readiness_and_keys_are_for_everybody(self, gateway_url: str, settings: Settings) -> None:
        async with client(gateway_url, None) as http:
            live, ready = await http.get("/healthz"), await http.get("/readyz")
            keys = (await http.get("/.well-known/jwks.json")).json()["keys"]

        assert live.json() == {"status": "alive"}
        assert ready.json() == {"status": "ready", "database": "ready", "temporal": "ready"}
        signed = issue_token(settings, sub="a", role="admin", tenant="t1", ttl=timedelta(hours=1))
        assert jwt.decode(signed, jwt.PyJWK(keys[0]), audience="golden", algorithms=["EdDSA"])["sub"] == "a"
        assert set(keys[0]) == {"kty", "crv", "x", "kid", "use", "alg"}

    async def test_the_description_has_every_route_with_its_permission_and_errors(self, gateway_url: str) -> None:
        async with client(gateway_url, None) as http:
            document = (await http.get("/openapi.json")).json()
            page = await http.get("/docs")

        assert document["openapi"].startswith("3.1")
        for operation in OPERATIONS:
            described = document["paths"][operation.path][operation.method.lower()]
            assert described["x-permission"] == operation.permission.value
            assert {str(operation.status), "401", "403", "422", "503"} <= set(described["responses"])
            assert operation.path in page.text
        text = json.dumps(document)
        names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
        assert names <= set(document["components"]["schemas"])
        assert "http://" not in page.text
        assert "<script" not in page.text

    async def test_routes_are_counted_by_template(self, gateway_url: str, token: Token) -> None:
        from prometheus_client import generate_latest

        unknown = uuid4()
        async with client(gateway_url, token("viewer", tenant_name())) as http:
            await http.get(f"/v1/tasks/{unknown}")
            await http.get(f"/{unknown}")
        exposed = generate_latest().decode()

        assert 'golden_http_requests_total{route="/v1/tasks/{task_id}",status="404"}' in exposed
        assert 'golden_http_requests_total{route="unknown",status="404"}' in exposed
        assert str(unknown) not in exposed


class TestOutages:
    async def test_without_temporal_a_task_is_accepted_as_submitted(
        self, settings: Settings, token: Token, gateway_url: str
    ) -> None:
        alone = settings.model_copy(
            update={"temporal_address": f"127.0.0.1:{free_port()}", "gateway_port": free_port()}
        )
        async with running_gateway(alone), client(alone.gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            cancelled = await http.post(f"{task['links']['self']}/cancel")
            ready = await http.get("/readyz")

        assert (task["state"], cancelled.status_code) == ("submitted", 202)
        assert ready.json()["temporal"] == "away"

    async def test_without_postgresql_everything_is_503_and_then_recovers(self, tmp_path: Path) -> None:
        async with running_postgres(tmp_path) as settings:
            pass  # stopped now, with its database made
        holder = issue_token(settings, sub="ann", role="admin", tenant="t1", ttl=timedelta(hours=1))
        async with running_gateway(settings), client(settings.gateway_url, holder) as http:
            for _ in range(2):
                down = [
                    await http.post("/v1/tasks", json=SPEC, headers={"Idempotency-Key": "k"}),
                    await http.get("/v1/tasks"),
                    await http.get(f"/v1/tasks/{uuid4()}/events"),
                    await http.get("/readyz"),
                ]
                assert [(each.status_code, problem(each)) for each in down] == [(503, "database-unavailable")] * 4
                assert {each.headers["retry-after"] for each in down} == {"2"}
                assert (await http.get("/healthz")).status_code == 200

                await postgres.prepare(settings)
                async with running_part(postgres.part(settings), settings.home):
                    up = await http.post("/v1/tasks", json=SPEC, headers={"Idempotency-Key": "k"})
                    listed = await http.get("/v1/tasks")
                assert up.status_code == 202
                assert len(listed.json()["items"]) == 1

    async def test_an_unexpected_error_is_500_without_a_trace(
        self, settings: Settings, token: Token, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = settings.model_copy(update={"gateway_port": free_port()})

        async def broken(*_: object) -> None:
            raise ValueError("secret in a message")

        monkeypatch.setattr("gateway.tasks.read_task", broken)
        async with running_gateway(other), client(other.gateway_url, token("viewer", tenant_name())) as http:
            response = await http.get(f"/v1/tasks/{uuid4()}")

        assert (response.status_code, problem(response)) == (500, "internal-error")
        assert "secret" not in response.text
        assert "Traceback" not in response.text
