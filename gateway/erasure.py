"""`POST …/erasure`: what users and models wrote of a task or a tenant goes. The rows first, then Temporal is told."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from activities.erasing import TASK_ERASED
from activities.erasure import erase_task
from activities.histories import forget_task, forget_tenant
from gateway.audit import record_act
from gateway.authorisation import Permission
from gateway.operations import Operation, answer
from gateway.problems import NOT_FOUND, TASK_NOT_FINAL, TASKS_OPEN, Problem, not_found
from gateway.services import Call
from gateway.submission import REPEATED
from schema.messages.base import Message, Tenant
from schema.messages.task import FINAL_STATES, TaskState, Text
from schema.proposals import LEARNING
from schema.tables import erasures, tasks

TENANT_ERASED = "tenants.erase"

MAX_REASON = 200
CANCEL_SECONDS = 5
"""How long a client waits that asked for tasks to be cancelled first."""

_FINAL = [state.value for state in FINAL_STATES]
_ERASE_TENANT = text("SELECT erase_tenant(:tenant, :by)")


class ErasureRequest(Message):
    """Why. It is kept in the audit log, in clear: a ticket's number rather than a name."""

    reason: Annotated[Text, StringConstraints(min_length=1, pattern=r"\S"), Field(max_length=MAX_REASON)]


class TenantErasureRequest(ErasureRequest):
    """`cancel` asks for the end of what is under way; it is erased by the same request once that has come."""

    cancel: bool = False


class ErasureView(Message):
    """What was erased.

    Attributes:
        tasks: how many; `texts` that are gone with them, and `shared`, that stay since others have the same.
        follow_ups: tasks that were made of this one, and are not erased with it.
        completed_at: when Temporal, too, was found to have nothing of it any more; None until then.
    """

    tenant: Tenant
    task_id: UUID | None
    asked_by: str
    erased_at: datetime
    tasks: int
    texts: int
    shared: int
    follow_ups: tuple[UUID, ...] = ()
    completed_at: datetime | None


async def erase_one(call: Call) -> Response:
    """Erase a task that has ended. To ask again finds the first erasure."""
    async with call.services.database.tenant(call.tenant) as connection:
        state, erased_at = await _lock(connection, call)
        if not TaskState(state).final:
            remedy = f"cancel it first (golden cancel {call.task_id}), and erase it when it has ended"
            raise Problem(TASK_NOT_FINAL, f"the task is {state}: {remedy}", state=state)
        if erased_at is None:
            await erase_task(connection, call.tenant, call.task_id, call.principal.sub)
        view = await _view(connection, call.tenant, call.task_id)
        await _record(connection, call, view, repeated=erased_at is not None)
    telling = forget_task(call.services.temporal, call.task_id)
    await call.services.messenger.tell("erase", call.task_id, telling)
    return answer(view)


async def erase_all(call: Call) -> Response:
    """Erase everything of the tenant that the path names. To ask again erases what came since."""
    if call.request.path_params["tenant"] != call.tenant:
        raise not_found("tenant")
    if call.body(TenantErasureRequest).cancel:
        await _cancel_open(call)
    async with call.services.database.tenant(call.tenant) as connection:
        values = {"tenant": call.tenant, "by": call.principal.sub}
        before = await _latest(connection, call.tenant)
        if await connection.scalar(_ERASE_TENANT, values):
            await _refuse_open(connection, call)
        view = await _view(connection, call.tenant, None)
        await _record(connection, call, view, repeated=before is not None and before == view.erased_at)
    telling = forget_tenant(call.services.temporal, call.tenant, view.erased_at)
    await call.services.messenger.tell("erase", UUID(int=0), telling)
    return answer(view)


async def _lock(connection: AsyncConnection, call: Call) -> tuple[str, datetime | None]:
    wanted = select(tasks.c.state, tasks.c.erased_at).where(
        tasks.c.task_id == call.task_id, tasks.c.tenant == call.tenant, tasks.c.kind != LEARNING
    )
    row = (await connection.execute(wanted.with_for_update())).one_or_none()
    if row is None:
        raise not_found("task")
    return str(row.state), row.erased_at


