"""Steps, texts and state of tasks in PostgreSQL, as the activities need them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Integer, Text, Uuid, and_, bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from activities.events import Event
from activities.text_cache import cache_of
from schema.database import Database
from schema.errors import TaskGone
from schema.messages.steps import StepRef
from schema.messages.task import FINAL_STATES, TaskSpec, TaskState
from schema.story import Told, append_event, append_events, append_statement, moved_to, told
from schema.tables import dead_letters, task_steps, tasks
from schema.texts import put_text

# A task's state only moves on: candidates overlap, and a late one must not turn the clock back.
_RANK = {state: rank for rank, state in enumerate(TaskState)}


@dataclass(frozen=True)
class Opened:
    """A step that was opened, or found.

    Attributes:
        result: what is stored of one that is done; None of one that is still to do.
        fresh: nobody has tried it before.
        spec: reference of what was submitted.
        prompts: the versions that the task is pinned to, by role.
    """

    result: Any | None
    fresh: bool
    spec: str
    prompts: dict[str, str] | None = None


@dataclass(frozen=True)
class OpenedProof:
    """`result` is what is stored of a step that is done; then the others are not there."""

    result: Any | None
    spec: TaskSpec | None = None
    candidate: str = ""


class TaskStore:
    """Reads and writes of the activities, each in one transaction of the task's tenant."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._cache = cache_of(database)

    async def spec(self, task_id: UUID, tenant: str) -> TaskSpec:
        """What was submitted.

        Raises:
            TaskGone: the tenant has no such task.
        """
        async with self.database.tenant(tenant) as connection:
            reference = await connection.scalar(_SPEC, {"of_task": task_id})
            if reference is None:
                raise TaskGone("the task is unknown")
            (body,) = await self._cache.texts(connection, tenant, reference)
            return self._cache.spec(tenant, reference, body or "")

    async def knows(self, task_id: UUID, tenant: str) -> None:
        """Returns where there is such a task, whatever it is about.

        Raises:
            TaskGone: the tenant has no such task.
        """
        async with self.database.tenant(tenant) as connection:
            if await connection.scalar(_SPEC, {"of_task": task_id}) is None:
                raise TaskGone("the task is unknown")

    async def texts(self, tenant: str, *digests: str | None) -> list[str | None]:
        """The texts behind references, in their order; None stays None."""
        known = self._cache.known(tenant, *digests)
        if known is not None:
            return known
        async with self.database.tenant(tenant) as connection:
            return await self._cache.texts(connection, tenant, *digests)

    def remember(self, tenant: str, digest: str, body: str) -> None:
        """A text that was just stored, and may be asked for again."""
        self._cache.remember(tenant, digest, body)

    async def begin_proof(
        self, ref: StepRef, state: TaskState, candidate: str, subject: str | None = None
    ) -> OpenedProof:
        """Open a step that proves a candidate, with what it needs for it; `subject` is as `ProveInput` has it.

        Raises:
            TaskGone: the task is unknown or already final.
        """
        async with self.database.tenant(ref.tenant) as connection:
            opened = await open_step(connection, ref, state)
            if opened.result is not None:
                return OpenedProof(opened.result)
            wanted = subject or opened.spec
            spec, stored = await self._cache.texts(connection, ref.tenant, wanted, candidate)
        return OpenedProof(None, self._cache.spec(ref.tenant, wanted, spec or ""), stored or "")

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
    ) -> Any | None:
        """Store a step's result, its texts and its events.

        Returns what is stored of a step that another attempt has done before: then nothing changes, and that counts.
        """
        async with self.database.tenant(ref.tenant) as connection:
            for body in texts:
                await put_text(connection, ref.tenant, body, ref.task_id)
            if await close_step(connection, ref, "done", detail, result.model_dump(mode="json"), events):
                return None
            return await connection.scalar(
                select(task_steps.c.result).where(is_step(ref), task_steps.c.state == "done")
            )

    async def tell_step(self, ref: StepRef, state: Literal["waiting", "retrying"], detail: str) -> None:
        """Tell whoever watches why a step that runs does not come to its end; `detail` is an error's type."""
        async with self.database.tenant(ref.tenant) as connection:
            running = await connection.scalar(select(exists().where(is_step(ref), task_steps.c.state == "running")))
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
    row = (await connection.execute(_LOCK, {"of_task": ref.task_id})).one_or_none()
    if row is None or TaskState(row.state) in FINAL_STATES:
        raise TaskGone("the task is unknown or already final")
    moves = state is not None and await _moves_on(connection, ref.task_id, TaskState(row.state), state)
    running: Told = ("step", {"step": ref.step, "state": "running"})
    events = [moved_to(state), running] if moves and state is not None else [running]
    values = await told(connection, ref.task_id, ref.tenant, events)
    if moves and state is not None:
        values |= {"to_state": state.value, "to_reason": None}
    opened = await connection.execute(_OPEN[moves], {**values, "of_step": ref.step, "of_epoch": ref.epoch})
    if opened.first() is not None:
        return Opened(None, True, row.spec, row.prompts)
    found = await connection.execute(select(task_steps.c.state, task_steps.c.result).where(is_step(ref)))
    step_state, result = found.one()
    done = result if step_state == "done" else await _done_later(connection, ref)
    return Opened(done, False, row.spec, row.prompts)


