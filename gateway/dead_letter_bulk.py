"""`POST /v1/dead-letters/redrive|discard`: many letters by one decision, which take effect one after the other."""

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field
from sqlalchemy import ColumnElement, case, func, literal, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.audit import record_act
from gateway.dead_letter_decisions import SIGNAL, Reason, Route, Verdict, wake
from gateway.dead_letters import Name, check_not_empty
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import not_found
from gateway.services import Call
from gateway.submission import REPEATED
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.letters import LetterKind
from schema.messages.task import FINAL_STATES
from schema.tables import dead_letters as letters
from schema.tables import tasks

MOST = 10_000
"""So many letters one request decides on, the oldest first; another takes the next."""
MICROSECONDS_A_MINUTE = 60_000_000


class _Strict(Message):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LetterFilter(_Strict):
    """Which of the tenant's open letters are meant: those of which all is true that is said; all if nothing is."""

    kind: LetterKind | None = None
    cause: Name | None = None
    task: UUID | None = None
    step: Name | None = None
    parked_before: AwareDatetime | None = None
    ids: (
        Annotated[
            tuple[UUID, ...],
            Field(max_length=1_000, json_schema_extra={"minItems": 1}),
            AfterValidator(check_not_empty),
        ]
        | None
    ) = None


class BulkDiscardRequest(_Strict):
    """Letters to give up for good. `filter` has to be said, so that nobody means all of them by an empty body."""

    filter: LetterFilter
    per_minute: Annotated[int, Field(ge=1, le=6_000)] | None = None
    reason: Reason | None = None


class BulkRedriveRequest(BulkDiscardRequest):
    """Letters to redrive, `per_minute` of them; all at once if that isn't said."""

    route: Route | None = None


class BulkAnswer(Message):
    """How many letters were decided on, and when the decision on the last of them takes effect."""

    matched: int
    per_minute: int | None
    last_at: datetime | None


async def redrive_letters(call: Call) -> Response:
    """Let many steps begin again."""
    request = call.body(BulkRedriveRequest)
    return await _decide(call, "redriven", request, request.route)


async def discard_letters(call: Call) -> Response:
    """Give many steps up for good."""
    return await _decide(call, "discarded", call.body(BulkDiscardRequest), None)


async def _decide(call: Call, verdict: Verdict, request: BulkDiscardRequest, route: Route | None) -> Response:
    body, batch = request.model_dump(mode="json", exclude_unset=True), uuid7()
    async with call.services.database.tenant(call.tenant) as connection:
        first = await _first(connection, call, body, batch)
        if first is None:
            await _require_own(connection, call, request.filter)
            await _mark(connection, call, verdict, request, route, batch)
        rows = await _read(connection, call, first or batch)
        told = f"{len(rows)} matched the filter {payload_digest(body['filter'])}"
        reason = REPEATED if first else told
        await record_act(connection, call, object=str(first or batch), digest=payload_digest(body), reason=reason)
    _wake(call, rows)
    last = max((row.resume_at or row.decided_at for row in rows), default=None)
    return answer(BulkAnswer(matched=len(rows), per_minute=request.per_minute, last_at=last), 202)


async def _first(connection: AsyncConnection, call: Call, body: dict[str, Any], batch: UUID) -> UUID | None:
    """The batch of the same request under the same key, where there was one."""
    if call.idempotency_key is None:
        return None
    route, digest = f"POST /v1/dead-letters {call.action}", payload_digest(body)
    return await claim_key(connection, call, route=route, key=call.idempotency_key, digest=digest, task_id=batch)


async def _require_own(connection: AsyncConnection, call: Call, wanted: LetterFilter) -> None:
    """404 unless the tenant has every letter that is named."""
    if wanted.ids is None:
        return
    named = set(wanted.ids)
    found = await connection.scalar(
        select(func.count()).select_from(letters).where(letters.c.tenant == call.tenant, letters.c.id.in_(named))
    )
    if found != len(named):
        raise not_found("dead letter")


async def _mark(
    connection: AsyncConnection,
    call: Call,
    verdict: Verdict,
    request: BulkDiscardRequest,
    route: Route | None,
    batch: UUID,
) -> None:
    """Decide on all that match and are open. What another transaction is deciding on is waited for, and left to it."""
    open_ones = [letters.c.tenant == call.tenant, letters.c.state == "open", *_conditions(request.filter)]
    if verdict == "redriven":
        # The letter of a task that has ended can only be discarded.
        final = [state.value for state in FINAL_STATES]
        open_ones.append(select(tasks.c.task_id).where(_of_letter(), tasks.c.state.not_in(final)).exists())
    # In one order for all, so that none waits for another that waits for it.
    locked = select(letters.c.id, letters.c.arrival).where(*open_ones).order_by(letters.c.arrival).limit(MOST)
    chosen = locked.with_for_update(of=letters).cte("chosen")
    place = (func.row_number().over(order_by=chosen.c.arrival) - 1).label("place")
    placed = select(chosen.c.id, place).cte("placed")
    await connection.execute(
        update(letters)
        .where(letters.c.id == placed.c.id)
        .values(
            state=verdict,
            reason=request.reason,
            route=list(route) if route else None,
            resume_at=_resume_at(placed.c.place, request.per_minute),
            batch=batch,
            decided_at=func.now(),
            decided_by=call.principal.sub,
        )
    )


def _of_letter() -> ColumnElement[bool]:
    return tasks.c.task_id == letters.c.task_id


def _conditions(wanted: LetterFilter) -> list[ColumnElement[bool]]:
    columns = {"kind": "kind", "cause": "cause", "task": "task_id", "step": "step"}
    given = {columns[name]: getattr(wanted, name) for name in columns}
    conditions = [letters.c[name] == value for name, value in given.items() if value is not None]
    if wanted.parked_before is not None:
        conditions.append(letters.c.parked_at < wanted.parked_before)
    if wanted.ids is not None:
        conditions.append(letters.c.id.in_(wanted.ids))
    return conditions


def _resume_at(place: ColumnElement[int], per_minute: int | None) -> ColumnElement[datetime | None]:
    """When the letter in this place, from 0, has its turn; none for the first and without a pace."""
    if per_minute is None:
        return literal(None, letters.c.resume_at.type)
    # In whole numbers, so that no two are nearer to each other than they should be.
    microseconds = place * MICROSECONDS_A_MINUTE // per_minute
    return case((place > 0, func.now() + microseconds * text("interval '1 microsecond'")), else_=None)


_OUTCOME = (letters.c.task_id, letters.c.workflow_id, letters.c.resume_at, letters.c.decided_at)


async def _read(connection: AsyncConnection, call: Call, batch: UUID) -> Sequence[Any]:
    found = await connection.execute(
        select(*_OUTCOME).where(letters.c.tenant == call.tenant, letters.c.batch == batch).order_by(letters.c.arrival)
    )
    return found.all()


def _wake(call: Call, rows: Sequence[Any]) -> None:
    """Each workflow once: it reads all of its letters."""
    tasks_by_workflow = {row.workflow_id: row.task_id for row in rows}
    messages = [
        (task_id, functools.partial(wake, call, workflow_id)) for workflow_id, task_id in tasks_by_workflow.items()
    ]
    call.services.messenger.tell_later(SIGNAL, messages)
