"""A worker killed at any moment of a model call: the next one ends the step, and each dispatch is charged once."""

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import insert, select, text
from uuid_utils.compat import uuid7

from schema.database import Database
from schema.messages.base import Message
from schema.messages.steps import AskRoleInput, StepRef
from schema.messages.task import TaskSpec, TaskState
from schema.settings import Settings
from schema.tables import accounts, task_steps, tasks
from schema.texts import put_text
from tests.support.books import Books, books_of
from tests.support.processes import until
from tests.support.provider import Provider, Script, running_provider
from tests.support.specs import spec

USED = 120
"""What the scripted provider says that each answer used."""


@dataclass(frozen=True)
class Killed:
    """What is to be when a step whose worker was killed has come to its end.

    Attributes:
        lost: dispatches whose end nobody knows, each charged at its estimate.
        asked: requests that the provider got.
    """

    point: str
    lost: int
    asked: int


KILLED = (
    Killed("before reserve", lost=0, asked=1),
    Killed("within reserve", lost=1, asked=1),
    Killed("after reserve", lost=1, asked=1),
    Killed("while the provider thinks", lost=1, asked=2),
    Killed("before settle", lost=1, asked=2),
    # The statement had left: PostgreSQL carried it out, whoever was there to hear of it.
    Killed("within settle", lost=0, asked=1),
    Killed("after settle", lost=0, asked=1),
    Killed("before finish", lost=0, asked=1),
    Killed("after finish", lost=0, asked=1),
)


