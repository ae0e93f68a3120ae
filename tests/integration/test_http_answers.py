"""What every answer has and none has: headers, ids, traces, bodies of HEAD, and never a word of our insides."""

import asyncio
import re
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select
from starlette.routing import Route

from gateway.app import create_app
from gateway.envelope import SECURITY_HEADERS
from gateway.openapi import describe
from gateway.operations import Operation, PublicOperation
from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS
from schema import engine
from schema.database import Database
from schema.settings import Settings
from schema.tables import audit_records
from tests.integration.conftest import running_gateway
from tests.integration.test_submission_under_fire import elsewhere, gateway_process
from tests.support.certificates import Authority
from tests.support.http import SPEC, client, problem, set_task, submit, tenant_name
from tests.support.paths import path_of
from tests.support.raw_http import wire

Token = Callable[..., str]

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ROUTES: tuple[Operation | PublicOperation, ...] = (*OPERATIONS, *PUBLIC_OPERATIONS)
PATHS = sorted({each.path for each in ROUTES})
GETS = sorted(each.path for each in ROUTES if each.method == "GET")


class TestHeaders:
    @pytest.mark.parametrize("path", [*PATHS, "/nope"])
    async def test_every_answer_to_every_method_is_as_safe_as_any(self, path: str, gateway_url: str) -> None:
        async with client(gateway_url, None) as http:
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"):
                answer = await http.request(method, path)
                for name, value in SECURITY_HEADERS.items():
                    own = answer.headers[name]
                    assert own == value or (path, name) in OWN_HEADERS, (method, name, own)
                assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
                assert answer.status_code < 500

    @pytest.mark.parametrize("path", PATHS)
    async def test_options_and_405_name_the_methods(self, path: str, gateway_url: str) -> None:
        known = {each.method for each in ROUTES if each.path == path} | {"OPTIONS"}
        known |= {"HEAD"} if "GET" in known else set()
        async with client(gateway_url, None) as http:
            options, wrong = await http.options(path), await http.request("BREW", path)

        assert (options.status_code, options.content) == (204, b"")
        assert (wrong.status_code, problem(wrong)) == (405, "method-not-allowed")
        assert set(options.headers["allow"].split(", ")) == set(wrong.headers["allow"].split(", ")) == known

    @pytest.mark.parametrize("path", GETS)
    async def test_head_is_get_without_its_body(
        self, path: str, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            await set_task(database, task, state="rejected", reason="no candidate passed")
            url = path_of(path, uuid4(), task_id=task["task_id"], tenant=task["tenant"])
            # The lists of what was done have one more line each time: as long as the sequence has as many digits.
            get, head = await http.get(url), await http.head(url)

        assert (head.status_code, head.content) == (get.status_code, b"")
        changing = {"date", "x-request-id", "ratelimit", *(("content-length",) if "audit" in path else ())}
        kept = [{name: value for name, value in each.headers.items() if name not in changing} for each in (get, head)]
        assert kept[0] == kept[1]

    async def test_head_of_a_story_without_an_end_is_answered_at_once(self, gateway_url: str, token: Token) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            task = await submit(http)
            head = await http.head(task["links"]["events"])
            again = await http.get(task["links"]["self"])

        assert (head.status_code, head.content, again.status_code) == (200, b"", 200)
        assert head.headers["content-type"].startswith("text/event-stream")

    async def test_under_tls_browsers_are_told_to_stay_there(self, settings: Settings, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        pair = authority.issue("gateway")
        other = elsewhere(settings, tls_cert=pair.cert, tls_key=pair.key)
        trusting = ssl.create_default_context(cafile=str(authority.cert))
        async with running_gateway(other), httpx.AsyncClient(verify=trusting) as http:
            told = await http.get(f"https://localhost:{other.gateway_port}/healthz")
            unknown = await http.get(f"https://localhost:{other.gateway_port}/nope")

        assert {each.headers["strict-transport-security"] for each in (told, unknown)} == {"max-age=31536000"}

    async def test_without_tls_they_are_not(self, gateway_url: str) -> None:
        async with client(gateway_url, None) as http:
            assert "strict-transport-security" not in (await http.get("/healthz")).headers


OWN_HEADERS = {("/docs", "Content-Security-Policy")} | {
    (f"/.well-known/{name}.json", "Cache-Control") for name in ("jwks", "evidence-keys")
}


class TestTraces:
    async def test_a_trace_goes_through_to_the_answer_and_to_the_audit_log(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-Id": "told-1"}
        async with client(gateway_url, token("developer", tenant), **headers) as http:
            answer = await http.post("/v1/tasks", json=SPEC)
            refused = await http.get(f"/v1/tasks/{uuid4()}")
            unknown = await http.get("/nope")
        async with database.service() as connection:
            told = select(audit_records.c.request_id, audit_records.c.trace_id).where(
                audit_records.c.tenant == tenant, audit_records.c.action.like("tasks.%")
            )
            rows = [tuple(row) for row in await connection.execute(told)]

        assert rows == [("told-1", TRACE)] * 2
        spans = [re.fullmatch(rf"00-{TRACE}-([0-9a-f]{{16}})-00", each.headers["traceparent"]) for each in
                 (answer, refused, unknown)]  # fmt: skip
        assert len({span and span[1] for span in spans} | {"00f067aa0ba902b7"}) == 4

    @pytest.mark.parametrize(
        "value", ["", "x", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff-{TRACE}-00f067aa0ba902b7-01"]
    )
    async def test_what_is_no_trace_is_not_echoed(self, value: str, gateway_url: str) -> None:
        async with client(gateway_url, None, traceparent=value) as http:
            assert "traceparent" not in (await http.get("/healthz")).headers

    @pytest.mark.parametrize("value", ["", "a b", "x" * 65, "é", "<script>", "a\tb", "../x"])
    async def test_what_is_no_request_id_is_replaced(self, value: str, gateway_url: str) -> None:
        async with httpx.AsyncClient(base_url=gateway_url) as http:
            answer = await http.get("/healthz", headers=httpx.Headers({"X-Request-Id": value}, encoding="utf-8"))

        assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-request-id"])


class TestFailures:
    @pytest.mark.parametrize("operation", ROUTES, ids=lambda each: f"{each.method} {each.path}")
    async def test_a_fault_of_ours_is_500_without_a_word_of_it(
        self, operation: Operation | PublicOperation, settings: Settings, token: Token, database: Database
    ) -> None:
        app = create_app(settings, database, await engine.connect(settings, lazy=True))

        async def broken(*_: object) -> None:
            raise ValueError(f"secret in {settings.home}")

        path, method = operation.path, operation.method
        own = [route for route in app.routes if isinstance(route, Route) and route.path == path]
        own[0].app = broken
        asked = path_of(path, uuid4())
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://golden") as http:
            answer = await http.request(method, asked)

        assert (answer.status_code, problem(answer)) == (500, "internal-error")
        for word in ("secret", "Traceback", "ValueError", ".py", str(settings.home)):
            assert word not in answer.text

    async def test_a_fault_in_the_middle_of_an_answer_ends_the_connection(
        self, settings: Settings, token: Token, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from gateway import events

        other = elsewhere(settings)
        async with running_gateway(other), client(other.gateway_url, token("developer", tenant_name())) as http:
            task = await submit(http)
            taken = events._read_batch
            asked = 0

            async def broken(*arguments: object) -> object:
                nonlocal asked
                asked += 1
                if asked > 1:
                    raise ValueError("secret in the middle")
                return await taken(*arguments)  # type: ignore[arg-type]

            monkeypatch.setattr(events, "_read_batch", broken)
            received = bytearray()
            with pytest.raises(httpx.RemoteProtocolError):
                await _read_into(received, http, task["links"]["events"])

        assert b"secret" not in received


async def _read_into(received: bytearray, http: httpx.AsyncClient, url: str) -> None:
    async with http.stream("GET", url) as response:
        async for chunk in response.aiter_bytes():
            received += chunk


class TestDescription:
    async def test_the_page_fetches_nothing_and_may_not(self, gateway_url: str) -> None:
        async with client(gateway_url, None) as http:
            page = await http.get("/docs")

        assert not re.search(r"<(script|link|img|iframe|object|embed|form|base)\b|@import|url\(|\bon\w+=", page.text)
        links = re.findall(r"(?:href|src|action)=[\"']?([^\"'> ]+)", page.text)
        assert all(link.startswith("#") or link == "/openapi.json" for link in links)
        policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert set(policy) == {"default-src", "base-uri", "form-action", "frame-ancestors", "style-src"}
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/=]+'", policy["style-src"])

    def test_every_answer_is_described_with_its_headers(self) -> None:
        document = describe()
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                assert {"400", "408", "414", "431", "500", "503"} <= set(operation["responses"]), (method, path)
                for status, response in operation["responses"].items():
                    named = set(response["headers"])
                    assert {"X-Request-Id", "traceparent"} <= named
                    assert (status == "401") == ("WWW-Authenticate" in named)
                    assert status not in ("429", "503") or "Retry-After" in named
                    assert named <= set(document["components"]["headers"])


async def test_a_gateway_told_to_stop_finishes_what_is_under_way(settings: Settings, token: Token) -> None:
    other, body = elsewhere(settings), httpx.Request("POST", "http://golden", json=SPEC).content
    async with gateway_process(other) as gateway, wire(other.gateway_port) as connection:
        head = ["POST /v1/tasks HTTP/1.1", "Host: golden", "Content-Type: application/json"]
        head += [f"Authorization: Bearer {token('developer', tenant_name())}", f"Content-Length: {len(body)}"]
        await connection.send("\r\n".join([*head, "Expect: 100-continue", "", ""]), body[:10])
        # Whoever is told to go on is being listened to: the request is in flight.
        assert (await connection.answer(bodiless=True)).status == 100
        gateway.send_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            while await _accepts(other.gateway_port):  # noqa: ASYNC110 (nothing tells when a port is closed)
                await asyncio.sleep(0.02)
        await connection.send(body[10:])
        answer = await connection.answer()
        assert await connection.is_closed()
        async with asyncio.timeout(20):
            await gateway.wait()

    assert (answer.status, gateway.returncode) == (202, 0)


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True
