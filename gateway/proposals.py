"""`POST /v1/proposals`: a change to how agents work, proposed by a person. Others decide on it."""

from typing import Literal
from uuid import UUID

from pydantic import ConfigDict
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.approvals import ApprovalView, view_of
from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import NOTHING_TO_PROPOSE, PROPOSAL_OPEN, Problem
from gateway.services import Call
from gateway.submission import REPEATED
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.learning import VOTERS, LearningApprovalInput, WeightsDiff, WeightsEvidence
from schema.policies import default_policy, read_tenant_policy
from schema.tables import learning_updates as updates
from schema.texts import canonical_json, digest_of
from schema.truths import read_records
from schema.weights import proposed_weights, weights_digest

ROUTE = "POST /v1/proposals"


class ProposalRequest(Message):
    """What is proposed: `weights` are worked out from the voters' records."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["weights"]


async def propose(call: Call) -> Response:
    """Write a proposal down and put it to those who may approve it."""
    request = call.body(ProposalRequest)
    update_id, key = uuid7(), call.idempotency_key
    digest = payload_digest(request.model_dump())
    async with call.services.database.tenant(call.tenant) as connection:
        first = None
        if key is not None:
            first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=update_id)
        if first is None:
            await _propose_weights(connection, call, update_id)
        view = await _view(connection, first or update_id)
        await record_act(connection, call, object=str(view.id), digest=view.digest, reason=REPEATED if first else None)
    if view.state == "pending":
        wanted = LearningApprovalInput(update_id=view.id, tenant=view.tenant)
        starting = engine.start_approval(call.services.temporal, wanted)
        await call.services.messenger.tell("start", view.id, starting)
    return answer(view, 202, {"Location": f"/v1/approvals/{view.id}"})


async def _propose_weights(connection: AsyncConnection, call: Call, update_id: UUID) -> None:
    records = await read_records(connection, call.tenant)
    settings = call.services.settings
    default, own = default_policy(settings), await read_tenant_policy(connection, call.tenant)
    policy = own if own is not None and "voters" in own.model_fields_set else default
    after = proposed_weights(records, policy)
    if after is None:
        raise Problem(NOTHING_TO_PROPOSE, "`golden weights` shows what is known of each voter, and what is missing")
    diff = WeightsDiff(before=policy.voters, after=after).model_dump(mode="json")
    written = await connection.execute(
        insert(updates)
        .values(
            id=update_id,
            tenant=call.tenant,
            kind="weights",
            role=VOTERS,
            # A person may decide at once, whether or not a worker is there.
            state="pending",
            diff=diff,
            evidence=[WeightsEvidence(records=records).model_dump(mode="json")],
            parent=weights_digest(policy.voters),
            digest=digest_of(canonical_json(diff)),
            proposer=call.principal.sub,
            expires_at=func.now() + func.make_interval(0, 0, 0, 0, settings.approval_hours),
        )
        .on_conflict_do_nothing()
        .returning(updates.c.id)
    )
    if written.scalar_one_or_none() is None:
        raise Problem(PROPOSAL_OPEN, "decide on that first: `golden approvals list --state pending`")


async def _view(connection: AsyncConnection, update_id: UUID) -> ApprovalView:
    return view_of((await connection.execute(select(updates).where(updates.c.id == update_id))).one())
