"""`POST /v1/tasks/{task_id}/top-up`: more budget for a task that has not ended; one that is parked for it goes on."""

from typing import Annotated

from pydantic import ConfigDict, Field
from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import BUDGET_EXHAUSTED, Problem
from gateway.services import Call
from gateway.submission import REPEATED
from gateway.task_views import read_task
from gateway.top_up import top_up
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.tables import dead_letters

MOST = 10**12
"""Of one top-up: so many of them that a column would overflow are never made."""

ROUTE = "POST /v1/tasks/{task_id}/top-up"
SIGNAL = "dead_letter_decided"
REASON = "top-up"


class TopUpRequest(Message):
    """What a task gets on top of its budget: tokens, and millionths of a dollar where its money is limited too."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    tokens: Annotated[int, Field(ge=1, le=MOST)]
    micro_usd: Annotated[int, Field(ge=0, le=MOST)] = 0


async def top_up_task(call: Call) -> Response:
    """Raise a task's budget; what is parked for want of it is redriven with it."""
    request = call.body(TopUpRequest)
    parked: list[str] = []
    async with call.services.database.tenant(call.tenant) as connection:
        repeated = await _repeats(connection, call, request)
        if not repeated:
            await _top_up(connection, call, request)
            parked = await _redrive(connection, call)
        view = await read_task(connection, call, call.task_id)
        digest, reason = payload_digest(request.model_dump()), REPEATED if repeated else None
        await record_act(connection, call, object=str(call.task_id), digest=digest, reason=reason)
    for workflow_id in parked:
        handle = call.services.temporal.get_workflow_handle(workflow_id)
        await call.services.messenger.tell(SIGNAL, call.task_id, handle.signal(SIGNAL, rpc_timeout=engine.RPC_TIMEOUT))
    return answer(view)


async def _repeats(connection: AsyncConnection, call: Call, request: TopUpRequest) -> bool:
    """Whether this very act was done before under the same key."""
    key = call.idempotency_key
    if key is None:
        return False
    digest = payload_digest({"task_id": str(call.task_id), "body": request.model_dump()})
    return await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=call.task_id) is not None


async def _top_up(connection: AsyncConnection, call: Call, request: TopUpRequest) -> None:
    more = request.model_dump()
    try:
        await top_up(connection, tenant=call.tenant, task_id=call.task_id, actor=call.principal.sub, **more)
    except Problem as problem:
        if problem.kind is not BUDGET_EXHAUSTED:
            raise
        remedy = f"raise the tenant's limit first, with PUT /v1/budgets/{call.tenant}"
        raise Problem(BUDGET_EXHAUSTED, f"{problem.detail}: {remedy}") from None


async def _redrive(connection: AsyncConnection, call: Call) -> list[str]:
    """Decide the task's open dead letters about its budget; the workflows that wait for that."""
    letter = dead_letters.c
    decided = await connection.execute(
        update(dead_letters)
        .where(
            letter.tenant == call.tenant,
            letter.task_id == call.task_id,
            letter.kind == "budget",
            letter.state == "open",
        )
        .values(state="redriven", decided_by=call.principal.sub, decided_at=func.now(), reason=REASON)
        .returning(letter.workflow_id)
    )
    return sorted(set(decided.scalars()))
