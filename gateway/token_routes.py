"""`/v1/tokens`: an admin issues, lists and revokes the tokens of their tenant; only the platform's admins, of any."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field
from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.authorisation import EVERY_TENANT, Principal, Role
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import FORBIDDEN, Problem, invalid
from gateway.services import Call
from gateway.token_form import is_name
from gateway.token_reader import LEEWAY_SECONDS
from gateway.token_register import add_token, transaction
from gateway.token_views import TokenView, holder_of, select_views, view_of_holder, view_of_row
from gateway.tokens import check_subject, new_holder, parse_ttl, sign
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.task import Text
from schema.tables import revocations, tokens

ROUTE = "POST /v1/tokens"


def _check_ttl(text: str) -> str:
    parse_ttl(text)
    return text


def _check_token_id(text: str) -> str:
    if not is_name(text):
        raise ValueError("must be 1 to 200 visible ASCII characters")
    return text


Subject = Annotated[str, AfterValidator(check_subject)]
TokenId = Annotated[str, AfterValidator(_check_token_id)]


class TokenRequest(Message):
    """A token to issue. `tenant` is the request's own, if it is said at all; `ttl` is digits and s, m, h or d."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sub: Subject
    role: Role
    tenant: str | None = None
    ttl: Annotated[str, AfterValidator(_check_ttl)] = "12h"


class IssuedToken(TokenView):
    """A new token, which is shown this once."""

    token: str


class TokenQuery(Message):
    """Which tokens to list. `cursor` is the `next_cursor` of the page before."""

    sub: Subject | None = None
    cursor: TokenId | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class TokenPage(Message):
    """One page of tokens, those recorded last first."""

    items: tuple[TokenView, ...]
    next_cursor: str | None


class Reason(Message):
    """Why; it is kept, sealed, with the revocation. The audit log has its digest only."""

    reason: Annotated[Text, Field(max_length=500)] | None = None


class RevocationQuery(Reason):
    """One token by `jti`; or all of `sub`, or of the tenant, that were issued before a time (ISO 8601 or seconds)."""

    jti: TokenId | None = None
    sub: Subject | None = None
    issued_before: AwareDatetime | None = None


class Revocation(Message):
    """What no token may be believed of any more. `issued_before` is the time for all of `sub`, or of the tenant."""

    tenant: str
    jti: str | None
    sub: str | None
    issued_before: datetime | None
    reason: str | None
    revoked_by: str
    revoked_at: datetime


async def issue(call: Call) -> Response:
    """A new token; the same idempotency key and body give the same token again."""
    request = call.body(TokenRequest)
    _check_tenant(call, request.tenant)
    async with transaction(call.services.database, call.tenant) as connection:
        holder = await _find_or_record(connection, call, request)
    view = view_of_holder(holder, call.principal.sub)
    token = sign(call.services.settings, holder)
    return answer(IssuedToken(token=token, **view.model_dump()), 201)


async def list_tokens(call: Call) -> Response:
    """The tenant's tokens, those recorded last first."""
    query = call.query(TokenQuery)
    wanted = select_views().where(tokens.c.tenant == call.tenant)
    if query.sub is not None:
        wanted = wanted.where(tokens.c.sub == query.sub)
    async with transaction(call.services.database, call.tenant) as connection:
        if query.cursor is not None:
            wanted = wanted.where(tokens.c.arrival < await _arrival(connection, call, query.cursor))
        rows = (await connection.execute(wanted.order_by(tokens.c.arrival.desc()).limit(query.limit + 1))).all()
    items = tuple(view_of_row(row) for row in rows[: query.limit])
    return answer(TokenPage(items=items, next_cursor=items[-1].jti if len(rows) > query.limit else None))


async def revoke_one(call: Call) -> Response:
    """Revoke one token, whether or not it was ever seen here."""
    token_id = call.request.path_params["jti"]
    if not is_name(token_id):
        raise invalid([("jti", "must be 1 to 200 visible ASCII characters")])
    return await _revoke(call, {"jti": token_id}, token_id, call.query(Reason).reason)


async def revoke_many(call: Call) -> Response:
    """Revoke by token id, by subject, or all that were issued before a time."""
    query = call.query(RevocationQuery)
    if query.jti is not None:
        if query.sub is not None or query.issued_before is not None:
            raise invalid([("jti", "names one token: leave sub and issued_before out")])
        return await _revoke(call, {"jti": query.jti}, query.jti, query.reason)
    if query.sub is None and query.issued_before is None:
        raise invalid([("query", "must have jti, sub or issued_before")])
    before = query.issued_before or await _after_all_of(call, query.sub)
    if not 0 <= before.timestamp() <= time.time() + LEEWAY_SECONDS - 1:
        raise invalid([("issued_before", "must not be in the future")])
    named = f"sub {query.sub}" if query.sub is not None else "every token"
    what = f"{named}, issued before {before.astimezone(UTC).isoformat()}"
    return await _revoke(call, {"sub": query.sub, "issued_before": before}, what, query.reason)


