"""The accounts of tenants: slots and held tokens, given in order of arrival."""

from typing import Any

from sqlalchemy import exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.database import Database
from schema.errors import TaskGone
from schema.messages.steps import AgentTaskInput
from schema.messages.task import FINAL_STATES, TaskState
from schema.story import move
from schema.tables import accounts, tasks

QUEUED_BECAUSE = "every slot of the tenant is taken, its budget has no room, or an earlier task waits"


class Accounts:
    """Takes slots and holds budgets. They are given back where a task ends (`verdicts.finish_task`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admit(self, task: AgentTaskInput) -> bool:
        """Take a slot and hold the task's budget; False leaves it queued.

        Raises:
            TaskGone: the task is unknown, final, or was cancelled while it waited.
        """
        async with self._database.tenant(task.tenant) as connection:
            # The account's row is the tenant's door: whoever holds its lock is the only one to look.
            await connection.execute(
                select(accounts.c.tenant).where(accounts.c.tenant == task.tenant).with_for_update()
            )
            row = (
                await connection.execute(select(tasks).where(tasks.c.task_id == task.task_id).with_for_update())
            ).one_or_none()
            if row is None or TaskState(row.state) in FINAL_STATES or row.cancel_requested_by is not None:
                raise TaskGone("the task is unknown, final or cancelled")
            # An escalated one has no work left: it waits for a person, and needs no slot for that.
            if row.admitted or row.state == TaskState.ESCALATED.value:
                return True
            if await _earlier_waits(connection, row.arrival) or not await _hold(connection, row):
                await move(connection, task.task_id, task.tenant, TaskState.QUEUED, QUEUED_BECAUSE)
                return False
            await connection.execute(update(tasks).where(tasks.c.task_id == task.task_id).values(admitted=True))
            return True


async def _earlier_waits(connection: AsyncConnection, arrival: int) -> bool:
    return bool(
        await connection.scalar(
            select(exists().where(tasks.c.state == TaskState.QUEUED.value, tasks.c.arrival < arrival))
        )
    )


async def _hold(connection: AsyncConnection, row: Any) -> bool:
    held = await connection.execute(
        update(accounts)
        .where(
            accounts.c.tenant == row.tenant,
            accounts.c.slots_used < accounts.c.slots,
            or_(
                accounts.c.limit_tokens.is_(None),
                accounts.c.spent_tokens + accounts.c.held_tokens + row.budget_tokens <= accounts.c.limit_tokens,
            ),
        )
        .values(slots_used=accounts.c.slots_used + 1, held_tokens=accounts.c.held_tokens + row.budget_tokens)
        .returning(accounts.c.tenant)
    )
    return held.scalar_one_or_none() is not None
