"""A task's story: its state and its events, written together, in order under the lock of the task's row."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.messages.task import FINAL_STATES, TaskState
from schema.tables import task_events, tasks


async def append_event(
    connection: AsyncConnection, task_id: UUID, tenant: str, event: str, data: dict[str, Any]
) -> int:
    """Add one event and return its sequence. Locks the task's row until the transaction ends."""
    row = await connection.execute(
        update(tasks)
        .where(tasks.c.task_id == task_id)
        .values(event_sequence=tasks.c.event_sequence + 1, updated_at=func.now())
        .returning(tasks.c.event_sequence, tasks.c.updated_at)
    )
    sequence, at = row.one()
    await connection.execute(
        insert(task_events).values(
            task_id=task_id, sequence=sequence, tenant=tenant, event=event, data={"at": at.isoformat(), **data}
        )
    )
    return int(sequence)


async def move(
    connection: AsyncConnection, task_id: UUID, tenant: str, state: TaskState, reason: str | None = None
) -> bool:
    """Move a task to `state` and tell it; False if it is there already or final, and then nothing changes."""
    row = await connection.execute(select(tasks.c.state).where(tasks.c.task_id == task_id).with_for_update())
    current = TaskState(row.scalar_one())
    if current == state or current in FINAL_STATES:
        return False
    await connection.execute(update(tasks).where(tasks.c.task_id == task_id).values(state=state.value, reason=reason))
    data = {"state": state.value, "reason": reason} if reason else {"state": state.value}
    await append_event(connection, task_id, tenant, "state", data)
    return True
