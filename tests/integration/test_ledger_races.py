"""Everything that moves money at the same time on a few tasks: no deadlock, and every sum is right."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from activities.ledger import Ledger, Usage, past_of
from activities.parking import ParkingActivities
from activities.store import open_step
from activities.verdicts import Verdicts
from gateway.problems import Problem
from gateway.top_up import top_up
from schema.database import Database
from schema.errors import GoldenError, Overtaken
from schema.messages.letters import ParkInput
from schema.messages.steps import FinishInput, StepRef
from schema.messages.task import TaskState
from tests.integration.test_ledger import HOLDER, accounts_of, admit, call, open_task
from tests.support.books import books_of
from tests.support.processes import until

REFUSED = (GoldenError, Problem)
"""Answers that a race may have. Whatever PostgreSQL refuses is none of them."""


async def wait_for_locks(database: Database, count: int = 1) -> None:
    """Returns when so many statements wait for somebody else's lock."""

    async def wait() -> bool:
        async with database.service() as connection:
            return bool(await connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) == count)

    await until(wait)


async def test_an_answer_that_comes_while_its_step_is_opened_anew_deadlocks_nobody(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "overtaking")
    each = call(task_id, "overtaking", "plan")
    await ledger.reserve(each, **HOLDER)
    async with database.tenant("overtaking") as connection:
        await open_step(connection, each.ref, None)
        late = asyncio.create_task(ledger.settle(each, Usage(100, 20), "answer", invalid=None))
        await wait_for_locks(database)
        past = await past_of(connection, each.ref)
    with pytest.raises(Overtaken):
        await late
    assert past.dispatches == 1
    books = await books_of(database, "overtaking")
    assert (books.faults(), books.tasks[task_id]["spent_tokens"]) == ([], 1_000)


async def test_an_answer_that_comes_while_its_task_ends_deadlocks_nobody(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "ending")
    door = accounts_of(database)
    await door.admit(admit(task_id, "ending"))
    each = call(task_id, "ending", "plan")
    await ledger.reserve(each, **HOLDER)
    async with database.tenant("ending") as connection:
        # As a step that is told does, which has the task's lock for a moment.
        await connection.execute(text("SELECT FROM tasks WHERE task_id = :id FOR UPDATE"), {"id": task_id})
        end = FinishInput(task_id=task_id, tenant="ending", state=TaskState.FAILED, reason="deadline")
        finishing = asyncio.create_task(Verdicts(door).finish(end))
        await wait_for_locks(database)
        late = asyncio.create_task(ledger.settle(each, Usage(100, 20), "answer", invalid=None))
        await wait_for_locks(database, 2)
    assert await finishing
    with pytest.raises(Overtaken):
        await late
    books = await books_of(database, "ending")
    assert (books.faults(), books.tasks[task_id]["spent_tokens"]) == ([], 1_000)


async def test_two_hundred_racing_moves_on_a_few_tasks_deadlock_nobody_and_add_up(database: Database) -> None:
    task_ids = [await open_task(database, "melee", 20_000, slots=3) for _ in range(5)]
    door, ledger = accounts_of(database), Ledger(database)
    moves = [move for task_id in task_ids for move in moves_on(database, task_id, "melee")]
    random.Random(7).shuffle(moves)  # noqa: S311
    before = await deadlocks(database)
    ended = await asyncio.gather(*(move() for move in moves), return_exceptions=True)
    errors = [error for error in ended if isinstance(error, BaseException)]
    assert [error for error in errors if not isinstance(error, REFUSED)] == []
    assert await deadlocks(database) == before
    assert len(moves) >= 200
    assert (await books_of(database, "melee")).faults() == []
    for task_id in task_ids:
        await Verdicts(door).finish(
            FinishInput(task_id=task_id, tenant="melee", state=TaskState.REJECTED, reason="none passed")
        )
    books = await books_of(database, "melee")
    assert books.faults() == []
    assert (books.account["held_tokens"], books.account["slots_used"]) == (0, 0)
    assert not any([await ledger.is_busy(StepRef(task_id=each, tenant="melee", step="plan")) for each in task_ids])


def moves_on(database: Database, task_id: UUID, tenant: str) -> list[Callable[[], Awaitable[object]]]:
    """Forty-one moves on a task: calls made, answered and taken over, admissions, top-ups, a parking, one end."""
    ledger, door = Ledger(database), accounts_of(database)
    ref = StepRef(task_id=task_id, tenant=tenant, step="develop/0")

    async def ask(number: int) -> None:
        each = call(task_id, tenant, f"develop/{number % 6}", dispatch=number + 1)
        await ledger.reserve(each, **HOLDER)
        await ledger.settle(each, Usage(100, 20 * number), f"answer {number}", invalid=None)

    async def begin_again(number: int) -> None:
        again = StepRef(task_id=task_id, tenant=tenant, step=f"develop/{number}")
        async with database.tenant(tenant) as connection:
            await open_step(connection, again, TaskState.DEVELOPING)
            await past_of(connection, again)

    async def more() -> None:
        async with database.tenant(tenant) as connection:
            await top_up(connection, tenant=tenant, task_id=task_id, tokens=500, micro_usd=0, actor="t")

    async def park() -> None:
        parking = ParkingActivities(door)
        await parking.park(ParkInput(ref=ref, kind="model", cause="c", attempts=5, workflow_id="w", input={}))
        await parking.yield_slot(admit(task_id, tenant))

    async def finish() -> None:
        if task_id.int % 2:
            await Verdicts(door).finish(
                FinishInput(task_id=task_id, tenant=tenant, state=TaskState.FAILED, reason="deadline")
            )

    return [
        *(lambda number=number: ask(number) for number in range(18)),
        *(lambda number=number: begin_again(number) for number in range(6)),
        *(lambda: door.admit(admit(task_id, tenant)) for _ in range(8)),
        *([more] * 6),
        lambda: ParkingActivities(door).abandon(ref),
        park,
        finish,
    ]


async def deadlocks(database: Database) -> int:
    """How many deadlocks PostgreSQL has found in our database so far."""
    async with database.service() as connection:
        await connection.execute(select(func.pg_stat_force_next_flush()))
        found = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(await connection.scalar(text(found)) or 0)
