"""A task's story as server-sent events: in order, complete, resumable, and never at the price of a connection."""

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text

from gateway import events as gateway_events
from gateway import feed as gateway_feed
from schema.database import Database
from schema.messages.task import TaskState
from schema.settings import Settings
from schema.story import append_event, move
from tests.integration.conftest import running_gateway
from tests.support.http import client, submit, tenant_name
from tests.support.parts import GENEROUS, free_port

Token = Callable[..., str]
Event = tuple[int, str, dict[str, Any]]


@contextlib.asynccontextmanager
async def following(
    http: httpx.AsyncClient, task: dict[str, Any], **headers: str
) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a task as they come."""
    async with http.stream("GET", task["links"]["events"], headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _parse(response)


async def _parse(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "id" in fields:
            yield int(fields["id"]), fields["event"], json.loads(fields["data"])
            fields = {}


async def tell(database: Database, task: dict[str, Any], event: str, **data: Any) -> None:
    async with database.tenant(task["tenant"]) as connection:
        await append_event(connection, UUID(task["task_id"]), task["tenant"], event, data)


async def finish(database: Database, task: dict[str, Any]) -> None:
    """The end of a task as a worker writes it: state and verdict in one transaction."""
    async with database.tenant(task["tenant"]) as connection:
        await move(connection, UUID(task["task_id"]), task["tenant"], TaskState.ACCEPTED)
        await append_event(
            connection, UUID(task["task_id"]), task["tenant"], "verdict", {"state": "accepted", "summary": "ok"}
        )


async def test_events_come_in_order_as_they_are_written_and_end_with_the_verdict(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        async with following(http, task) as events:
            assert (await anext(events))[:2] == (1, "state")
            began = time.monotonic()
            await tell(database, task, "step", step="plan", state="running")
            sequence, event, data = await anext(events)
            assert (sequence, event, data["step"]) == (2, "step", "plan")
            assert "at" in data
            # Woken by the notification: the poll would take ten seconds.
            assert time.monotonic() - began < gateway_feed.POLL_SECONDS * 0.9
            await finish(database, task)
            rest = [event async for event in events]

    assert [(sequence, event) for sequence, event, _ in rest] == [(3, "state"), (4, "verdict")]


async def test_a_stream_resumes_after_the_last_event_that_was_seen(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        await tell(database, task, "step", step="plan", state="done")
        await finish(database, task)
        async with following(http, task, **{"Last-Event-ID": "2"}) as events:
            by_header = [sequence async for sequence, _, _ in events]
        task["links"]["events"] += "?after=3"
        async with following(http, task) as events:
            by_query = [sequence async for sequence, _, _ in events]
        async with following(http, task, **{"Last-Event-ID": "99"}) as events:
            beyond = [sequence async for sequence, _, _ in events]

    assert (by_header, by_query, beyond) == ([3, 4], [4], [])


async def test_a_story_longer_than_a_batch_is_told_whole(gateway_url: str, token: Token, database: Database) -> None:
    count = 2 * gateway_events.BATCH + 7
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        async with database.tenant(task["tenant"]) as connection:
            for number in range(count):
                await append_event(connection, UUID(task["task_id"]), task["tenant"], "step", {"step": f"s/{number}"})
        await finish(database, task)
        async with following(http, task) as events:
            told = [sequence async for sequence, _, _ in events]

    assert told == list(range(1, count + 4))


async def test_a_task_that_was_only_closed_ends_its_stream_too(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        async with database.tenant(task["tenant"]) as connection:
            await move(connection, UUID(task["task_id"]), task["tenant"], TaskState.FAILED, "terminated")
        async with following(http, task) as events:
            told = [event async for _, event, _ in events]

    assert told == ["state", "state"]


@pytest.mark.parametrize(
    ("headers", "query"),
    [({"Last-Event-ID": "x"}, ""), ({"Last-Event-ID": "-1"}, ""), ({"Last-Event-ID": "9" * 30}, ""), ({}, "?after=x")],
)
async def test_a_place_that_is_no_event_is_told(
    headers: dict[str, str], query: str, gateway_url: str, token: Token
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        response = await http.get(task["links"]["events"] + query, headers=headers)

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] in ("Last-Event-ID", "after")


async def test_many_followers_hold_no_connection_to_the_database(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http, contextlib.AsyncExitStack() as stack:
        task = await submit(http)
        streams = [await stack.enter_async_context(following(http, task)) for _ in range(40)]
        for events in streams:
            assert (await anext(events))[0] == 1
        # More followers than the pool has connections, and yet there is one for us.
        assert (await http.get(task["links"]["self"])).status_code == 200
        await finish(database, task)
        told = await asyncio.gather(*(_drain(events) for events in streams))

    assert told == [[2, 3]] * 40


async def _drain(events: AsyncIterator[Event]) -> list[int]:
    return [sequence async for sequence, _, _ in events]


async def test_a_lost_listening_connection_is_made_again(
    gateway_url: str, token: Token, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        async with following(http, task) as events:
            await anext(events)
            # The listener is the tenant role's own backend, which that role may end.
            async with database.tenant(task["tenant"]) as connection:
                await connection.execute(
                    text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
                )
            await tell(database, task, "step", step="plan", state="running")
            async with asyncio.timeout(gateway_feed.POLL_SECONDS - 2):
                assert (await anext(events))[0] == 2


async def test_at_shutdown_streams_end_promptly_and_say_when_to_come_back(
    settings: Settings, token: Token, database: Database
) -> None:
    other = settings.model_copy(update={"gateway_port": free_port()})
    async with client(other.gateway_url, token("developer", tenant_name())) as http:
        async with running_gateway(other) as server:
            task = await submit(http)
            async with http.stream("GET", task["links"]["events"]) as response:
                lines = response.aiter_lines()
                assert await anext(lines) == "id: 1"
                server.should_exit = True
                began = time.monotonic()
                rest = [line async for line in lines]
        assert time.monotonic() - began < gateway_feed.POLL_SECONDS
    assert "retry: 1000" in rest


async def test_the_process_drains_and_exits_with_0_on_sigterm(settings: Settings, token: Token) -> None:
    other = settings.model_copy(update={"gateway_port": free_port(), "metrics_port": free_port()})
    environment = {
        "GOLDEN_HOME": str(other.home),
        "GOLDEN_GATEWAY_PORT": str(other.gateway_port),
        "GOLDEN_METRICS_PORT": str(other.metrics_port),
        "TEMPORAL_ADDRESS": other.temporal_target,
        "GOLDEN_RATE_LIMITS": GENEROUS,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "gateway"), env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"Uvicorn running" not in await process.stdout.readline():
            pass
    async with client(other.gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        async with following(http, task) as events:
            await anext(events)
            process.send_signal(signal.SIGTERM)
            assert [event async for event in events] == []
        async with httpx.AsyncClient() as public:
            with pytest.raises(httpx.ConnectError):
                await public.get(f"{other.gateway_url}/healthz")
    output, _ = await process.communicate()

    assert process.returncode == 0
    assert token("developer", "x")[:20] not in output.decode()
    assert all(json.loads(line) for line in output.decode().splitlines())


async def test_the_tenant_role_may_listen_but_reads_no_foreign_event(settings: Settings) -> None:
    url = settings.database("tenant").replace("postgresql+psycopg", "postgresql")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute(b"SELECT * FROM task_events")).fetchall()

    assert rows == []
