"""A scripted provider that answers badly by a seeded choice: errors, quotas, broken connections, broken answers.

It speaks HTTP over plain sockets, since no server lets its application cut a connection off in the middle.
"""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random

from starlette.requests import Request
from starlette.types import Message

from tests.support.parts import free_port
from tests.support.provider import Asked, Provider

WEIGHTS = {
    "error 500": 5,
    "quota": 1,
    "quota with Retry-After": 2,
    "connection reset": 4,
    "cut off": 3,
    "slow": 8,
    "stalled": 1,
    "garbage": 3,
    "truncated": 3,
    "no choice": 2,
    "invalid": 5,
}
"""How often each fault is chosen, when one is."""
SHARE = 0.3
"""Of the requests that meet a fault."""
SLOW_SECONDS = 1.5

_REASONS = {200: "OK", 429: "Too Many Requests", 500: "Internal Server Error"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class StormyProvider(Provider):
    """Answers from scripts, but for the faults of its seed.

    Attributes:
        calm: no faults any more.
        away: nobody is there: each connection is reset.
        afflicted: titles whose plans are nonsense until it is calm.
        faults: how many of each kind there were.
    """

    def __init__(self, port: int, seed: int, stall_seconds: float) -> None:
        super().__init__(port)
        self.calm = False
        self.away = False
        self.afflicted: set[str] = set()
        self.faults: Counter[str] = Counter()
        self._seed = seed
        self._stall_seconds = stall_seconds
        self._nth: Counter[tuple[str, str, bool]] = Counter()
        self._serving: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request; an OSError is a client that went."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer_one(writer, await _read_body(reader))
        finally:
            self._serving.discard(task)
            writer.close()

    async def close(self) -> None:
        """End the connections that are left."""
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def fault_of(self, asked: Asked) -> str | None:
        """What befalls this request. The same seed says the same of the same request of a role of a task."""
        key = (asked.title, asked.role, asked.voting)
        self._nth[key] += 1
        if self.calm:
            return None
        if self.away:
            return "provider away"
        if asked.title in self.afflicted and asked.role == "architect" and not asked.voting:
            return "invalid"
        chance = Random(f"{self._seed}/{key}/{self._nth[key]}")  # noqa: S311 - to be repeated, not to be secret
        return chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0] if chance.random() < SHARE else None

    async def _answer_one(self, writer: asyncio.StreamWriter, body: bytes) -> None:
        fault = self.fault_of(self._read(json.loads(body)))

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        good = bytes((await self.answer(Request({"type": "http", "method": "POST", "headers": []}, receive))).body)
        if fault is not None:
            self.faults[fault] += 1
        match fault:
            case "connection reset" | "provider away":
                _reset(writer)
            case "stalled":
                await asyncio.sleep(self._stall_seconds)
                _reset(writer)
            case "cut off":
                writer.write(_response(200, good)[: -len(good) // 2])
                await writer.drain()
                _reset(writer)
            case "error 500":
                await _send(writer, _response(500, b'{"error": {"message": "as chosen"}}'))
            case "quota":
                await _send(writer, _response(429, b'{"error": {"message": "as chosen"}}'))
            case "quota with Retry-After":
                await _send(writer, _response(429, b'{"error": {"message": "as chosen"}}', "Retry-After: 1"))
            case _:
                if fault == "slow":
                    await asyncio.sleep(SLOW_SECONDS)
                await _send(writer, _response(200, _spoilt(fault, good)))


def _spoilt(fault: str | None, good: bytes) -> bytes:
    """The body of an answer with status 200."""
    completion = json.loads(good)
    match fault:
        case "garbage":
            return b"\x00\xff<html>\xfe" * 50
        case "truncated":
            return good[: len(good) // 2]
        case "no choice":
            return json.dumps({**completion, "choices": []}).encode()
        case "invalid":
            completion["choices"][0]["message"]["content"] = "I would rather not."
            return json.dumps(completion).encode()
    return good


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next(line.partition(":")[2] for line in head.split("\r\n") if line.startswith("content-length:"))
    return await reader.readexactly(int(length))


def _response(status: int, body: bytes, *headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join((*lines, "", "")).encode() + body


async def _send(writer: asyncio.StreamWriter, response: bytes) -> None:
    writer.write(response)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """The kernel tells the peer that the connection is broken, not that it has ended."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


@asynccontextmanager
async def running_storm_of_answers(seed: int, stall_seconds: float) -> AsyncIterator[StormyProvider]:
    """The provider, listening."""
    provider = StormyProvider(free_port(), seed, stall_seconds)
    port = int(provider.url.rsplit(":", 1)[1].partition("/")[0])
    server = await asyncio.start_server(provider.serve, "127.0.0.1", port)
    try:
        yield provider
    finally:
        server.close()
        await provider.close()
        await server.wait_closed()
