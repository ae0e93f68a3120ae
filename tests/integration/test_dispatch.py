"""Calls along a route, over HTTP, on a real ledger: what a provider does wrong costs no more than it must."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

# Loaded here: it takes seconds, and a call has two.
from pydantic_ai.models.openai import OpenAIChatModel as OpenAIChatModel
from sqlalchemy import insert, select, update
from temporalio.testing import ActivityEnvironment
from uuid_utils.compat import uuid7

from activities.circuit import Rules
from activities.circuits import Circuits
from activities.dispatch import Dispatcher
from activities.ledger import Ledger
from activities.llm import LlmActivities
from activities.models import Models
from activities.prices import Price
from activities.routes import ModelTarget
from activities.store import TaskStore
from schema.database import Database
from schema.errors import AnswerTooLong, GoldenError, ModelUnavailable, PriceUnknown, RouteClosed
from schema.messages.steps import AskRoleInput, AskRoleResult, StepRef
from schema.messages.task import TaskSpec, TaskState
from schema.tables import accounts, circuits, ledger_entries, tasks
from schema.texts import put_text
from tests.support.parts import free_port
from tests.support.specs import spec

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PLAN = {"summary": "Write it.", "steps": ["write"]}


def completion(text: str = json.dumps(PLAN), usage: tuple[int, int] = (100, 20)) -> str:
    used = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return json.dumps(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": used}
    )


def answering(status: str, body: str, *headers: str) -> Serve:
    """A provider that says this whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0]))
        lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        writer.write(("\r\n".join([*lines, "Connection: close", "", ""]) + body).encode("latin-1"))

    return serve


class Providers:
    """Providers by number, each on a port of its own, and what is asked of them."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.asked: list[int] = []
        self.urls: list[str] = []
        # A port may come again: its circuit must not be that of a provider that failed in another test.
        self.model = f"openai:{uuid7()}"

    async def serve(self, serve: Serve) -> asyncio.Server:
        number, port = len(self.urls), free_port()

        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.asked.append(number)
            try:
                await serve(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.close()

        self.urls.append(f"http://127.0.0.1:{port}/v1")
        return await asyncio.start_server(count, "127.0.0.1", port)

    def activities(self, **target: Any) -> LlmActivities:
        """The activities over a route of all providers, in their order."""
        usual = {"max_tokens": 1_000, "price": Price(input=Decimal(1), output=Decimal(2)), "api_key": "none"}
        route = [
            ModelTarget.model_validate({"model": self.model, "base_url": url, **usual, **target}) for url in self.urls
        ]
        ledger = Ledger(self.database)
        models = Models({"default": route}, timeout_seconds=2)
        dispatcher = Dispatcher(ledger, models, Circuits(self.database, "test", Rules()), Rules())
        return LlmActivities(TaskStore(self.database), ledger, dispatcher)


@asynccontextmanager
async def providers(database: Database, *each: Serve) -> AsyncIterator[Providers]:
    running = Providers(database)
    servers = [await running.serve(serve) for serve in each]
    try:
        yield running
    finally:
        for server in servers:
            server.close()


async def planning(database: Database, tenant: str, *, limit_micro_usd: int | None = None) -> AskRoleInput:
    """The first step of a new task."""
    task_id, submitted = uuid7(), TaskSpec.model_validate(spec("t"))
    async with database.tenant(tenant) as connection:
        reference = await put_text(connection, tenant, submitted.model_dump_json())
    async with database.service() as connection:
        await connection.execute(insert(accounts).values(tenant=tenant, slots=8, limit_micro_usd=limit_micro_usd))
        values = {"task_id": task_id, "tenant": tenant, "title": "t", "spec": reference, "submitted_by": "s"}
        await connection.execute(insert(tasks).values(**values, budget_tokens=50_000))
    return AskRoleInput(
        ref=StepRef(task_id=task_id, tenant=tenant, step="plan"), state=TaskState.PLANNING, role="architect"
    )


async def asked(activities: LlmActivities, ask: AskRoleInput) -> AskRoleResult:
    result: AskRoleResult = await ActivityEnvironment().run(activities.ask_role, ask)
    return result


async def charged(database: Database, task_id: UUID) -> tuple[int, int, int]:
    """Tokens spent, tokens held, micro-dollars spent."""
    async with database.service() as connection:
        row = (await connection.execute(select(tasks).where(tasks.c.task_id == task_id))).one()
    return row.spent_tokens, row.held_tokens, row.spent_micro_usd


async def kinds(database: Database, task_id: UUID) -> list[str]:
    async with database.service() as connection:
        found = await connection.execute(
            select(ledger_entries.c.kind).where(ledger_entries.c.task_id == task_id).order_by(ledger_entries.c.id)
        )
        return list(found.scalars())


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, so that no timeout between two bytes ever ends it."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b" " * 100_000)
        await writer.drain()


async def bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A kilobyte that unpacks to gigabytes, if one lets it."""
    body = gzip.compress(gzip.compress(b" " * 100_000_000))
    await answering("200 OK", body.decode("latin-1"), "Content-Encoding: gzip, gzip")(reader, writer)


