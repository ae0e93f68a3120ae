"""What people decide on a task: to cancel it, or how an escalated one ends. The row first, then the engine."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import ALREADY_DECIDED, TASK_FINAL, TASK_NOT_ESCALATED, Problem, not_found
from gateway.services import Call
from gateway.submission import REPEATED
from gateway.task_views import is_task, read_task
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.task import TaskState, Text
from schema.tables import decisions, tasks
from schema.truths import record_truth

SIGNAL = "decision_recorded"


class DecisionRequest(Message):
    """A person's decision on an escalated task."""

    decision: Literal["accept", "reject"]
    reason: Annotated[Text, StringConstraints(min_length=1, pattern=r"\S"), Field(max_length=2_000)]


async def cancel_task(call: Call) -> Response:
    """Ask for a task's end; the workflow stops what runs and writes the verdict."""
    async with call.services.database.tenant(call.tenant) as connection:
        row = await _lock(connection, call)
        repeated = await _repeats(connection, call, "cancel", {})
        if not repeated:
            if TaskState(row.state).final:
                raise Problem(TASK_FINAL, f"the task is {row.state}", state=row.state)
            await connection.execute(
                update(tasks)
                .where(tasks.c.task_id == call.task_id)
                .values(
                    cancel_requested_by=func.coalesce(tasks.c.cancel_requested_by, call.principal.sub),
                    updated_at=func.now(),
                )
            )
        view = await read_task(connection, call, call.task_id)
        await record_act(connection, call, object=str(call.task_id), reason=REPEATED if repeated else None)
    if not view.state.final:
        handle = engine.task_handle(call.services.temporal, call.task_id)
        await call.services.messenger.tell("cancel", call.task_id, handle.cancel(rpc_timeout=engine.RPC_TIMEOUT))
    return answer(view, 202)


async def decide_task(call: Call) -> Response:
    """Record how an escalated task ends; the workflow is woken and reads it."""
    request = call.body(DecisionRequest)
    async with call.services.database.tenant(call.tenant) as connection:
        row = await _lock(connection, call)
        repeated = await _repeats(connection, call, "decision", request.model_dump())
        if not repeated:
            await _record(connection, call, request, TaskState(row.state))
        view = await read_task(connection, call, call.task_id)
        digest, reason = payload_digest(request.model_dump()), REPEATED if repeated else request.decision
        await record_act(connection, call, object=str(call.task_id), digest=digest, reason=reason)
    if not view.state.final:
        handle = engine.task_handle(call.services.temporal, call.task_id)
        await call.services.messenger.tell(SIGNAL, call.task_id, handle.signal(SIGNAL, rpc_timeout=engine.RPC_TIMEOUT))
    return answer(view)


async def _lock(connection: AsyncConnection, call: Call) -> Row[Any]:
    found = await connection.execute(select(tasks.c.state).where(is_task(call.tenant, call.task_id)).with_for_update())
    row = found.one_or_none()
    if row is None:
        raise not_found("task")
    return row


async def _repeats(connection: AsyncConnection, call: Call, act: str, body: dict[str, Any]) -> bool:
    """Whether this very act was done before under the same key."""
    key = call.idempotency_key
    if key is None:
        return False
    route = f"POST /v1/tasks/{{task_id}}/{act}"
    digest = payload_digest({"task_id": str(call.task_id), "body": body})
    first = await claim_key(connection, call, route=route, key=key, digest=digest, task_id=call.task_id)
    return first is not None


async def _record(connection: AsyncConnection, call: Call, request: DecisionRequest, state: TaskState) -> None:
    recorded = await connection.execute(
        select(decisions.c.decision).where(decisions.c.task_id == call.task_id, decisions.c.tenant == call.tenant)
    )
    if recorded.scalar_one_or_none() is not None:
        raise Problem(ALREADY_DECIDED, "somebody has decided on this task before", state=state.value)
    if state is not TaskState.ESCALATED:
        raise Problem(TASK_NOT_ESCALATED, f"the task is {state.value}", state=state.value)
    # The lock on the task's row lets one decision in at a time.
    await connection.execute(
        insert(decisions).values(
            task_id=call.task_id,
            tenant=call.tenant,
            decision=request.decision,
            reason=request.reason,
            actor=call.principal.sub,
        )
    )
    good = request.decision == "accept"
    await record_truth(connection, call.task_id, call.tenant, "human", good=good, actor=call.principal.sub)
