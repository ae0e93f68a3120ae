"""A task's story: its state and its events, written together, in order under the lock of the task's row."""

from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Integer, Text, Uuid, bindparam, exists, func, insert, literal, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from schema.database import now_of
from schema.messages.task import FINAL_STATES, TaskState
from schema.tables import task_events, tasks

Told = tuple[str, dict[str, Any]]
"""An event's name and data."""


async def append_event(
    connection: AsyncConnection, task_id: UUID, tenant: str, event: str, data: dict[str, Any]
) -> int:
    """Add one event and return its sequence. Locks the task's row until the transaction ends."""
    return await append_events(connection, task_id, tenant, [(event, data)])


async def append_events(connection: AsyncConnection, task_id: UUID, tenant: str, events: Sequence[Told]) -> int:
    """Add events in their order, in one round trip, and return the sequence of the last."""
    values = await told(connection, task_id, tenant, events)
    return max(int(sequence) for sequence in (await connection.execute(_append(len(events)), values)).scalars())


async def move(
    connection: AsyncConnection, task_id: UUID, tenant: str, state: TaskState, reason: str | None = None
) -> bool:
    """Move a task to `state` and tell it; False if it is there already or final, and then nothing changes."""
    row = await connection.execute(select(tasks.c.state).where(tasks.c.task_id == task_id).with_for_update())
    current = TaskState(row.scalar_one())
    if current == state or current in FINAL_STATES:
        return False
    values = await told(connection, task_id, tenant, [moved_to(state, reason)])
    await connection.execute(_append(1, moved=True), {**values, "to_state": state.value, "to_reason": reason})
    return True


def moved_to(state: TaskState, reason: str | None = None) -> Told:
    """The event that tells a move."""
    return "state", {"state": state.value, "reason": reason} if reason else {"state": state.value}


async def told(connection: AsyncConnection, task_id: UUID, tenant: str, events: Sequence[Told]) -> dict[str, Any]:
    """The values of `append_statement` for these events. No name is a column's: SQLAlchemy would set that too."""
    at = (await now_of(connection)).isoformat()
    values: dict[str, Any] = {"of_task": task_id, "of_tenant": tenant}
    for number, (event, data) in enumerate(events):
        values |= {f"event_{number}": event, f"data_{number}": {"at": at, **data}}
    return values


def append_statement(count: int, *, moved: bool = False, given: CTE | None = None) -> ReturningInsert[Any]:
    """Adds so many events and returns their sequences. To be made once, since that takes longer than to send it.

    Args:
        moved: also sets the state and its reason, to `to_state` and `to_reason`.
        given: only where this has a row.
    """
    task = bindparam("of_task", type_=Uuid())
    changed: dict[str, Any] = {"event_sequence": tasks.c.event_sequence + count, "updated_at": func.now()}
    if moved:
        changed |= {name: bindparam(f"to_{name}", type_=tasks.c[name].type) for name in ("state", "reason")}
    counting = update(tasks).where(tasks.c.task_id == task).values(changed)
    if given is not None:
        counting = counting.where(exists(select(literal(1)).select_from(given)))
    counted = counting.returning(tasks.c.event_sequence).cte("counted")
    rows = [
        select(
            task,
            (counted.c.event_sequence - (count - 1 - number)).cast(Integer),
            bindparam("of_tenant", type_=Text()),
            bindparam(f"event_{number}", type_=Text()),
            bindparam(f"data_{number}", type_=task_events.c.data.type),
        ).select_from(counted)
        for number in range(count)
    ]
    columns = ["task_id", "sequence", "tenant", "event", "data"]
    selected = union_all(*rows) if count > 1 else rows[0]
    return insert(task_events).from_select(columns, selected).returning(task_events.c.sequence)


@cache
def _append(count: int, *, moved: bool = False) -> ReturningInsert[Any]:
    return append_statement(count, moved=moved)
