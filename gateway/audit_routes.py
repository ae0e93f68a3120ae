"""`GET /v1/audit…`: a tenant's audit chain, and whether it is what was written."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field
from sqlalchemy import Select, case, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.authorisation import EVERY_TENANT
from gateway.operations import answer
from gateway.services import Call
from schema.anchor import read_anchors
from schema.audit import MAX_TEXT, ListedRecord
from schema.audit_check import ChainReport, check_chain
from schema.messages.base import Message
from schema.tables import audit_records
from schema.texts import storable

MAX_SEQUENCE = 2**63 - 1

_TIMES = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
_AT = case((audit_records.c.at.between(*_TIMES), audit_records.c.at)).label("at")
"""None where no `datetime` can be made of it, as of infinity: the other records, and what it says, are shown still."""

Sought = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(storable)]


class AuditQuery(Message):
    """Which records to list. `after` is the `next_cursor` of the page before; `since` is inclusive, `until` not."""

    after: Annotated[int, Field(ge=0, le=MAX_SEQUENCE)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    order: Literal["oldest", "newest"] = "oldest"
    actor: Sought | None = None
    action: Sought | None = None
    object: Sought | None = None
    outcome: Sought | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AuditPage(Message):
    """One page of records, in the order that was asked for."""

    items: tuple[ListedRecord, ...]
    next_cursor: int | None


async def list_records(call: Call) -> Response:
    """The tenant's records. That they were read is recorded too, after they were."""
    query = call.query(AuditQuery)
    async with _connection(call) as connection:
        found = await connection.execute(_select(call.tenant, query).limit(query.limit + 1))
        rows = found.all()
    items = tuple(ListedRecord.model_construct(**row._mapping) for row in rows[: query.limit])
    return answer(AuditPage(items=items, next_cursor=items[-1].sequence if len(rows) > query.limit else None))


async def verify_records(call: Call) -> Response:
    """Recompute the tenant's chain, and hold it against the anchors that this gateway can read."""
    anchors = await asyncio.to_thread(read_anchors, call.services.settings)
    async with _connection(call) as connection:
        report: ChainReport = await check_chain(connection, call.tenant, anchors)
    return answer(report)


def _connection(call: Call) -> AbstractAsyncContextManager[AsyncConnection]:
    """The tenant's own way in; the platform's chain is nobody's, and only the service reads it."""
    database = call.services.database
    return database.service() if call.tenant == EVERY_TENANT else database.tenant(call.tenant)


def _select(tenant: str, query: AuditQuery) -> Select[tuple[object, ...]]:
    columns = audit_records.c
    wanted = select(*(_AT if column.name == "at" else column for column in columns)).where(columns.tenant == tenant)
    for name in ("actor", "action", "object", "outcome"):
        value = getattr(query, name)
        if value is not None:
            wanted = wanted.where(columns[name] == value)
    if query.since is not None:
        wanted = wanted.where(columns.at >= query.since)
    if query.until is not None:
        wanted = wanted.where(columns.at < query.until)
    newest = query.order == "newest"
    if query.after is not None:
        wanted = wanted.where(columns.sequence < query.after if newest else columns.sequence > query.after)
    return wanted.order_by(columns.sequence.desc() if newest else columns.sequence)