@pytest_asyncio.fixture(scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as provider:
        yield provider


class Worker:
    """A process that runs one step."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, settings: Settings, provider: Provider, point: str = "never") -> "Worker":
        environment = {**os.environ, "GOLDEN_HOME": str(settings.home), "GOLDEN_MODELS": provider.models}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.mortal", point),
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        worker = cls(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"started\n"
        return worker

    def begin(self, step: Message) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(step.model_dump_json().encode() + b"\n")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)

    async def ended(self) -> tuple[int, bytes]:
        """The exit code and what it printed: nothing, if it was killed."""
        said, _ = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, said


async def step_of(database: Database, tenant: str, title: str, budget: int = 50_000) -> AskRoleInput:
    """The plan of a submitted task."""
    task_id = uuid7()
    async with database.service() as connection:
        await connection.execute(insert(accounts).values(tenant=tenant, slots=5))
    async with database.tenant(tenant) as connection:
        body = TaskSpec.model_validate(spec(title)).model_dump_json()
        reference = await put_text(connection, tenant, body)
        named = {"title": title, "spec": reference, "submitted_by": "s", "budget_tokens": budget}
        await connection.execute(insert(tasks).values(task_id=task_id, tenant=tenant, **named))
    ref = StepRef(task_id=task_id, tenant=tenant, step="plan")
    return AskRoleInput(ref=ref, state=TaskState.PLANNING, role="architect")


async def backends_are_gone(database: Database, count: int) -> None:
    """Returns when no more connections than `count` are left: what a killed process had sent is carried out."""

    async def gone() -> bool:
        return await connections(database) <= count

    await until(gone)


async def connections(database: Database) -> int:
    async with database.service() as connection:
        found = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(await connection.scalar(found) or 0)


async def stored(database: Database, ref: StepRef) -> list[tuple[str, Any]]:
    """State and result of a step's rows."""
    async with database.service() as connection:
        mine = (task_steps.c.task_id == ref.task_id, task_steps.c.step == ref.step)
        rows = await connection.execute(select(task_steps.c.state, task_steps.c.result).where(*mine))
        return [(row.state, row.result) for row in rows]


def kinds(books: Books, task_id: UUID) -> list[str]:
    """The kinds of the entries on a task's account, in their order, but for those that add nothing."""
    mine = [entry for entry in books.entries if entry["task_id"] == task_id and entry["kind"] != "sent"]
    return [entry["kind"] for entry in sorted(mine, key=lambda entry: int(entry["id"]))]


@pytest.mark.parametrize("killed", KILLED, ids=lambda killed: killed.point.replace(" ", "-"))
async def test_a_worker_killed_anywhere_in_a_call_leaves_each_dispatch_charged_once(
    settings: Settings, database: Database, provider: Provider, killed: Killed
) -> None:
    title, tenant = f"killed {killed.point}", f"kill-{killed.point.replace(' ', '-')}"
    gate = threading.Event()
    gated = killed.point == "while the provider thinks"
    provider.script(title, Script(gates={"architect": gate} if gated else {}))
    ask = await step_of(database, tenant, title)
    first, second = await asyncio.gather(
        Worker.start(settings, provider, killed.point), Worker.start(settings, provider)
    )
    before = await connections(database)
    first.begin(ask)
    if gated:
        await until(lambda: provider.asked_about(title))
        first.kill()
    assert await first.ended() == (-signal.SIGKILL, b"")
    gate.set()
    await backends_are_gone(database, before)

    second.begin(ask)
    code, said = await second.ended()

    assert code == 0
    books = await books_of(database, tenant)
    assert books.faults() == []
    calls, row = books.calls_of(ask.ref.task_id), books.tasks[ask.ref.task_id]
    estimates = [call["reserved_tokens"] for call in calls if call["state"] == "uncertain"]
    assert len(estimates) == killed.lost
    assert (row["spent_tokens"], row["held_tokens"]) == (sum(estimates) + USED, 0)
    assert kinds(books, ask.ref.task_id) == ["reserve", "uncertain"] * killed.lost + ["reserve", "settle"]
    assert [call["response"] for call in calls if call["response"]] == [json.loads(said)["response"]]
    assert await stored(database, ask.ref) == [("done", json.loads(said))]
    assert len(provider.asked_about(title)) == killed.asked


@pytest.mark.parametrize("first_is_heard", [True, False])
async def test_two_workers_on_the_same_step_come_to_one_result_and_one_charge_a_dispatch(
    settings: Settings, database: Database, provider: Provider, first_is_heard: bool
) -> None:
    title, tenant = f"overtaken {first_is_heard}", f"overtaken-{first_is_heard}".lower()
    gate = threading.Event()
    plans = [{"summary": f"The plan of attempt {number}.", "steps": ["write"]} for number in (1, 2)]
    provider.script(title, Script(plan=plans, gates={"architect": gate}))
    ask = await step_of(database, tenant, title)
    first, second = await asyncio.gather(Worker.start(settings, provider), Worker.start(settings, provider))
    first.begin(ask)
    await until(lambda: len(provider.asked_about(title)) == 1)
    if first_is_heard:
        # Its answer is in the book before another attempt begins.
        gate.set()
        await first.ended()
    second.begin(ask)
    if not first_is_heard:
        await until(lambda: len(provider.asked_about(title)) == 2)
        gate.set()
        code, said = await first.ended()
        # The late one has no result: its dispatch was charged when it was overtaken.
        assert (code, said) == (1, b"")
    code, said = await second.ended()

    assert code == 0
    books = await books_of(database, tenant)
    assert books.faults() == []
    calls = books.calls_of(ask.ref.task_id)
    states = ["settled"] if first_is_heard else ["uncertain", "settled"]
    assert [call["state"] for call in calls] == states
    estimates = sum(call["reserved_tokens"] for call in calls if call["state"] == "uncertain")
    assert books.tasks[ask.ref.task_id]["spent_tokens"] == estimates + USED
    assert await stored(database, ask.ref) == [("done", json.loads(said))]


async def test_fifty_racing_calls_of_five_processes_on_a_budget_for_ten_are_ten_calls(
    settings: Settings, database: Database, provider: Provider
) -> None:
    ask = await step_of(database, "race-of-five", "race of five", 10_000)
    workers = await asyncio.gather(*(Worker.start(settings, provider, "race") for _ in range(5)))
    for number, worker in enumerate(workers):
        worker.begin(ask.ref.model_copy(update={"step": f"develop/{number}"}))
    held = [int(said) for code, said in await asyncio.gather(*(worker.ended() for worker in workers)) if code == 0]
    assert (len(held), sum(held)) == (5, 10)
    books = await books_of(database, "race-of-five")
    assert (books.faults(), books.tasks[ask.ref.task_id]["held_tokens"]) == ([], 10_000)