async def gzips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b" " * 100_000_000)
    await answering("200 OK", body.decode("latin-1"), "Content-Encoding: gzip")(reader, writer)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")


FAILING = {
    "an error": (answering("500 Oops", "{}"), ["release"]),
    "a quota": (answering("429 Slow down", "{}", "Retry-After: 1"), ["release"]),
    "a key that is refused": (answering("401 No", "{}"), ["release"]),
    "a redirect": (answering("302 Found", "", "Location: http://127.0.0.1:1/"), ["uncertain"]),
    "garbage": (answering("200 OK", "<html>"), ["uncertain"]),
    "an answer without a choice": (answering("200 OK", '{"choices": []}'), ["uncertain"]),
    "a drip": (drips, ["uncertain"]),
    "a flood": (floods, ["uncertain"]),
    "a bomb": (bomb, ["uncertain"]),
    "a packed flood": (gzips, ["uncertain"]),
    "a connection that ends": (hangs_up, ["uncertain"]),
}


@pytest.mark.parametrize("fault", FAILING)
async def test_the_next_model_of_the_route_answers_for_one_that_gives(fault: str, database: Database) -> None:
    serve, told = FAILING[fault]
    ask = await planning(database, f"route-{uuid7()}")
    async with providers(database, serve, answering("200 OK", completion())) as running:
        await asked(running.activities(), ask)
    assert running.asked == [0, 1]
    assert await kinds(database, ask.ref.task_id) == ["reserve", "sent", *told, "reserve", "sent", "settle"]
    spent, held, _ = await charged(database, ask.ref.task_id)
    assert held == 0
    # Refused costs nothing; what nobody knows costs its estimate.
    assert spent == 120 if told == ["release"] else spent > 120


async def test_five_failures_in_a_row_open_the_circuit_and_the_fifth_is_no_spent_attempt(database: Database) -> None:
    ask = await planning(database, f"down-{uuid7()}")
    errors: list[str] = []
    async with providers(database, answering("500 Oops", "{}")) as running:
        activities = running.activities()
        for _ in range(7):
            with pytest.raises(GoldenError) as told:
                await asked(activities, ask)
            errors.append(told.type.__name__)
    assert errors == [ModelUnavailable.__name__] * 4 + [RouteClosed.__name__] * 3
    assert len(running.asked) == 5
    assert await charged(database, ask.ref.task_id) == (0, 0, 0)


async def test_a_quota_pauses_and_is_no_failure(database: Database) -> None:
    ask = await planning(database, f"quota-{uuid7()}")
    async with providers(database, answering("429 Slow down", "{}", "Retry-After: 600")) as running:
        activities = running.activities()
        for _ in range(3):
            with pytest.raises(RouteClosed):
                await asked(activities, ask)
        circuit = f"{running.model}@{running.urls[0].split('/')[2]}"
        assert (await activities._dispatcher.blocked(ask) or 0) > 500
    async with database.service() as connection:
        row = (await connection.execute(select(circuits).where(circuits.c.circuit == circuit))).one()
    assert (row.state, row.failures, len(running.asked)) == ("paused", 0, 1)