def _open_statement(*, moved: bool) -> ReturningInsert[Any]:
    """Opens a step, moves its task and tells both; nothing of it where the step was opened before."""
    step = insert(task_steps).values(
        task_id=bindparam("of_task", type_=Uuid()),
        step=bindparam("of_step", type_=Text()),
        epoch=bindparam("of_epoch", type_=Integer()),
        tenant=bindparam("of_tenant", type_=Text()),
        state="running",
    )
    opened = step.on_conflict_do_nothing().returning(task_steps.c.step).cte("opened")
    return append_statement(2 if moved else 1, moved=moved, given=opened)


_SPEC = select(tasks.c.spec).where(tasks.c.task_id == bindparam("of_task", type_=Uuid()))
_LOCK = (
    select(tasks.c.state, tasks.c.spec, tasks.c.prompts)
    .where(tasks.c.task_id == bindparam("of_task", type_=Uuid()))
    .with_for_update()
)
_OPEN = {moved: _open_statement(moved=moved) for moved in (False, True)}


async def _done_later(connection: AsyncConnection, ref: StepRef) -> Any | None:
    """What a later epoch of a step came to: a workflow that was reset to before a redrive begins in the earlier one."""
    mine = (task_steps.c.task_id == ref.task_id, task_steps.c.step == ref.step, task_steps.c.epoch > ref.epoch)
    done = select(task_steps.c.result).where(*mine, task_steps.c.state == "done")
    return await connection.scalar(done.order_by(task_steps.c.epoch).limit(1))


async def _moves_on(connection: AsyncConnection, task_id: UUID, current: TaskState, state: TaskState) -> bool:
    """A parked task goes on when nothing of it is parked any more."""
    if current is not TaskState.PARKED:
        return _RANK[state] > _RANK[current]
    return not await connection.scalar(select(has_open_letter(task_id)))


def has_open_letter(task_id: UUID) -> ColumnElement[bool]:
    """Whether a step of the task is parked and nobody has decided on it."""
    return exists().where(dead_letters.c.task_id == task_id, dead_letters.c.state == "open")


def is_step(ref: StepRef) -> ColumnElement[bool]:
    """The row of a step in its epoch."""
    return and_(task_steps.c.task_id == ref.task_id, task_steps.c.step == ref.step, task_steps.c.epoch == ref.epoch)


async def close_step(
    connection: AsyncConnection,
    ref: StepRef,
    state: str,
    detail: str,
    result: dict[str, Any] | None,
    events: Sequence[Event] = (),
) -> bool:
    """Close a running step and tell it, and then `events`; False if it was closed before."""
    values = {"of_task": ref.task_id, "of_step": ref.step, "of_epoch": ref.epoch}
    values |= {"to_state": state, "to_detail": detail, "to_result": result}
    row = await connection.execute(_CLOSE, values)
    started_at = row.scalar_one_or_none()
    if started_at is None:
        return False
    seconds = round((datetime.now(UTC) - started_at).total_seconds(), 3)
    data = {"step": ref.step, "state": state, "seconds": seconds, "detail": detail}
    told_of = [("step", data), *((event.name, event.data) for event in events)]
    await append_events(connection, ref.task_id, ref.tenant, told_of)
    return True


_CLOSE = (
    update(task_steps)
    .where(
        task_steps.c.task_id == bindparam("of_task", type_=Uuid()),
        task_steps.c.step == bindparam("of_step", type_=Text()),
        task_steps.c.epoch == bindparam("of_epoch", type_=Integer()),
        task_steps.c.state == "running",
    )
    .values(
        state=bindparam("to_state", type_=Text()),
        detail=bindparam("to_detail", type_=Text()),
        result=bindparam("to_result", type_=task_steps.c.result.type),
        ended_at=func.now(),
    )
    .returning(task_steps.c.started_at)
)
