"""`/v1/budgets/{tenant}`: a tenant's account, its limits, the entries behind it, and whether they agree."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, field_validator
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.audit import record_act
from gateway.budget_check import check_account
from gateway.operations import answer
from gateway.problems import invalid, not_found
from gateway.services import Call
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.tables import accounts, ledger_entries

MOST = 2**53
"""The largest amount: up to here every reader of JSON has the same number."""
MOST_SLOTS = 1_000_000

Amount = Annotated[int, Field(ge=0, le=MOST)]
EntryKind = Literal[
    "admit", "top_up", "close", "reserve", "sent", "settle", "uncertain", "overrun", "release", "expire"
]


class BudgetView(Message):
    """A tenant's account: tokens, millionths of a dollar, and tasks that may run at a time. None is no limit."""

    tenant: str
    limit_tokens: int | None = None
    spent_tokens: int = 0
    held_tokens: int = 0
    limit_micro_usd: int | None = None
    spent_micro_usd: int = 0
    held_micro_usd: int = 0
    slots: int
    slots_used: int = 0


class BudgetLimits(Message):
    """New limits of an account. What is left out stays as it is; null is no limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    limit_tokens: Amount | None = None
    limit_micro_usd: Amount | None = None
    slots: Annotated[int, Field(ge=0, le=MOST_SLOTS)] | None = None

    @field_validator("slots")
    @classmethod
    def _is_counted(cls, slots: int | None) -> int:
        if slots is None:
            raise ValueError("must be a whole number: slots are always counted")
        return slots


class EntryView(Message):
    """One entry: what it added to each column of the account that it is on, or took away."""

    id: int
    at: datetime
    account: Literal["tenant", "task"]
    task_id: UUID
    step: str
    epoch: int
    ask: int
    dispatch: int
    kind: EntryKind
    held_tokens: int
    spent_tokens: int
    held_micro_usd: int
    spent_micro_usd: int
    actor: str | None


class EntryQuery(Message):
    """Which entries to list. `cursor` is the `next_cursor` of the page before."""

    task: UUID | None = None
    kind: EntryKind | None = None
    cursor: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class EntryPage(Message):
    """One page of entries, newest first."""

    items: tuple[EntryView, ...]
    next_cursor: int | None


async def show_budget(call: Call) -> Response:
    """The account, or what it will be once the tenant's first task makes it."""
    tenant = _tenant(call)
    async with call.services.database.tenant(tenant) as connection:
        row = (await connection.execute(select(accounts).where(accounts.c.tenant == tenant))).one_or_none()
    slots = call.services.settings.tenant_slots
    return answer(BudgetView(tenant=tenant, slots=slots) if row is None else _view(row))


async def set_budget(call: Call) -> Response:
    """Set limits. Below what is spent and held, what runs goes on and nothing new starts."""
    tenant = _tenant(call)
    given = call.body(BudgetLimits).model_dump(exclude_unset=True)
    made = insert(accounts).values({"tenant": tenant, "slots": call.services.settings.tenant_slots, **given})
    changed = made.on_conflict_do_update(index_elements=["tenant"], set_={"slots": accounts.c.slots, **given})
    async with call.services.database.tenant(tenant) as connection:
        row = (await connection.execute(changed.returning(*accounts.c))).one()
        await record_act(connection, call, object=tenant, digest=payload_digest(given))
    return answer(_view(row))


async def list_entries(call: Call) -> Response:
    """The entries of the tenant and its tasks, newest first."""
    tenant, query, entry = _tenant(call), call.query(EntryQuery), ledger_entries.c
    wanted = select(*(entry[name] for name in EntryView.model_fields)).where(entry.tenant == tenant)
    if query.task is not None:
        wanted = wanted.where(entry.task_id == query.task)
    if query.kind is not None:
        wanted = wanted.where(entry.kind == query.kind)
    async with call.services.database.tenant(tenant) as connection:
        if query.cursor is not None:
            await _check_cursor(connection, tenant, query.cursor)
            wanted = wanted.where(entry.id < query.cursor)
        rows = (await connection.execute(wanted.order_by(entry.id.desc()).limit(query.limit + 1))).all()
    items = tuple(EntryView.model_construct(**row._mapping) for row in rows[: query.limit])
    return answer(EntryPage(items=items, next_cursor=items[-1].id if len(rows) > query.limit else None))


async def check_budget(call: Call) -> Response:
    """Whether the entries, the accounts, the tasks and their calls say the same."""
    tenant = _tenant(call)
    async with call.services.database.tenant(tenant) as connection:
        return answer(await check_account(connection, tenant))


def _tenant(call: Call) -> str:
    """The tenant that the path names, which must be the one that the principal speaks for: else 404."""
    if call.request.path_params["tenant"] != call.tenant:
        raise not_found("budget")
    return call.tenant


def _view(row: Row[Any]) -> BudgetView:
    return BudgetView.model_validate(dict(row._mapping))


async def _check_cursor(connection: AsyncConnection, tenant: str, cursor: int) -> None:
    # Of the tenant's own, as in every list: another number would be a guess at what others do.
    mine = select(ledger_entries.c.id).where(ledger_entries.c.id == cursor, ledger_entries.c.tenant == tenant)
    if await connection.scalar(mine) is None:
        raise invalid([("cursor", "must be the next_cursor of another page")])
