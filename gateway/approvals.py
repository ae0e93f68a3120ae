"""`/v1/approvals`: proposed changes to how agents work, and what people decide on them. The row, then the engine."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import Row, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import APPROVAL_DECIDED, DIGEST_CHANGED, Problem, invalid, not_found
from gateway.services import Call
from gateway.submission import REPEATED
from gateway.values import read_id
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message, TextRef
from schema.messages.learning import UpdateKind, UpdateState
from schema.messages.task import Text
from schema.tables import learning_updates as updates
from schema.texts import canonical_json, digest_of

Decision = Literal["approved", "rejected"]


class ApprovalQuery(Message):
    """Which proposals to list. `cursor` is the `next_cursor` of the page before."""

    state: UpdateState | None = None
    cursor: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class ApprovalView(Message):
    """A proposed change.

    Attributes:
        role: whose work it changes; `voters` for the weights of all who vote.
        diff: what it changes, as its kind has it; `digest` names exactly this.
        evidence: what it was worked out from.
        expires_at: without a decision it ends then.
    """

    id: UUID
    tenant: str
    kind: UpdateKind
    role: str
    state: UpdateState
    diff: dict[str, Any]
    evidence: list[Any]
    evaluation: dict[str, Any] | None
    proposer: str
    digest: TextRef
    proposed_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


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
    wanted = select(updates).where(updates.c.tenant == call.tenant)
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
    items = tuple(view_of(row) for row in rows[: query.limit])
    return answer(ApprovalPage(items=items, next_cursor=items[-1].id if len(rows) > query.limit else None))


async def show_approval(call: Call) -> Response:
    """One proposal with its evidence."""
    async with call.services.database.tenant(call.tenant) as connection:
        return answer(view_of(await _read(connection, call)))


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


def view_of(row: Row[Any]) -> ApprovalView:
    """A proposal's view from its row."""
    told = {name: row._mapping[name] for name in ApprovalView.model_fields}
    evidence = told["evidence"]
    return ApprovalView(**{**told, "evidence": evidence if isinstance(evidence, list) else [evidence]})


async def _decide(call: Call, decision: Decision) -> Response:
    request = call.body(ApprovalRequest)
    async with call.services.database.tenant(call.tenant) as connection:
        row = await _read(connection, call, lock=True)
        repeated = await _repeats(connection, call, row.id, request)
        if not repeated:
            _require_pending(row, request)
            await connection.execute(
                update(updates)
                .where(updates.c.id == row.id)
                .values(state=decision, reason=request.reason, decided_at=func.now(), decided_by=call.principal.sub)
            )
        view = view_of(await _read(connection, call))
        reason = REPEATED if repeated else decision
        await record_act(connection, call, object=str(row.id), digest=row.digest, reason=reason)
    handle = call.services.temporal.get_workflow_handle(engine.approval_workflow_id(view.id))
    waking = handle.signal(engine.APPROVAL_DECIDED, rpc_timeout=engine.RPC_TIMEOUT)
    await call.services.messenger.tell(engine.APPROVAL_DECIDED, view.id, waking)
    return answer(view)


def _require_pending(row: Row[Any], request: ApprovalRequest) -> None:
    if row.state != "pending":
        who = f" by {row.decided_by}" if row.decided_by else ""
        raise Problem(APPROVAL_DECIDED, f"the proposal is {row.state}{who}", state=row.state)
    if row.overdue:
        raise Problem(APPROVAL_DECIDED, "the proposal has expired", state="expired")
    # The digest is reckoned anew: a row that was changed after it was proposed is another proposal.
    if not row.digest == request.digest == digest_of(canonical_json(row.diff)):
        raise Problem(DIGEST_CHANGED, "look at the proposal again, and send the digest that is shown there")


async def _repeats(connection: AsyncConnection, call: Call, update_id: UUID, request: ApprovalRequest) -> bool:
    """Whether this very decision was made before under the same key."""
    if call.idempotency_key is None:
        return False
    digest = payload_digest({"update_id": str(update_id), "body": request.model_dump()})
    route, key = f"POST /v1/approvals/{{approval_id}} {call.action}", call.idempotency_key
    return await claim_key(connection, call, route=route, key=key, digest=digest, task_id=update_id) is not None


async def _read(connection: AsyncConnection, call: Call, *, lock: bool = False) -> Row[Any]:
    update_id = read_id(call.request.path_params["approval_id"], "approval")
    overdue = (updates.c.expires_at <= func.now()).label("overdue")
    wanted = select(updates, overdue).where(updates.c.id == update_id, updates.c.tenant == call.tenant)
    row = (await connection.execute(wanted.with_for_update() if lock else wanted)).one_or_none()
    if row is None:
        raise not_found("approval")
    return row
