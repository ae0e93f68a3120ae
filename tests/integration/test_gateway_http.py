"""The gateway as an HTTP server: methods, headers, health, its description, and outages behind it."""

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import jwt
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.local import postgres, temporal
from gateway.routes import OPERATIONS
from gateway.tokens import issue_token
from schema import engine, migrate
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support.http import SPEC, client, problem, submit, tenant_name
from tests.support.parts import free_port, local_settings, running_part, running_postgres

Token = Callable[..., str]


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

    async def test_temporal_is_found_as_soon_as_it_is_there_and_keeps_nobody_waiting_when_it_goes(
        self, settings: Settings, token: Token, tmp_path: Path
    ) -> None:
        there = local_settings(tmp_path)
        other = settings.model_copy(update={"gateway_port": free_port(), "temporal_address": there.temporal_target})
        holder = token("admin", tenant_name())
        async with running_gateway(other), client(other.gateway_url, holder) as http:
            headers = {"Idempotency-Key": "k"}
            early = await http.post("/v1/tasks", json=SPEC, headers=headers)
            async with running_part(temporal.part(there), tmp_path):
                again = await http.post("/v1/tasks", json=SPEC, headers=headers)
                handle = engine.task_handle(await engine.connect(other), UUID(early.json()["task_id"]))
                started = await handle.describe()
            began = time.monotonic()
            late = await submit(http)

        assert again.json()["task_id"] == early.json()["task_id"]
        assert started.status is not None
        assert late["state"] == "submitted"
        # Left to itself, the client would try for twice as long.
        assert time.monotonic() - began < 2 * engine.RPC_TIMEOUT.total_seconds()

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

    async def test_while_a_fleet_is_upgraded_newer_tables_are_no_reason_to_refuse(
        self, settings: Settings, gateway_url: str
    ) -> None:
        owner = create_async_engine(settings.database("migrator"))
        try:
            statuses = {}
            for version in ("9999", "0001", migrate.newest()):
                async with owner.begin() as connection:
                    await connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
                async with client(gateway_url, None) as http:
                    statuses[version] = (await http.get("/readyz")).status_code
        finally:
            await owner.dispose()

        assert list(statuses.values()) == [200, 503, 200]

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
