"""What people decide on dead letters, one or many at once: the rows first, then the engine."""

from collections.abc import Coroutine
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.dead_letters import check_not_empty, letter_id, read_letter
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import DEAD_LETTER_DECIDED, TASK_FINAL, Problem, not_found
from gateway.services import Call
from gateway.submission import REPEATED
from gateway.top_up import top_up
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.task import TaskState, Text
from schema.tables import dead_letters as letters
from schema.tables import tasks

SIGNAL = "dead_letter_decided"
Verdict = Literal["redriven", "discarded"]


def _check_model(name: str) -> str:
    if not name.isascii() or not name.isprintable() or " " in name:
        raise ValueError("must be the name of a model, such as openai:gpt-5")
    return name


Reason = Annotated[Text, StringConstraints(min_length=1, pattern=r"\S"), Field(max_length=2_000)]
Route = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_model)], ...],
    Field(max_length=8, json_schema_extra={"minItems": 1}),
    AfterValidator(check_not_empty),
]
"""Models as the workers' `GOLDEN_MODELS` names them, in the order in which they are asked."""


class DiscardRequest(Message):
    """Give a letter up for good. The reason is kept, sealed, with the letter."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reason: Reason | None = None


class RedriveRequest(DiscardRequest):
    """Try a step again, perhaps with other models, perhaps with more tokens for its task."""

    route: Route | None = None
    top_up_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None


async def redrive_letter(call: Call) -> Response:
    """Let a step begin again where it was given up."""
    request = call.body(RedriveRequest)
    return await _decide(call, "redriven", request, route=request.route, tokens=request.top_up_tokens)


async def discard_letter(call: Call) -> Response:
    """Give a step up for good."""
    return await _decide(call, "discarded", call.body(DiscardRequest))


async def _decide(
    call: Call, verdict: Verdict, request: DiscardRequest, *, route: Route | None = None, tokens: int | None = None
) -> Response:
    letter, body = letter_id(call), request.model_dump(mode="json", exclude_unset=True)
    async with call.services.database.tenant(call.tenant) as connection:
        repeated = await _repeats(connection, call, letter, body)
        if not repeated:
            if tokens is not None:
                await _top_up(connection, call, letter, tokens)
            _require_open(await _lock(connection, call, letter), verdict)
            values = {"state": verdict, "reason": request.reason, "route": list(route) if route else None}
            await connection.execute(
                update(letters)
                .where(letters.c.id == letter)
                .values(**values, decided_at=func.now(), decided_by=call.principal.sub)
            )
        view = await read_letter(connection, call, letter)
        more = f"{tokens:,} tokens more" if tokens else None
        reason = REPEATED if repeated else more
        await record_act(connection, call, object=str(letter), digest=payload_digest(body), reason=reason)
    await call.services.messenger.tell(SIGNAL, view.task_id, wake(call, view.workflow_id))
    return answer(view)


def wake(call: Call, workflow_id: str) -> Coroutine[Any, Any, None]:
    """The message that makes a workflow read its letters again."""
    handle = call.services.temporal.get_workflow_handle(workflow_id)
    return handle.signal(SIGNAL, rpc_timeout=engine.RPC_TIMEOUT)


async def _repeats(connection: AsyncConnection, call: Call, letter: UUID, body: dict[str, Any]) -> bool:
    """Whether this very decision was made before under the same key."""
    if call.idempotency_key is None:
        return False
    route = f"POST /v1/dead-letters/{{letter_id}} {call.action}"
    digest = payload_digest({"letter_id": str(letter), "body": body})
    key = call.idempotency_key
    return await claim_key(connection, call, route=route, key=key, digest=digest, task_id=letter) is not None


async def _top_up(connection: AsyncConnection, call: Call, letter: UUID, tokens: int) -> None:
    """Before the letter is locked: the account comes first, then the task, then its letters."""
    found = await connection.execute(
        select(letters.c.task_id, letters.c.state).where(letters.c.id == letter, letters.c.tenant == call.tenant)
    )
    row = found.one_or_none()
    if row is None:
        raise not_found("dead letter")
    if row.state != "open":
        raise _decided(row.state)
    await top_up(
        connection, tenant=call.tenant, task_id=row.task_id, tokens=tokens, micro_usd=0, actor=call.principal.sub
    )


_STATES = (letters.c.state, tasks.c.state.label("task_state"))


async def _lock(connection: AsyncConnection, call: Call, letter: UUID) -> Row[Any, Any]:
    found = await connection.execute(
        select(*_STATES)
        .join(tasks, tasks.c.task_id == letters.c.task_id)
        .where(letters.c.id == letter, letters.c.tenant == call.tenant)
        .with_for_update(of=letters)
    )
    row = found.one_or_none()
    if row is None:
        raise not_found("dead letter")
    return row


def _require_open(row: Row[Any, Any], verdict: Verdict) -> None:
    if row.state != "open":
        raise _decided(row.state)
    if verdict == "redriven" and TaskState(row.task_state).final:
        raise Problem(TASK_FINAL, f"its task is {row.task_state}: it can only be discarded", state=row.task_state)


def _decided(state: str) -> Problem:
    return Problem(DEAD_LETTER_DECIDED, f"the dead letter is {state}", state=state)
