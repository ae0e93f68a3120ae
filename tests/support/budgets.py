"""Tasks with a story in the ledger, written by the parts that the workers use."""

from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import Table, select, update

from activities.accounts import Accounts
from activities.ledger import Call, Ledger, Usage
from activities.verdicts import Verdicts
from schema.database import Database
from schema.messages.steps import AgentTaskInput, FinishInput, StepRef
from schema.messages.task import TaskState
from schema.tables import accounts, ledger_entries
from tests.support.http import submit

HOLDER = {"role": "developer", "model": "m", "prompt_version": "v"}


def price(tokens: int) -> int:
    """Two millionths of a dollar a token."""
    return 2 * tokens


async def waits(database: Database, task: dict[str, Any]) -> bool:
    """Whether a task that asks for admission is queued; else it is admitted now."""
    asking = AgentTaskInput(task_id=UUID(task["task_id"]), tenant=task["tenant"])
    return bool(await Accounts(database, price).admit(asking))


async def admit(database: Database, task: dict[str, Any]) -> None:
    """Admit a task; there must be room for it."""
    assert not await waits(database, task)


async def admitted_task(http: httpx.AsyncClient, database: Database, **changes: Any) -> dict[str, Any]:
    """A submitted task that has its slot and its hold."""
    task = await submit(http, **changes)
    await admit(database, task)
    return task


async def send(database: Database, task: dict[str, Any], step: str, *, reserved: int = 1_000) -> Call:
    """A call of the task that is under way."""
    ref = StepRef(task_id=UUID(task["task_id"]), tenant=task["tenant"], step=step)
    call = Call(ref, 1, 1, reserved, price(reserved))
    await Ledger(database).reserve(call, **HOLDER)
    return call


async def spend(database: Database, task: dict[str, Any], step: str, *, used: int = 600, reserved: int = 1_000) -> None:
    """A call of the task that was answered."""
    call = await send(database, task, step, reserved=reserved)
    await Ledger(database).settle(call, Usage(used - 100, 100, price(used)), "answer", invalid=None)


async def finish(database: Database, task: dict[str, Any]) -> None:
    """End the task."""
    task_id, reason = UUID(task["task_id"]), "no candidate passed"
    ended = FinishInput(task_id=task_id, tenant=task["tenant"], state=TaskState.REJECTED, reason=reason)
    assert await Verdicts(Accounts(database, price)).finish(ended)


async def set_account(database: Database, tenant: str, **values: Any) -> None:
    """Change an account behind everybody's back."""
    async with database.service() as connection:
        await connection.execute(update(accounts).where(accounts.c.tenant == tenant).values(**values))


async def rows_of(database: Database, table: Table, tenant: str) -> list[dict[str, Any]]:
    """A tenant's rows."""
    async with database.service() as connection:
        found = await connection.execute(select(table).where(table.c.tenant == tenant))
        return [dict(row._mapping) for row in found]


async def entries_of(database: Database, tenant: str, kind: str) -> list[dict[str, Any]]:
    """A tenant's entries of a kind, the oldest first."""
    rows = await rows_of(database, ledger_entries, tenant)
    return sorted((row for row in rows if row["kind"] == kind), key=lambda row: row["id"])
