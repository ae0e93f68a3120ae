"""`POST /v1/tasks/{task_id}/follow-ups`: submits a task that was suggested for a finding which could not be fixed."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from uuid_utils.compat import uuid7

from activities.follow_ups import SMALLEST_BUDGET, task_of
from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.problems import BUDGET_EXHAUSTED, RETRY_SECONDS, TASK_NOT_FINAL, Problem, invalid, not_found
from gateway.services import Call
from gateway.submission import REPEATED, start, write_task
from gateway.task_views import is_task, read_task
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.candidate import CandidateSpec, spec_of
from schema.messages.task import TaskResult, TaskState, TaskView
from schema.tables import tasks
from schema.texts import get_text

ROUTE = "POST /v1/tasks/{task_id}/follow-ups"


class FollowUpRequest(Message):
    """Which of the suggestions, counted from 1 as `golden result` shows them.

    Attributes:
        budget_tokens: of what its parent has left; all of it if not said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    number: Annotated[int, Field(ge=1, le=1_000)]
    budget_tokens: Annotated[int, Field(ge=SMALLEST_BUDGET, le=10_000_000)] | None = None


async def submit_follow_up(call: Call) -> Response:
    """Accept the suggested task, linked to its parent; it may spend what its parent has left."""
    request = call.body(FollowUpRequest)
    child, key = uuid7(), call.idempotency_key
    digest = payload_digest({"task_id": str(call.task_id), "body": request.model_dump()})
    async with call.services.database.tenant(call.tenant) as connection:
        parent = await _lock(connection, call)
        first = None
        if key is not None:
            first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=child)
        if first is None:
            view = await _write(connection, call, request, parent, child)
        else:
            view = await read_task(connection, call, first)
        await record_act(connection, call, object=str(view.task_id), digest=digest, reason=REPEATED if first else None)
    return await start(call, view)


async def _lock(connection: AsyncConnection, call: Call) -> Row[Any]:
    """The parent, locked, so that what is left of its budget is given once."""
    found = await connection.execute(select(tasks).where(is_task(call.tenant, call.task_id)).with_for_update())
    row = found.one_or_none()
    if row is None:
        raise not_found("task")
    return row


async def _write(
    connection: AsyncConnection, call: Call, request: FollowUpRequest, parent: Row[Any], child: UUID
) -> TaskView:
    state = TaskState(parent.state)
    if not state.final:
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(TASK_NOT_FINAL, f"the task is {state.value}", headers=headers, state=state.value)
    result = await _result(connection, call.tenant, parent)
    spec = spec_of(await get_text(connection, call.tenant, parent.spec))
    if request.number > len(result.follow_ups) or isinstance(spec, CandidateSpec):
        raise invalid([("number", f"the task suggests {len(result.follow_ups)}: see follow_ups of its result")])
    follow_up = result.follow_ups[request.number - 1]
    if follow_up.task_id is not None:
        raise invalid([("number", f"is submitted already, as task {follow_up.task_id}")])
    tokens = await _tokens(connection, parent, request.budget_tokens)
    task = task_of(spec, follow_up.finding, result.files, tokens)
    if task is None:
        raise invalid([("number", "can't be a task: the candidate's files are none that a task may have")])
    return await write_task(connection, call, task, child, kind="task", parent=call.task_id)


async def _result(connection: AsyncConnection, tenant: str, parent: Row[Any]) -> TaskResult:
    if parent.result is None:
        return TaskResult(task_id=parent.task_id, state=TaskState(parent.state))
    return TaskResult.model_validate_json(await get_text(connection, tenant, parent.result))


async def _tokens(connection: AsyncConnection, parent: Row[Any], wished: int | None) -> int:
    """Of the tokens that neither the parent nor another follow-up has, those that are wished for, or all."""
    given = await connection.scalar(
        select(func.coalesce(func.sum(tasks.c.budget_tokens), 0)).where(
            tasks.c.parent == parent.task_id, tasks.c.tenant == parent.tenant
        )
    )
    left = int(parent.budget_tokens - parent.spent_tokens - (given or 0))
    needed = wished or SMALLEST_BUDGET
    if left < needed:
        remedy = "ask for less, or submit a task with a budget of its own"
        raise Problem(BUDGET_EXHAUSTED, f"the task has {max(0, left):,} tokens left, not {needed:,}: {remedy}")
    return wished or left
