"""The accounts of tasks and tenants, on a real PostgreSQL: held once, charged once, nothing left over."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update
from uuid_utils.compat import uuid7

from activities.accounts import Accounts, lock_account
from activities.ledger import Call, Ledger, Usage
from activities.verdicts import Verdicts
from schema.database import Database
from schema.errors import BudgetBusy, BudgetExhausted, Overtaken, TaskGone
from schema.messages.steps import AgentTaskInput, FinishInput, StepRef
from schema.messages.task import TaskState
from schema.tables import accounts, tasks

HOLDER = {"role": "developer", "model": "m", "prompt_version": "v"}


async def open_task(database: Database, tenant: str, budget: int = 10_000, *, slots: int = 2) -> UUID:
    """A submitted task of a tenant that has so many slots."""
    task_id = uuid7()
    async with database.service() as connection:
        known = await connection.scalar(select(accounts.c.tenant).where(accounts.c.tenant == tenant))
        if known is None:
            await connection.execute(insert(accounts).values(tenant=tenant, slots=slots))
        await connection.execute(
            insert(tasks).values(
                task_id=task_id, tenant=tenant, title="t", spec="0", submitted_by="s", budget_tokens=budget
            )
        )
    return task_id


async def account_of(database: Database, table: Any, column: Any, key: Any) -> Any:
    async with database.service() as connection:
        return (await connection.execute(select(table).where(column == key))).one()


async def task_account(database: Database, task_id: UUID) -> tuple[int, int]:
    row = await account_of(database, tasks, tasks.c.task_id, task_id)
    return row.spent_tokens, row.held_tokens


def call(task_id: UUID, tenant: str, step: str, *, ask: int = 1, dispatch: int = 1, reserved: int = 1_000) -> Call:
    return Call(StepRef(task_id=task_id, tenant=tenant, step=step), ask, dispatch, reserved)


def accounts_of(database: Database, worst_price: int | None = 0) -> Accounts:
    """The tenants' accounts; any task costs `worst_price` at most."""
    return Accounts(database, lambda _tokens: worst_price)


async def was_held(ledger: Ledger, each: Call) -> bool:
    try:
        await ledger.reserve(each, **HOLDER)
    except BudgetBusy:
        return False
    return True


async def test_fifty_racing_calls_on_a_budget_for_ten_are_ten_calls(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "race")
    calls = [call(task_id, "race", f"develop/{number}") for number in range(50)]
    held = await asyncio.gather(*(was_held(ledger, each) for each in calls))
    assert sum(held) == 10
    assert await task_account(database, task_id) == (0, 10_000)
    for each, has in zip(calls, held, strict=True):
        if has:
            await ledger.settle(each, Usage(100, 20, 5), "answer", invalid=None)
    assert await task_account(database, task_id) == (1_200, 0)


async def test_a_call_is_settled_once_however_often_it_is_tried(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "once")
    each = call(task_id, "once", "plan")
    await ledger.reserve(each, **HOLDER)
    await asyncio.gather(*(ledger.settle(each, Usage(100, 20), "answer", invalid=None) for _ in range(10)))
    await ledger.uncertain(each)
    assert await task_account(database, task_id) == (120, 0)
    past = await ledger.past(each.ref)
    assert past.response is not None


async def test_a_dispatch_whose_end_is_unknown_is_charged_as_reserved_once(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "unknown")
    each = call(task_id, "unknown", "plan")
    await ledger.reserve(each, **HOLDER)
    pasts = [await ledger.past(each.ref) for _ in range(3)]
    assert [(past.response, past.asks, past.dispatches) for past in pasts] == [(None, 0, 1)] * 3
    assert await task_account(database, task_id) == (1_000, 0)


async def test_a_refused_dispatch_costs_nothing(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "refused")
    each = call(task_id, "refused", "plan")
    await ledger.reserve(each, **HOLDER)
    await ledger.release(each, "refused")
    assert await task_account(database, task_id) == (0, 0)
    assert (await ledger.past(each.ref)).dispatches == 1


async def test_an_invalid_answer_is_charged_and_counted(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "invalid")
    each = call(task_id, "invalid", "plan")
    await ledger.reserve(each, **HOLDER)
    await ledger.settle(each, Usage(100, 20), "nonsense", invalid="no JSON")
    past = await ledger.past(each.ref)
    assert (past.response, past.asks, past.dispatches, past.error) == (None, 1, 0, "no JSON")
    assert await task_account(database, task_id) == (120, 0)


async def test_what_a_spent_budget_can_never_pay_is_refused_at_once(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "hopeless", 1_500)
    with pytest.raises(BudgetExhausted):
        await ledger.reserve(call(task_id, "hopeless", "plan", reserved=2_000), **HOLDER)
    await ledger.reserve(call(task_id, "hopeless", "a"), **HOLDER)
    # A sibling holds the room and may give it back: this one waits.
    assert not await was_held(ledger, call(task_id, "hopeless", "b"))


