"""Reads tasks out of their rows, as the API shows them."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.problems import not_found
from gateway.services import Call
from schema.engine import task_workflow_id
from schema.messages.task import StepView, TaskState, TaskView
from schema.proposals import LEARNING
from schema.settings import Settings
from schema.tables import task_steps, tasks

_COLUMNS = (
    tasks.c.task_id,
    tasks.c.tenant,
    tasks.c.title,
    tasks.c.kind,
    tasks.c.parent,
    tasks.c.state,
    tasks.c.reason,
    tasks.c.submitted_by,
    tasks.c.submitted_at,
    tasks.c.updated_at,
)


def task_path(task_id: UUID) -> str:
    """The path of a task's own route."""
    return f"/v1/tasks/{task_id}"


def select_tasks() -> Select[Any]:
    """The columns of a task's view."""
    return select(*_COLUMNS)


def is_task(tenant: str, task_id: UUID) -> ColumnElement[bool]:
    """The row of a task that clients know of. A proposal's own, which pays for its evaluation, is none, and nor is one
    that was erased: the guard then answers 410 instead of 404."""
    return and_(
        tasks.c.task_id == task_id, tasks.c.tenant == tenant, tasks.c.kind != LEARNING, tasks.c.erased_at.is_(None)
    )


def view_of(row: Row[Any], settings: Settings, progress: tuple[StepView, ...] = ()) -> TaskView:
    """A task's view from its row."""
    return TaskView(
        task_id=row.task_id,
        tenant=row.tenant,
        title=row.title,
        kind=row.kind,
        parent=row.parent,
        state=TaskState(row.state),
        reason=row.reason,
        submitted_by=row.submitted_by,
        submitted_at=row.submitted_at,
        updated_at=row.updated_at,
        progress=progress,
        links=_links(row.task_id, settings),
    )


async def read_task(connection: AsyncConnection, call: Call, task_id: UUID) -> TaskView:
    """A task with its progress; 404 where the tenant has no such task."""
    found = await connection.execute(select_tasks().where(is_task(call.tenant, task_id)))
    row = found.one_or_none()
    if row is None:
        raise not_found("task")
    return view_of(row, call.services.settings, await _progress(connection, task_id))


async def find_submitter(call: Call) -> str:
    """Who submitted the task that the path names; 404 where the tenant has no such task."""
    async with call.services.database.tenant(call.tenant) as connection:
        found = await connection.execute(select(tasks.c.submitted_by).where(is_task(call.tenant, call.task_id)))
        submitter = found.scalar_one_or_none()
    if submitter is None:
        raise not_found("task")
    return str(submitter)


async def _progress(connection: AsyncConnection, task_id: UUID) -> tuple[StepView, ...]:
    rows = await connection.execute(
        select(
            task_steps.c.step, task_steps.c.state, task_steps.c.started_at, task_steps.c.ended_at, task_steps.c.detail
        )
        .where(task_steps.c.task_id == task_id)
        .order_by(task_steps.c.started_at, task_steps.c.step, task_steps.c.epoch)
    )
    return tuple(StepView.model_validate(dict(row._mapping)) for row in rows)


def _links(task_id: UUID, settings: Settings) -> dict[str, str]:
    path = task_path(task_id)
    workflow = quote(task_workflow_id(task_id), safe="")
    return {
        "self": path,
        "result": f"{path}/result",
        "events": f"{path}/events",
        "consensus": f"{path}/consensus",
        "temporal": (f"{settings.temporal_ui_target}/ui/namespaces/{settings.temporal_namespace}/workflows/{workflow}"),
    }
