"""`/v1/approvals`: proposed changes to how agents work, and what people decide on them. The row, then the engine."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.approval_views import UNDECIDED, ApprovalView, read_view, select_updates, shortened, views_of
from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import DIGEST_CHANGED, Problem, invalid, not_found
from gateway.prompt_updates import (
    LOOK_AGAIN,
    PromptChanged,
    Refused,
    approve_update,
    decided,
    reject_update,
    require_person,
)
from gateway.services import Call
from gateway.submission import REPEATED
from gateway.values import read_id
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message, TextRef
from schema.messages.learning import UpdateState
from schema.messages.task import Text
from schema.tables import learning_updates as updates
from schema.texts import canonical_json, digest_of

Decision = Literal["approved", "rejected"]


class ApprovalQuery(Message):
    """Which proposals to list. `cursor` is the `next_cursor` of the page before."""

    state: UpdateState | None = None
    cursor: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class ApprovalPage(Message):
    """One page of proposals, newest first."""

    items: tuple[ApprovalView, ...]
    next_cursor: UUID | None


class ApprovalRequest(Message):
    """A person's decision. `digest` is that of what they were shown: nothing else is decided on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    reason: Annotated[Text, StringConstraints(min_length=1, pattern=r"\S"), Field(max_length=2_000)]
    digest: TextRef


async def list_approvals(call: Call) -> Response:
    """The tenant's proposals, newest first."""
    query = call.query(ApprovalQuery)
    wanted = select_updates().where(updates.c.tenant == call.tenant)
    if query.state is not None:
        wanted = wanted.where(updates.c.state == query.state)
    async with call.services.database.tenant(call.tenant) as connection:
        if query.cursor is not None:
            mine = (updates.c.id == query.cursor, updates.c.tenant == call.tenant)
            arrival = await connection.scalar(select(updates.c.arrival).where(*mine))
            if arrival is None:
                raise invalid([("cursor", "must be the next_cursor of another page")])
            wanted = wanted.where(updates.c.arrival < arrival)
        rows = (await connection.execute(wanted.order_by(updates.c.arrival.desc()).limit(query.limit + 1))).all()
        items = tuple(map(shortened, await views_of(connection, call.tenant, rows[: query.limit])))
    return answer(ApprovalPage(items=items, next_cursor=items[-1].id if len(rows) > query.limit else None))


async def show_approval(call: Call) -> Response:
    """One proposal with its evidence, its evaluation and what an approval would do."""
    async with call.services.database.tenant(call.tenant) as connection:
        row = await _read(connection, call)
        return answer((await views_of(connection, call.tenant, [row]))[0])


async def approve(call: Call) -> Response:
    """Let a proposal take effect; its workflow is woken and does so."""
    return await _decide(call, "approved")


async def reject(call: Call) -> Response:
    """End a proposal without effect."""
    return await _decide(call, "rejected")


async def find_proposer(call: Call) -> str:
    """Who proposed what the path names; 404 where the tenant has no such proposal."""
    async with call.services.database.tenant(call.tenant) as connection:
        return str((await _read(connection, call)).proposer)


async def _decide(call: Call, decision: Decision) -> Response:
    request = call.body(ApprovalRequest)
    try:
        view = await _record(call, decision, request)
    except PromptChanged:
        # Its workflow finds that too, and has it evaluated anew.
        await _wake(call, _update_id(call))
        raise
    await _wake(call, view.id)
    return answer(view)


async def _record(call: Call, decision: Decision, request: ApprovalRequest) -> ApprovalView:
    """The decision, its digest and its audit record, in one transaction."""
    async with call.services.database.tenant(call.tenant) as connection:
        row = await _read(connection, call)
        repeated = await _repeats(connection, call, row.id, request)
        if not repeated:
            decide = _decide_weights if row.kind == "weights" else _decide_prompt
            await decide(connection, call, decision, request)
        view = await read_view(connection, call.tenant, row.id)
        reason = REPEATED if repeated else decision
        await record_act(connection, call, object=str(row.id), digest=row.digest, reason=reason)
    return view


async def _decide_weights(
    connection: AsyncConnection, call: Call, decision: Decision, request: ApprovalRequest
) -> None:
    row = await _read(connection, call, lock=True)
    if row.state != "pending" or row.overdue:
        raise decided(row)
    # The digest is reckoned anew: a row that was changed after it was proposed is another proposal.
    if not row.digest == request.digest == digest_of(canonical_json(row.diff)):
        raise Problem(DIGEST_CHANGED, LOOK_AGAIN)
    await connection.execute(
        update(updates)
        .where(updates.c.id == row.id)
        .values(state=decision, reason=request.reason, decided_at=func.now(), decided_by=call.principal.sub)
    )


async def _decide_prompt(connection: AsyncConnection, call: Call, decision: Decision, request: ApprovalRequest) -> None:
    require_person(call.principal)
    # Not locked: the functions lock the role first, and then the row.
    row = await _read(connection, call)
    if row.state not in UNDECIDED:
        raise decided(row)
    decide = approve_update if decision == "approved" else reject_update
    try:
        await decide(connection, row, call.principal.sub, request.reason, request.digest)
    except Refused as refused:
        raise decided(await _read(connection, call)) from refused


async def _wake(call: Call, update_id: UUID) -> None:
    handle = call.services.temporal.get_workflow_handle(engine.approval_workflow_id(update_id))
    waking = handle.signal(engine.APPROVAL_DECIDED, rpc_timeout=engine.RPC_TIMEOUT)
    await call.services.messenger.tell(engine.APPROVAL_DECIDED, update_id, waking)


async def _repeats(connection: AsyncConnection, call: Call, update_id: UUID, request: ApprovalRequest) -> bool:
    """Whether this very decision was made before under the same key."""
    if call.idempotency_key is None:
        return False
    digest = payload_digest({"update_id": str(update_id), "body": request.model_dump()})
    route, key = f"POST /v1/approvals/{{approval_id}} {call.action}", call.idempotency_key
    return await claim_key(connection, call, route=route, key=key, digest=digest, task_id=update_id) is not None


def _update_id(call: Call) -> UUID:
    return read_id(call.request.path_params["approval_id"], "approval")


async def _read(connection: AsyncConnection, call: Call, *, lock: bool = False) -> Row[Any]:
    wanted = select_updates().where(updates.c.id == _update_id(call), updates.c.tenant == call.tenant)
    rows = await connection.execute(wanted.with_for_update(of=updates) if lock else wanted)
    row: Row[Any] | None = rows.one_or_none()
    if row is None:
        raise not_found("approval")
    return row