def admit(task_id: UUID, tenant: str) -> AgentTaskInput:
    return AgentTaskInput(task_id=task_id, tenant=tenant)


async def test_slots_are_given_in_order_of_arrival_and_given_back_at_the_end(database: Database) -> None:
    door = accounts_of(database)
    verdicts = Verdicts(door)
    first, second, third, fourth = [await open_task(database, "door") for _ in range(4)]
    assert await door.admit(admit(first, "door")) == 0
    assert await door.admit(admit(second, "door")) == 0
    assert await door.admit(admit(second, "door")) == 0
    assert await door.admit(admit(third, "door")) > 0
    assert await door.admit(admit(fourth, "door")) > 0
    end = FinishInput(task_id=first, tenant="door", state=TaskState.FAILED, reason="deadline")
    assert sorted(await asyncio.gather(*(verdicts.finish(end) for _ in range(5)))) == [False] * 4 + [True]
    assert await door.admit(admit(fourth, "door")) > 0
    assert await door.admit(admit(third, "door")) == 0
    account = await account_of(database, accounts, accounts.c.tenant, "door")
    assert (account.slots_used, account.held_tokens) == (2, 20_000)


async def test_thirty_racing_tasks_take_no_more_slots_than_there_are(database: Database) -> None:
    door = accounts_of(database)
    task_ids = [await open_task(database, "crowd", slots=7) for _ in range(30)]
    await asyncio.gather(*(door.admit(admit(task_id, "crowd")) for task_id in task_ids))
    account = await account_of(database, accounts, accounts.c.tenant, "crowd")
    assert account.slots_used <= 7
    for task_id in task_ids:
        await door.admit(admit(task_id, "crowd"))
    account = await account_of(database, accounts, accounts.c.tenant, "crowd")
    assert (account.slots_used, account.held_tokens) == (7, 70_000)


async def test_a_tenant_without_budget_queues_the_task(database: Database) -> None:
    door, task_id = accounts_of(database), await open_task(database, "poor")
    async with database.service() as connection:
        await connection.execute(update(accounts).where(accounts.c.tenant == "poor").values(limit_tokens=9_999))
    assert await door.admit(admit(task_id, "poor")) > 0
    async with database.service() as connection:
        await connection.execute(update(accounts).where(accounts.c.tenant == "poor").values(limit_tokens=10_000))
    assert await door.admit(admit(task_id, "poor")) == 0


async def test_a_task_cancelled_in_the_queue_is_not_admitted(database: Database) -> None:
    task_id = await open_task(database, "gone")
    async with database.service() as connection:
        await connection.execute(update(tasks).where(tasks.c.task_id == task_id).values(cancel_requested_by="s"))
    with pytest.raises(TaskGone):
        await accounts_of(database).admit(admit(task_id, "gone"))


async def test_a_task_that_is_admitted_again_needs_room_for_what_is_left_of_its_budget_only(
    database: Database,
) -> None:
    door, task_id = accounts_of(database), await open_task(database, "again")
    async with database.service() as connection:
        await connection.execute(update(accounts).where(accounts.c.tenant == "again").values(limit_tokens=10_000))
    assert await door.admit(admit(task_id, "again")) == 0
    ledger, each = Ledger(database), call(task_id, "again", "plan")
    await ledger.reserve(each, **HOLDER)
    await ledger.settle(each, Usage(800, 200), "answer", invalid=None)
    await give_back(door, task_id, "again")
    assert await door.admit(admit(task_id, "again")) == 0
    account = await account_of(database, accounts, accounts.c.tenant, "again")
    assert (account.spent_tokens, account.held_tokens) == (1_000, 9_000)


async def give_back(door: Accounts, task_id: UUID, tenant: str) -> None:
    """As a task that stays parked does."""
    async with door.database.tenant(tenant) as connection:
        await lock_account(connection, tenant)
        await door.give_back(connection, task_id)


async def test_a_call_that_another_attempt_has_made_is_not_made_twice(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "twice")
    each = call(task_id, "twice", "plan")
    await ledger.reserve(each, **HOLDER)
    with pytest.raises(Overtaken):
        await ledger.reserve(each, **HOLDER)
    assert await task_account(database, task_id) == (0, 1_000)


async def test_an_answer_to_a_call_that_was_given_up_is_charged_no_more(database: Database) -> None:
    ledger, task_id = Ledger(database), await open_task(database, "late")
    each = call(task_id, "late", "plan")
    await ledger.reserve(each, **HOLDER)
    await ledger.uncertain(each)
    with pytest.raises(Overtaken):
        await ledger.settle(each, Usage(100, 20), "answer", invalid=None)
    assert await task_account(database, task_id) == (1_000, 0)
