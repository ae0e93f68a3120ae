"""Requests as bytes on a socket: too large, too slow, too many, and not HTTP at all."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from gateway.connections import Patience
from gateway.request_line import MAX_HEADER_BYTES, MAX_HEADERS, MAX_QUERY_FIELDS, MAX_TARGET
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support.http import SPEC, tenant_name
from tests.support.parts import free_port
from tests.support.raw_http import Wire, ask, wire

Token = Callable[..., str]

HOST = "Host: golden\r\n"
GET = f"GET /healthz HTTP/1.1\r\n{HOST}"
SHORT = Patience(head=0.3, body=0.6, answer=0.5)
MAX_CONNECTIONS = 5


@pytest.fixture(scope="module")
def port(gateway_url: str) -> int:
    """Where the gateway listens."""
    return int(gateway_url.rsplit(":", 1)[1])


@pytest_asyncio.fixture(scope="module")
async def hasty(settings: Settings) -> AsyncIterator[int]:
    """The port of a gateway with little patience and few connections."""
    changes = {"gateway_port": free_port(), "max_connections": MAX_CONNECTIONS}
    other = settings.model_copy(update=changes)
    async with running_gateway(other, patience=SHORT):
        yield other.gateway_port


def submission(token: str, body: bytes, *headers: str) -> bytes:
    """A submission whose framing is in `headers`."""
    first = ("POST /v1/tasks HTTP/1.1", "Host: golden", f"Authorization: Bearer {token}")
    return "\r\n".join([*first, "Content-Type: application/json", *headers, "", ""]).encode() + body


class TestMalformed:
    @pytest.mark.parametrize(
        ("request_bytes", "status"),
        [
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", 400),
            (b"GET\r\n\r\n", 400),
            (b"GET / HTTP/9.9\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nName : x\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
            (b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
            (b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 1e3\r\n\r\n", 400),
            (b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
            (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            (b"POST /v1/tasks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
            (b"GET /" + b"a" * (MAX_TARGET + 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            (b"GET /v1/tasks?" + b"a" * (MAX_TARGET + 1) + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            (b"GET /v1/tasks?" + b"a&" * MAX_QUERY_FIELDS + b" HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * MAX_HEADERS + b"\r\n", 431),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"y" * MAX_HEADER_BYTES + b"\r\n\r\n", 431),
            (b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 10 * MAX_HEADER_BYTES, 431),
            (b"GET /v1/tasks/%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /v1/tasks/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /v1/tasks/% HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /v1/tasks/%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /v1/tasks/%ed%a0%80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (b"GET /v1/tasks?state=%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ],
        ids=lambda value: repr(value)[:60],
    )  # fmt: skip
    async def test_what_is_no_request_is_a_problem_and_ends_the_connection(
        self, port: int, request_bytes: bytes, status: int
    ) -> None:
        async with wire(port) as connection:
            await connection.send(request_bytes)
            answer = await connection.answer()
            assert await connection.is_closed()

        names = {400: "malformed-request", 414: "uri-too-long", 431: "headers-too-large"}
        assert (answer.status, answer.problem) == (status, names[status])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["connection"] == "close"

    async def test_a_body_that_breaks_off_in_its_chunks_is_told(self, port: int, token: Token) -> None:
        holder = token("developer", tenant_name())
        answer = await ask(port, submission(holder, b"zz\r\nx\r\n", "Transfer-Encoding: chunked"))

        assert (answer.status, answer.problem) == (400, "malformed-request")

    @pytest.mark.parametrize(
        "path", ["/v1/tasks/..%2f..%2fhealthz", "/../../etc/passwd", "//healthz", "/healthz/.", "*"]
    )
    async def test_paths_that_climb_lead_nowhere(self, port: int, path: str) -> None:
        answer = await ask(port, f"GET {path} HTTP/1.1\r\n{HOST}\r\n")

        assert (answer.status, answer.problem) == (404, "not-found")


class TestForms:
    async def test_requests_in_one_go_are_answered_in_their_order(self, port: int) -> None:
        async with wire(port) as connection:
            await connection.send(f"{GET}X-Request-Id: one\r\n\r\n{GET}X-Request-Id: two\r\n\r\n")
            told = [(await connection.answer()).headers["x-request-id"] for _ in range(2)]

        assert told == ["one", "two"]

    async def test_a_body_comes_in_chunks_or_byte_by_byte(self, port: int, token: Token) -> None:
        holder, body = token("developer", tenant_name()), json.dumps(SPEC).encode()
        chunks = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body) + b"0\r\nTrailer: x\r\n\r\n"
        chunked = await ask(port, submission(holder, chunks, "Transfer-Encoding: chunked"))
        async with wire(port) as connection:
            for byte in submission(holder, body, f"Content-Length: {len(body)}"):
                await connection.send(bytes([byte]))
            trickled = await connection.answer()

        assert (chunked.status, trickled.status) == (202, 202)

    async def test_who_asks_first_is_told_to_go_on_only_where_the_body_is_wanted(self, port: int, token: Token) -> None:
        body = json.dumps(SPEC).encode()
        framing = (f"Content-Length: {len(body)}", "Expect: 100-continue")
        async with wire(port) as connection:
            await connection.send(submission(token("developer", tenant_name()), b"", *framing))
            go_on = await connection.answer(bodiless=True)
            await connection.send(body)
            accepted = await connection.answer()
        refused = await ask(port, submission(token("viewer", tenant_name()), b"", *framing))

        assert (go_on.status, accepted.status, refused.status) == (100, 202, 403)

    async def test_one_length_said_twice_is_one_length(self, port: int, token: Token) -> None:
        body = json.dumps(SPEC).encode()
        length = f"Content-Length: {len(body)}"
        answer = await ask(port, submission(token("developer", tenant_name()), body, length, length))

        assert answer.status == 202

    async def test_http_1_0_is_answered_and_closed(self, port: int) -> None:
        async with wire(port) as connection:
            await connection.send("GET /healthz HTTP/1.0\r\n\r\n")
            answer = await connection.answer()
            assert await connection.is_closed()

        assert (answer.status, json.loads(answer.body)) == (200, {"status": "alive"})

    @pytest.mark.parametrize("target", ["http://golden/healthz", "HTTPS://other:1/healthz"])
    async def test_a_target_may_name_the_host_too(self, port: int, target: str) -> None:
        answer = await ask(port, f"GET {target} HTTP/1.1\r\n{HOST}\r\n")

        assert answer.status == 200

    async def test_a_request_for_another_protocol_is_answered_in_this_one(self, port: int) -> None:
        answer = await ask(port, f"{GET}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")

        assert answer.status == 200


class TestSlowness:
    @pytest.mark.parametrize("begun", ["", "GET /healthz HTTP/1.1\r\nHost: a\r\n"], ids=["nothing", "half a head"])
    async def test_a_head_that_does_not_come_is_not_waited_for(self, hasty: int, begun: str) -> None:
        async with wire(hasty) as connection:
            await connection.send(begun)
            answer = await connection.answer()
            assert await connection.is_closed()

        assert (answer.status, answer.problem) == (408, "request-timeout")

    async def test_a_header_now_and_then_buys_no_time(self, hasty: int) -> None:
        async with wire(hasty) as connection:
            trickling = asyncio.create_task(trickle(connection, "GET /healthz HTTP/1.1\r\n", "X: y\r\n"))
            answer = await connection.answer()
            await trickling

        assert (answer.status, answer.problem) == (408, "request-timeout")

    async def test_the_second_head_is_timed_like_the_first(self, hasty: int) -> None:
        async with wire(hasty) as connection:
            await connection.send(f"{GET}\r\n{GET}")
            first = await connection.answer()
            # The rest of the second comes too late, if it comes at all.
            trickling = asyncio.create_task(trickle(connection, "", "X: y\r\n"))
            second = await connection.answer()
            await trickling

        assert (first.status, second.status, second.problem) == (200, 408, "request-timeout")

    async def test_a_body_that_does_not_come_is_not_waited_for(self, hasty: int, token: Token) -> None:
        async with wire(hasty) as connection:
            await connection.send(submission(token("developer", tenant_name()), b"{", "Content-Length: 1000"))
            answer = await connection.answer()
            assert await connection.is_closed()

        assert (answer.status, answer.problem) == (408, "request-timeout")

    async def test_a_body_that_nobody_reads_holds_no_connection(self, hasty: int) -> None:
        async with wire(hasty) as connection:
            await connection.send(f"POST /v1/tasks HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n")
            answer = await connection.answer()
            trickling = asyncio.create_task(trickle(connection, "", "1\r\nx\r\n"))
            assert await connection.is_closed()
            await trickling

        assert answer.status == 401

    async def test_an_answer_that_is_not_taken_is_given_up(self, hasty: int) -> None:
        async with wire(hasty) as connection:
            # Far more answers than both ends' buffers hold, and nobody reads them.
            flood = asyncio.create_task(endless(connection, f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n"))
            async with asyncio.timeout(20):
                await flood

        assert connection.writer.transport.is_closing()

    async def test_a_patient_client_is_not_hurried_between_requests(self, hasty: int) -> None:
        async with wire(hasty) as connection:
            await connection.send(f"{GET}\r\n")
            await connection.answer()
            # Longer than a head may take: the time between requests is another.
            await asyncio.sleep(2 * SHORT.head)
            await connection.send(f"{GET}\r\n")
            assert (await connection.answer()).status == 200

    async def test_a_connection_too_many_is_told_so_and_there_is_room_again_when_one_ends(self, hasty: int) -> None:
        async with contextlib.AsyncExitStack() as stack:
            held = [await stack.enter_async_context(wire(hasty)) for _ in range(MAX_CONNECTIONS)]
            for connection in held:
                await connection.send(f"{GET}\r\n")
                assert (await connection.answer()).status == 200
            async with wire(hasty) as surplus:
                refused = await surplus.answer()
                assert await surplus.is_closed()
            await held[0].send(f"{GET}Connection: close\r\n\r\n")
            assert await held[0].is_closed()
            again = await ask(hasty, f"{GET}\r\n")

        assert (refused.status, refused.problem, refused.headers["retry-after"]) == (503, "overloaded", "2")
        assert again.status == 200


async def trickle(connection: Wire, first: str, more: str) -> None:
    """Send a little again and again, until the other side has had enough."""
    with contextlib.suppress(ConnectionError):
        await connection.send(first)
        while not connection.writer.is_closing():
            await connection.send(more)
            await asyncio.sleep(SHORT.head / 5)


async def endless(connection: Wire, request: str) -> None:
    """Ask without listening, until the other side has had enough."""
    with contextlib.suppress(ConnectionError):
        while True:
            await connection.send(request)
