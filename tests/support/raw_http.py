"""HTTP as bytes on a socket, for what no client library would send."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

LONG = 20.0
"""Seconds after which a test gives up; the gateway's own limits in tests are far shorter."""


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The name of the problem that it tells."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        told: dict[str, Any] = json.loads(self.body)
        assert told["status"] == self.status
        assert told["request_id"] == self.headers["x-request-id"]
        return str(told["type"]).rsplit("/", 1)[1]


class Wire:
    """A connection: what is sent is sent as it is."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, *parts: str | bytes) -> None:
        """Send bytes, or text as Latin-1."""
        for part in parts:
            self.writer.write(part.encode("latin-1") if isinstance(part, str) else part)
        await self.writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer."""
        async with asyncio.timeout(LONG):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            length = 0 if bodiless else int(headers.get("content-length", 0))
            return Answer(int(first.split()[1]), headers, await self._reader.readexactly(length))

    async def is_closed(self) -> bool:
        """Whether the other side ends the connection; what it still says is not looked at."""
        try:
            async with asyncio.timeout(LONG):
                while await self._reader.read(65_536):
                    pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True


@contextlib.asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    """A connection to a port of this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(port: int, *parts: str | bytes) -> Answer:
    """The answer to what is sent on a connection of its own."""
    async with wire(port) as connection:
        await connection.send(*parts)
        return await connection.answer()
