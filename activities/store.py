"""Steps, texts and state of tasks in PostgreSQL, as the activities need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import and_, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.events import Event
from schema.database import Database
from schema.errors import TaskGone
from schema.messages.steps import StepRef
from schema.messages.task import FINAL_STATES, TaskSpec, TaskState
from schema.story import append_event, move
from schema.tables import dead_letters, task_steps, tasks
from schema.texts import get_text, get_texts, put_text

# A task's state only moves on: candidates overlap, and a late one must not turn the clock back.
_RANK = {state: rank for rank, state in enumerate(TaskState)}


@dataclass(frozen=True)
class Opened:
    """A step that was opened, or found.

    Attributes:
        result: what is stored of one that is done; None of one that is still to do.
        fresh: nobody has tried it before.
        spec: reference of what was submitted.
    """

    result: Any | None
    fresh: bool
    spec: str


class TaskStore:
    """Reads and writes of the activities, each in one transaction of the task's tenant."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def spec(self, task_id: UUID, tenant: str) -> TaskSpec:
        """What was submitted.

        Raises:
            TaskGone: the tenant has no such task.
        """
        async with self.database.tenant(tenant) as connection:
            reference = await connection.scalar(select(tasks.c.spec).where(tasks.c.task_id == task_id))
            if reference is None:
                raise TaskGone("the task is unknown")
            return TaskSpec.model_validate_json(await get_text(connection, tenant, reference))

    async def texts(self, tenant: str, *digests: str | None) -> list[str | None]:
        """The texts behind references, in their order; None stays None."""
        async with self.database.tenant(tenant) as connection:
            return await get_texts(connection, tenant, *digests)

    async def begin_step(self, ref: StepRef, state: TaskState | None) -> Any | None:
        """Open a step, or return the stored result of one that is done: a retry repeats nothing.

        Raises:
            TaskGone: the task is unknown or already final.
        """
        async with self.database.tenant(ref.tenant) as connection:
            return (await open_step(connection, ref, state)).result

    async def finish_step(
        self,
        ref: StepRef,
        result: BaseModel,
        *,
        detail: str = "",
        events: Sequence[Event] = (),
        texts: Sequence[str] = (),
    ) -> None:
        """Store a step's result, its texts and its events. A second call for the same step changes nothing."""
        async with self.database.tenant(ref.tenant) as connection:
            for body in texts:
                await put_text(connection, ref.tenant, body)
            if not await close_step(connection, ref, "done", detail, result.model_dump(mode="json")):
                return
            for event in events:
                await append_event(connection, ref.task_id, ref.tenant, event.name, event.data)

    async def tell_step(self, ref: StepRef, state: Literal["waiting", "retrying"], detail: str) -> None:
        """Tell whoever watches why a step that runs does not come to its end; `detail` is an error's type."""
        async with self.database.tenant(ref.tenant) as connection:
            running = await connection.scalar(select(exists().where(_is(ref), task_steps.c.state == "running")))
            if running:
                data = {"step": ref.step, "state": state, "detail": detail}
                await append_event(connection, ref.task_id, ref.tenant, "step", data)

    async def fail_step(self, ref: StepRef, detail: str) -> None:
        """Record that a step failed for good; `detail` is an error's type, never its text."""
        async with self.database.tenant(ref.tenant) as connection:
            await close_step(connection, ref, "failed", detail, None)


async def open_step(connection: AsyncConnection, ref: StepRef, state: TaskState | None) -> Opened:
    """Open a step in the caller's transaction, or find it.

    Raises:
        TaskGone: the task is unknown or already final.
    """
    locked = await connection.execute(
        select(tasks.c.state, tasks.c.spec).where(tasks.c.task_id == ref.task_id).with_for_update()
    )
    row = locked.one_or_none()
    if row is None or TaskState(row.state) in FINAL_STATES:
        raise TaskGone("the task is unknown or already final")
    opened = await connection.execute(
        insert(task_steps)
        .values(task_id=ref.task_id, step=ref.step, epoch=ref.epoch, tenant=ref.tenant, state="running")
        .on_conflict_do_nothing()
        .returning(task_steps.c.step)
    )
    if opened.scalar_one_or_none() is None:
        found = await connection.execute(select(task_steps.c.state, task_steps.c.result).where(_is(ref)))
        step_state, result = found.one()
        if step_state == "running":
            await append_event(connection, ref.task_id, ref.tenant, "step", {"step": ref.step, "state": "running"})
        return Opened(result if step_state == "done" else None, False, row.spec)
    if state is not None and await _moves_on(connection, ref.task_id, TaskState(row.state), state):
        await move(connection, ref.task_id, ref.tenant, state)
    await append_event(connection, ref.task_id, ref.tenant, "step", {"step": ref.step, "state": "running"})
    return Opened(None, True, row.spec)


async def _moves_on(connection: AsyncConnection, task_id: UUID, current: TaskState, state: TaskState) -> bool:
    """A parked task goes on when nothing of it is parked any more."""
    if current is not TaskState.PARKED:
        return _RANK[state] > _RANK[current]
    is_open = and_(dead_letters.c.task_id == task_id, dead_letters.c.state == "open")
    return not await connection.scalar(select(exists().where(is_open)))


def _is(ref: StepRef) -> Any:
    return and_(task_steps.c.task_id == ref.task_id, task_steps.c.step == ref.step, task_steps.c.epoch == ref.epoch)


async def close_step(
    connection: AsyncConnection, ref: StepRef, state: str, detail: str, result: dict[str, Any] | None
) -> bool:
    """Close a running step and tell it; False if it was closed before."""
    row = await connection.execute(
        update(task_steps)
        .where(_is(ref), task_steps.c.state == "running")
        .values(state=state, detail=detail, result=result, ended_at=func.now())
        .returning(task_steps.c.started_at)
    )
    started_at = row.scalar_one_or_none()
    if started_at is None:
        return False
    seconds = round((datetime.now(UTC) - started_at).total_seconds(), 3)
    data = {"step": ref.step, "state": state, "seconds": seconds, "detail": detail}
    await append_event(connection, ref.task_id, ref.tenant, "step", data)
    return True