async def _latest(connection: AsyncConnection, tenant: str) -> datetime | None:
    of_all = (erasures.c.tenant == tenant, erasures.c.task_id.is_(None))
    found: datetime | None = await connection.scalar(select(func.max(erasures.c.erased_at)).where(*of_all))
    return found


async def _cancel_open(call: Call) -> None:
    """As `POST …/cancel` of each; `Reconcile` tells their workflows."""
    open_tasks = (tasks.c.tenant == call.tenant, tasks.c.state.not_in(_FINAL), tasks.c.kind != LEARNING)
    by = func.coalesce(tasks.c.cancel_requested_by, call.principal.sub)
    async with call.services.database.tenant(call.tenant) as connection:
        await connection.execute(update(tasks).where(*open_tasks).values(cancel_requested_by=by))


async def _refuse_open(connection: AsyncConnection, call: Call) -> None:
    kinds = select(
        func.count().filter(tasks.c.kind != LEARNING).label("tasks"),
        func.count().filter(tasks.c.kind != LEARNING, tasks.c.cancel_requested_by.is_(None)).label("asked"),
    ).where(tasks.c.tenant == call.tenant, tasks.c.state.not_in(_FINAL))
    row = (await connection.execute(kinds)).one()
    if row.tasks and not row.asked:
        headers = {"Retry-After": str(CANCEL_SECONDS)}
        raise Problem(TASKS_OPEN, f"{row.tasks:,} tasks are being cancelled: ask again in a moment", headers=headers)
    if row.tasks:
        remedy = "cancel them first, or say `cancel` (golden erase --cancel)"
        raise Problem(TASKS_OPEN, f"{row.tasks:,} tasks are not final: {remedy}")
    remedy = "decide on them (golden approvals), and ask again"
    raise Problem(TASKS_OPEN, f"proposals are under way: {remedy}")


async def _view(connection: AsyncConnection, tenant: str, task_id: UUID | None) -> ErasureView:
    mine = erasures.c.task_id.is_(None) if task_id is None else erasures.c.task_id == task_id
    wanted = select(erasures).where(erasures.c.tenant == tenant, mine).order_by(erasures.c.erased_at.desc()).limit(1)
    row: Row[Any] = (await connection.execute(wanted)).one()
    children = select(tasks.c.task_id).where(
        tasks.c.tenant == tenant, tasks.c.parent == task_id, tasks.c.erased_at.is_(None)
    )
    follow_ups = () if task_id is None else tuple(await connection.scalars(children.order_by(tasks.c.arrival)))
    values = {name: getattr(row, name) for name in ErasureView.model_fields if name != "follow_ups"}
    return ErasureView(**values, follow_ups=follow_ups)


async def _record(connection: AsyncConnection, call: Call, view: ErasureView, *, repeated: bool) -> None:
    """Who, what, how much and why; nothing of what it was."""
    told = f"{view.tasks:,} tasks, {view.texts:,} texts, {view.shared:,} kept that others have too"
    reason = f"{REPEATED if repeated else told}; {call.body(ErasureRequest).reason}"
    await record_act(connection, call, object=str(view.task_id or view.tenant), reason=reason)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="POST",
        path="/v1/tasks/{task_id}/erasure",
        permission=Permission.TASKS_ERASE,
        action=TASK_ERASED,
        handler=erase_one,
        summary="Erase what users and models wrote of a task that has ended; what it cost and who did what stays",
        takes=ErasureRequest,
        returns=ErasureView,
        problems=(NOT_FOUND, TASK_NOT_FINAL),
    ),
    Operation(
        method="POST",
        path="/v1/tenants/{tenant}/erasure",
        permission=Permission.TASKS_ERASE,
        action=TENANT_ERASED,
        handler=erase_all,
        summary="Erase everything that users and models wrote of a tenant; its accounts and its audit log stay",
        takes=TenantErasureRequest,
        returns=ErasureView,
        problems=(NOT_FOUND, TASKS_OPEN),
    ),
)
