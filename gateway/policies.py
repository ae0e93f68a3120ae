"""`/v1/policies/{tenant}`: what a tenant says of how votes are held. Its tasks may be stricter, never laxer."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.operations import answer
from gateway.problems import invalid, not_found
from gateway.services import Call
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.vote import VotePolicy
from schema.policies import default_policy, laxer, merged, read_tenant_policy, too_many
from schema.tables import tenant_policies

REMEDY = "leave it out, or ask an admin of the tenant: golden policy show"


class PolicyRequest(VotePolicy):
    """A tenant's policy. What is left out is not the tenant's word, but the default of this Golden."""


class PolicyView(Message):
    """A tenant's policy.

    Attributes:
        policy: what the tenant says; its tasks may not be laxer.
        in_force: the whole of it, with the defaults of this Golden where the tenant says nothing.
        updated_by: None where nobody has said anything.
    """

    tenant: str
    policy: VotePolicy
    in_force: VotePolicy
    updated_by: str | None = None
    updated_at: datetime | None = None


async def show_policy(call: Call) -> Response:
    """The tenant's policy, and what is in force with it."""
    tenant = _tenant(call)
    async with call.services.database.tenant(tenant) as connection:
        return answer(await _view(connection, call, tenant))


async def set_policy(call: Call) -> Response:
    """Replace the tenant's policy. Tasks that are admitted from now on go by it; those that run keep theirs."""
    tenant = _tenant(call)
    request = call.body(PolicyRequest)
    _check_rules(request, "")
    given = request.model_dump(mode="json", exclude_unset=True)
    values = {"policy": given, "updated_by": call.principal.sub, "updated_at": func.now()}
    made = insert(tenant_policies).values(tenant=tenant, **values)
    async with call.services.database.tenant(tenant) as connection:
        await connection.execute(made.on_conflict_do_update(index_elements=["tenant"], set_=values))
        view = await _view(connection, call, tenant)
        await record_act(connection, call, object=tenant, digest=payload_digest(given))
    return answer(view)


async def check_policy(connection: AsyncConnection, tenant: str, policy: VotePolicy) -> None:
    """422 where a task's policy names too many rules or is laxer than its tenant's, by the name of each field.

    Raises:
        Problem: 422.
    """
    if not policy.model_fields_set:
        return
    _check_rules(policy, "policy.")
    faults = laxer(await read_tenant_policy(connection, tenant), policy)
    if faults:
        raise invalid([(f"policy.{field}", f"{message}: {REMEDY}") for field, message in faults])


def _check_rules(policy: VotePolicy, where: str) -> None:
    faults = too_many(policy)
    if faults:
        raise invalid([(f"{where}{field}", message) for field, message in faults])


async def _view(connection: AsyncConnection, call: Call, tenant: str) -> PolicyView:
    mine = select(tenant_policies).where(tenant_policies.c.tenant == tenant)
    row = (await connection.execute(mine)).one_or_none()
    said: dict[str, Any] = {} if row is None else row.policy
    policy = VotePolicy.model_validate(said)
    in_force = merged(default_policy(call.services.settings), policy, VotePolicy())
    updated = {} if row is None else {"updated_by": row.updated_by, "updated_at": row.updated_at}
    return PolicyView(tenant=tenant, policy=policy, in_force=in_force, **updated)


def _tenant(call: Call) -> str:
    """The tenant that the path names, which must be the one that the principal speaks for: else 404."""
    if call.request.path_params["tenant"] != call.tenant:
        raise not_found("policy")
    return call.tenant
