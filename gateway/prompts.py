"""`/v1/prompts/{role}`: the versions of a role's prompt, what is active of them, and the way back."""

from typing import Annotated, Any, get_args
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import Text as SqlText
from sqlalchemy import Uuid, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import NOT_FOUND, VERSION_ACTIVE, Problem, invalid, not_found
from gateway.prompt_proposals import NO_PROMPT
from gateway.prompt_updates import NOT_PENDING, Refused, call_function, require_person
from gateway.prompt_views import (
    PromptText,
    PromptView,
    Standing,
    guideline_views,
    read_difference,
    read_moves,
    read_standing,
    select_versions,
    version_view,
)
from gateway.services import Call, way_in
from gateway.submission import REPEATED
from gateway.values import read_id
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.steps import Role
from schema.messages.task import Text
from schema.prompts import read_prompt
from schema.tables import prompt_moves, prompt_versions

ROUTE = "POST /v1/prompts/{role}/rollback"
MAX_MOVE = 2**63 - 1


class PromptQuery(Message):
    """Which page of the versions (`cursor`), and of the log (`before` is the `next_move` of the page before)."""

    cursor: UUID | None = None
    before: Annotated[int, Field(ge=0, le=MAX_MOVE)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class VersionQuery(Message):
    """`against` is the version to compare with."""

    against: UUID | None = None


class RollbackRequest(Message):
    """Which version new tasks get from now on, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: UUID
    reason: Annotated[Text, StringConstraints(min_length=1, pattern=r"\S"), Field(max_length=2_000)]


async def show_prompt(call: Call) -> Response:
    """What is active and tried of a role's prompt, its versions and its log."""
    query, role = call.query(PromptQuery), _role(call)
    async with way_in(call) as connection:
        return answer(await _view(connection, call.tenant, role, query))


async def show_prompt_version(call: Call) -> Response:
    """One version in full, and beside another where one is named."""
    query, role = call.query(VersionQuery), _role(call)
    version = read_id(call.request.path_params["version_id"], "version")
    async with way_in(call) as connection:
        wanted = select_versions(call.tenant, role).where(prompt_versions.c.id == version)
        row = (await connection.execute(wanted)).one_or_none()
        if row is None:
            raise not_found("version")
        prompt = await read_prompt(connection, version)
        try:
            beside = query.against and await read_difference(connection, prompt, query.against)
        except LookupError:
            raise invalid([("against", "must be another version of this prompt")]) from None
    told = version_view(row).model_dump()
    learned = guideline_views(prompt)
    return answer(PromptText(**told, base_text=prompt.base, learned=learned, text=prompt.system, difference=beside))


async def roll_back_prompt(call: Call) -> Response:
    """Give new tasks an earlier version, at once; a canary under way ends."""
    request, role = call.body(RollbackRequest), _role(call)
    require_person(call.principal)
    digest = payload_digest({"role": role, "body": request.model_dump(mode="json")})
    async with way_in(call) as connection:
        first, key = None, call.idempotency_key
        if key is not None:
            first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=uuid7())
        if first is None:
            await _roll_back(connection, call, role, request)
        view = await _view(connection, call.tenant, role, PromptQuery())
        reason = REPEATED if first else None
        await record_act(connection, call, object=str(request.version), digest=digest, reason=reason)
    return answer(view)


_ROLL_BACK = select(
    func.rollback_prompt(
        bindparam("role", type_=SqlText()),
        bindparam("version", type_=Uuid()),
        bindparam("actor", type_=SqlText()),
        bindparam("reason", type_=prompt_moves.c.reason.type),
        func.now(),
        bindparam("tenant", type_=SqlText()),
    )
)


async def _roll_back(connection: AsyncConnection, call: Call, role: Role, request: RollbackRequest) -> None:
    if await read_standing(connection, call.tenant, role) is None:
        raise Problem(NOT_FOUND, NO_PROMPT)
    said: dict[str, Any] = {"role": role, "version": request.version, "reason": request.reason}
    try:
        await call_function(connection, _ROLL_BACK, {**said, "actor": call.principal.sub, "tenant": call.tenant})
    except Refused as refused:
        if refused.code == NOT_PENDING:
            raise Problem(VERSION_ACTIVE, "new tasks get that version already: nothing was changed") from refused
        remedy = f"no such version was ever active for the {role}: `golden prompts log {role}` has those that were"
        raise invalid([("version", remedy)]) from refused


async def _view(connection: AsyncConnection, tenant: str, role: Role, query: PromptQuery) -> PromptView:
    standing = await read_standing(connection, tenant, role)
    if standing is None:
        raise Problem(NOT_FOUND, NO_PROMPT)
    wanted, columns = select_versions(tenant, role), prompt_versions.c
    if query.cursor is not None:
        arrival = await connection.scalar(wanted.with_only_columns(columns.arrival).where(columns.id == query.cursor))
        if arrival is None:
            raise invalid([("cursor", "must be the next_cursor of another page")])
        wanted = wanted.where(columns.arrival < arrival)
    rows = (await connection.execute(wanted.order_by(columns.arrival.desc()).limit(query.limit + 1))).all()
    items = tuple(version_view(row) for row in rows[: query.limit])
    moved = await read_moves(connection, tenant, role, query.before, query.limit + 1)
    told = moved[: query.limit]
    return PromptView(
        tenant=tenant,
        role=role,
        **await _active(connection, standing),
        items=items,
        next_cursor=items[-1].id if len(rows) > query.limit else None,
        moves=tuple(told),
        next_move=told[-1].number if len(moved) > query.limit else None,
    )


async def _active(connection: AsyncConnection, standing: Standing) -> dict[str, Any]:
    prompt = await read_prompt(connection, standing.active)
    digests = select(prompt_versions.c.base, prompt_versions.c.digest).where(prompt_versions.c.id == standing.active)
    row = (await connection.execute(digests)).one()
    where = {name: getattr(standing, name) for name in ("active", "previous", "canary")}
    return {**where, "base": row.base, "digest": row.digest, "guidelines": guideline_views(prompt)}


def _role(call: Call) -> Role:
    unverified_role = call.request.path_params["role"]
    for role in get_args(Role):
        if role == unverified_role:
            return role  # type: ignore[no-any-return]
    raise Problem(NOT_FOUND, f"there is no such role: it is one of {', '.join(get_args(Role))}")
