"""`GET /v1/tasks…`: tasks and their results."""

from typing import Annotated, NoReturn
from uuid import UUID

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.operations import answer
from gateway.problems import RETRY_SECONDS, TASK_NOT_FINAL, Problem, invalid, not_found
from gateway.services import Call
from gateway.task_views import is_task, read_task, select_tasks, view_of
from schema.messages.base import Message
from schema.messages.task import TaskResult, TaskState, TaskView
from schema.proposals import LEARNING
from schema.tables import tasks
from schema.texts import get_text


class TaskQuery(Message):
    """Which tasks to list. `cursor` is the `next_cursor` of the page before."""

    state: TaskState | None = None
    cursor: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class TaskPage(Message):
    """One page of tasks, newest first; `progress` is left to the task's own route."""

    items: tuple[TaskView, ...]
    next_cursor: UUID | None


async def list_tasks(call: Call) -> Response:
    """The tenant's tasks, newest first."""
    query = call.query(TaskQuery)
    known = (tasks.c.kind != LEARNING, tasks.c.erased_at.is_(None))
    wanted = select_tasks().where(tasks.c.tenant == call.tenant, *known)
    if query.state is not None:
        wanted = wanted.where(tasks.c.state == query.state.value)
    async with call.services.database.tenant(call.tenant) as connection:
        if query.cursor is not None:
            wanted = wanted.where(tasks.c.arrival < await _arrival(connection, call, query.cursor))
        found = await connection.execute(wanted.order_by(tasks.c.arrival.desc()).limit(query.limit + 1))
        rows = found.all()
    items = tuple(view_of(row, call.services.settings) for row in rows[: query.limit])
    return answer(TaskPage(items=items, next_cursor=items[-1].task_id if len(rows) > query.limit else None))


async def show_task(call: Call) -> Response:
    """One task with its progress."""
    async with call.services.database.tenant(call.tenant) as connection:
        return answer(await read_task(connection, call, call.task_id))


async def show_result(call: Call) -> Response:
    """What a final task came to, or what is decided on of one that is escalated."""
    return Response(await read_result(call), media_type="application/json")


async def read_result(call: Call) -> str:
    """The JSON text of a `TaskResult`, as the worker stored it."""
    async with call.services.database.tenant(call.tenant) as connection:
        found = await connection.execute(
            select(tasks.c.state, tasks.c.reason, tasks.c.result).where(is_task(call.tenant, call.task_id))
        )
        row = found.one_or_none()
        if row is None:
            raise not_found("task")
        state = TaskState(row.state)
        if not state.final and (state is not TaskState.ESCALATED or row.result is None):
            _refuse_unfinished(state)
        if row.result is not None:
            return await get_text(connection, call.tenant, row.result)
    # A task whose workflow was terminated has an end but nothing to show for it.
    return TaskResult(task_id=call.task_id, state=state, reason=row.reason).model_dump_json()


def _refuse_unfinished(state: TaskState) -> NoReturn:
    headers = {"Retry-After": str(RETRY_SECONDS)}
    raise Problem(TASK_NOT_FINAL, f"the task is {state.value}", headers=headers, state=state.value)


async def _arrival(connection: AsyncConnection, call: Call, cursor: UUID) -> int:
    # A cursor is the id of a task of the tenant: the order of arrival would tell how busy others are.
    # One that was erased since marks its place all the same.
    mine = (tasks.c.task_id == cursor, tasks.c.tenant == call.tenant, tasks.c.kind != LEARNING)
    found = await connection.execute(select(tasks.c.arrival).where(*mine))
    arrival = found.scalar_one_or_none()
    if arrival is None:
        raise invalid([("cursor", "must be the next_cursor of another page")])
    return int(arrival)
