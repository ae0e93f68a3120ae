"""Submitting and reading tasks over HTTP, with a real PostgreSQL and a real Temporal behind it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from temporalio.client import Client

from schema import engine
from schema.database import Database
from schema.messages.task import TaskResult, TaskSpec, TaskState
from schema.tables import accounts, idempotency_keys, task_events, tasks
from schema.texts import get_text, put_text
from tests.support.http import SPEC, client, count, problem, set_task, spec, submit, tenant_name

Token = Callable[..., str]


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
        body = "title: x\ninstructions: y\ntests: {test_a.py: 'def test_a(): pass'}\nbudget_tokens: 1000\n"
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
            response = await http.post(
                "/v1/tasks", json=SPEC, headers=httpx.Headers({"Idempotency-Key": key}, encoding="latin-1")
            )

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
                query: dict[str, str | int] = {"limit": 2, **({"cursor": cursor} if cursor else {})}
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
            ("cursor=01a2086f-384a-7730-8369-54311189af0c", "cursor"),
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
        assert problem(consensus) == "no-vote"

    async def test_a_task_that_was_only_closed_has_a_bare_result(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            task = await submit(http)
            await set_task(database, task, state="failed", reason="terminated")
            result = (await http.get(task["links"]["result"])).json()

        assert (result["state"], result["reason"], result["files"]) == ("failed", "terminated", {})
