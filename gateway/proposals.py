"""`POST /v1/proposals`: a change to how agents work, proposed by a person. Others decide on it."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.approval_views import UNDECIDED, read_view
from gateway.audit import record_act
from gateway.idempotency import claim_key, is_claimed
from gateway.operations import answer
from gateway.problems import NOTHING_TO_PROPOSE, PROPOSAL_OPEN, Problem
from gateway.prompt_proposals import GuidelineChange, PromptChange, Which, check_change, write_prompt_proposal
from gateway.prompt_updates import require_person
from gateway.services import Call
from gateway.submission import REPEATED
from schema import engine
from schema.audit import payload_digest
from schema.messages.base import Message, field_fault
from schema.messages.learning import VOTERS, LearningApprovalInput, WeightsDiff, WeightsEvidence
from schema.messages.steps import Role
from schema.messages.task import Text
from schema.policies import default_policy, read_tenant_policy
from schema.tables import learning_updates as updates
from schema.texts import canonical_json, digest_of
from schema.truths import read_records
from schema.weights import proposed_weights, weights_digest

ROUTE = "POST /v1/proposals"


class ProposalRequest(Message):
    """What is proposed: new `weights`, worked out from the voters' records, or a change of a role's `prompt`.

    Attributes:
        kind: `prompt` where a role is given.
        add, change, remove: exactly one of them, of one guideline. A number counts the guidelines of the active
            prompt from 1; a text is exactly a guideline's.
        reason: why; it stands with the evidence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Literal["weights", "prompt"] | None = None
    role: Role | None = None
    add: str | None = None
    change: GuidelineChange | None = None
    remove: Which | None = None
    reason: Annotated[Text, Field(max_length=2_000)] | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        given = [name for name in ("role", "add", "change", "remove") if getattr(self, name) is not None]
        if self.kind is None and not given:
            raise field_fault("kind", "is required: weights, or prompt with a role")
        if self.kind == "weights" and (given or self.reason is not None):
            raise field_fault((*given, "reason")[0], "is of a prompt: weights are worked out from the records")
        if self.kind != "weights" and self.role is None:
            raise field_fault("role", "is required: whose prompt is it?")
        if self.kind != "weights" and len(given) == 1:
            raise field_fault("add", "is required, or change, or remove: say what to change")
        if self.kind != "weights" and len(given) > 2:
            raise field_fault(given[2], f"goes not with {given[1]}: propose one change at a time")
        return self

    @property
    def prompt_change(self) -> PromptChange | None:
        """What is proposed for a prompt; none where it is weights."""
        if self.role is None:
            return None
        return PromptChange(self.role, self.add, self.change, self.remove, self.reason or "")


async def propose(call: Call) -> Response:
    """Write a proposal down and put it to those who may approve it."""
    request = call.body(ProposalRequest)
    require_person(call.principal)
    update_id, key, change = uuid7(), call.idempotency_key, request.prompt_change
    digest = payload_digest(request.model_dump(mode="json", exclude_unset=True))
    if change is not None and not (key is not None and await is_claimed(call, ROUTE, key)):
        await check_change(call, change)
    async with call.services.database.tenant(call.tenant) as connection:
        first = None
        if key is not None:
            first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=update_id)
        if first is None and change is None:
            await _propose_weights(connection, call, update_id)
        elif first is None and change is not None:
            await write_prompt_proposal(connection, call, update_id, change)
        view = await read_view(connection, call.tenant, first or update_id)
        await record_act(connection, call, object=str(view.id), digest=view.digest, reason=REPEATED if first else None)
    if view.state in UNDECIDED:
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