def _check_tenant(call: Call, tenant: str | None) -> None:
    """An admin issues for their own tenant; the platform's admins name another, or the platform, in the header."""
    if tenant in (None, call.tenant):
        return
    if call.principal.tenant != EVERY_TENANT:
        raise Problem(FORBIDDEN, f"the token is for the tenant {call.principal.tenant} only")
    raise invalid([("tenant", "must be the one that the header Golden-Tenant names")])


async def _find_or_record(connection: AsyncConnection, call: Call, request: TokenRequest) -> Principal:
    """Who the new token is for; under a key that was used before, who the first one was for."""
    ttl = parse_ttl(request.ttl)
    # A token counts as issued after whatever was revoked before, also within the same second.
    revoked_before = await _revoked_before(connection, call.tenant, request.sub)
    holder = new_holder(sub=request.sub, role=request.role, tenant=call.tenant, ttl=ttl, not_before=revoked_before)
    digest = payload_digest(request.model_dump(mode="json", exclude_unset=True))
    key = call.idempotency_key
    if key is not None:
        token_id = UUID(holder.jti)
        first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=token_id)
        if first is not None:
            found = await connection.execute(select_views().where(*_is(call.tenant, str(first))))
            return holder_of(view_of_row(found.one()))
    await add_token(connection, holder, issued_by=call.principal.sub)
    await record_act(connection, call, object=holder.jti, digest=digest)
    return holder


async def _revoked_before(connection: AsyncConnection, tenant: str, sub: str) -> int:
    columns = revocations.c
    found = await connection.execute(
        select(func.ceil(func.extract("epoch", func.max(columns.issued_before)))).where(
            columns.tenant == tenant, columns.jti.is_(None), or_(columns.sub.is_(None), columns.sub == sub)
        )
    )
    return int(found.scalar_one() or 0)


async def _after_all_of(call: Call, sub: str | None) -> datetime:
    """The next second; or later, where another gateway's clock was ahead as it issued a token for this subject."""
    now = int(time.time())
    async with transaction(call.services.database, call.tenant) as connection:
        found = await connection.execute(
            select(func.extract("epoch", func.max(tokens.c.issued_at))).where(
                tokens.c.tenant == call.tenant, tokens.c.sub == sub
            )
        )
        latest = int(found.scalar_one() or 0)
    return datetime.fromtimestamp(max(now, min(latest, now + LEEWAY_SECONDS - 2)) + 1, UTC)


async def _revoke(call: Call, values: dict[str, Any], object: str, reason: str | None) -> Response:
    """Record it with its audit record; this gateway refuses at once, the others as soon as they are told."""
    async with transaction(call.services.database, call.tenant) as connection:
        added = await connection.execute(
            insert(revocations)
            .values(tenant=call.tenant, reason=reason, revoked_by=call.principal.sub, **values)
            .on_conflict_do_nothing()
            .returning(revocations)
        )
        row = added.one_or_none()
        if row is not None:
            # A record stays for ever, and the reason may hold what somebody pasted: a token, a name.
            await record_act(connection, call, object=object, digest=_digest_of(values, reason))
        else:
            found = await connection.execute(
                select(revocations).where(revocations.c.tenant == call.tenant, revocations.c.jti == values["jti"])
            )
            row = found.one()
    await call.services.verifier.revocations.refresh()
    return answer(Revocation.model_validate({name: getattr(row, name) for name in Revocation.model_fields}))


def _digest_of(values: Mapping[str, Any], reason: str | None) -> str:
    """Of what was asked for: `jti`, or `sub` and `issued_before`, and the reason."""
    asked = RevocationQuery.model_construct(**values, reason=reason)
    return payload_digest(asked.model_dump(mode="json", exclude_none=True))


def _is(tenant: str, token_id: str) -> tuple[Any, Any]:
    return tokens.c.tenant == tenant, tokens.c.jti == token_id


async def _arrival(connection: AsyncConnection, call: Call, cursor: str) -> int:
    found = await connection.execute(select(tokens.c.arrival).where(*_is(call.tenant, cursor)))
    arrival = found.scalar_one_or_none()
    if arrival is None:
        raise invalid([("cursor", "must be the next_cursor of another page")])
    return int(arrival)