async def test_a_request_that_is_refused_says_nothing_of_the_provider(database: Database) -> None:
    ask = await planning(database, f"ours-{uuid7()}")
    async with providers(database, answering("400 What", "{}")) as running:
        activities = running.activities()
        for _ in range(6):
            with pytest.raises(ModelUnavailable):
                await asked(activities, ask)
        assert await activities._dispatcher.blocked(ask) is None


async def test_an_answer_that_is_packed_is_an_answer(database: Database) -> None:
    ask = await planning(database, f"packed-{uuid7()}")
    body = gzip.compress(completion().encode()).decode("latin-1")
    async with providers(database, answering("200 OK", body, "Content-Encoding: gzip")) as running:
        await asked(running.activities(), ask)
    assert await charged(database, ask.ref.task_id) == (120, 0, 140)


async def test_answers_without_an_end_say_nothing_of_the_provider(database: Database) -> None:
    ask = await planning(database, f"endless-{uuid7()}")
    async with providers(database, gzips) as running:
        activities = running.activities()
        for _ in range(6):
            with pytest.raises(AnswerTooLong):
                await asked(activities, ask)
        assert await activities._dispatcher.blocked(ask) is None


async def test_what_was_used_above_the_hold_is_an_overrun_and_blocks_the_next(database: Database) -> None:
    ask = await planning(database, f"overrun-{uuid7()}")
    async with providers(database, answering("200 OK", completion(usage=(60_000, 0)))) as running:
        await asked(running.activities(), ask)
    assert await kinds(database, ask.ref.task_id) == ["reserve", "sent", "settle", "overrun"]
    assert await charged(database, ask.ref.task_id) == (60_000, 0, 60_000)


@pytest.mark.filterwarnings("ignore:.*:pydantic_ai._warnings.UsageExtractionFailedWarning")
@pytest.mark.parametrize("usage", [(10**18, 1), (0, 0), (-5, 3)])
async def test_a_usage_that_can_not_be_is_charged_at_the_estimate(database: Database, usage: tuple[int, int]) -> None:
    ask = await planning(database, f"usage-{uuid7()}")
    async with providers(database, answering("200 OK", completion(usage=usage))) as running:
        await asked(running.activities(), ask)
    assert await kinds(database, ask.ref.task_id) == ["reserve", "sent", "uncertain"]
    spent, held, micro_usd = await charged(database, ask.ref.task_id)
    assert (held, 0 < spent < 10_000, 0 < micro_usd < 20_000) == (0, True, True)


async def test_a_call_without_a_price_is_not_sent_where_money_is_limited(database: Database) -> None:
    tenant = f"price-{uuid7()}"
    ask = await planning(database, tenant, limit_micro_usd=10**9)
    async with providers(database, answering("200 OK", completion())) as running:
        with pytest.raises(PriceUnknown):
            await asked(running.activities(price=None), ask)
        assert running.asked == []
        async with database.service() as connection:
            await connection.execute(update(accounts).where(accounts.c.tenant == tenant).values(limit_micro_usd=None))
        await asked(running.activities(price=None), ask)
    assert await charged(database, ask.ref.task_id) == (120, 0, 0)


async def test_no_more_calls_are_under_way_than_the_model_takes(database: Database) -> None:
    most, now = 0, 0

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.05)
        await answering("200 OK", completion())(reader, writer)
        now -= 1

    asks = [await planning(database, f"turn-{uuid7()}") for _ in range(6)]
    async with providers(database, slow) as running:
        activities = running.activities(at_once=2)
        await asyncio.gather(*(asked(activities, ask) for ask in asks))
    assert (most, len(running.asked)) == (2, 6)
