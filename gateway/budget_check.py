"""Whether a tenant's ledger agrees with itself: entries, accounts, tasks and calls, all in one statement.

One statement sees one snapshot, and every move of the ledger is one transaction: what is under way is no finding.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    CompoundSelect,
    Numeric,
    Select,
    Uuid,
    and_,
    case,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.messages.base import Message
from schema.messages.task import FINAL_STATES
from schema.tables import accounts, ledger_entries, model_calls, tasks

AT_MOST = 100
"""Findings of one sort; more of them would say nothing new."""
LONGEST_CALL = timedelta(hours=1)
"""No call takes as long: whoever sent it is gone."""

COLUMNS = ("held_tokens", "spent_tokens", "held_micro_usd", "spent_micro_usd")

Kind = Literal["sum", "hold", "drift", "overrun"]

_ENTRIES = "entries"
_SORTS: dict[str, tuple[Kind, str]] = {
    **{f"tenant {name}": ("sum", f"the account has {name} {{0:,}}, its entries come to {{1:,}}") for name in COLUMNS},
    **{f"task {name}": ("sum", f"the task has {name} {{0:,}}, its entries come to {{1:,}}") for name in COLUMNS},
    "stray": ("sum", "{0:,} entries are of a task that the tenant does not have"),
    "final sent": ("hold", "the task has ended, and {0:,} of its calls count as sent"),
    "final held": ("hold", "the task has ended, and still holds {0:,} tokens and {1:,} micro-dollars"),
    "final admitted": ("hold", "the task has ended, and still has its slot"),
    "not admitted": ("hold", "the task has no slot, and {0:,} tokens and {1:,} micro-dollars of the account are held"),
    "stale": ("hold", "{0:,} calls were sent more than an hour ago and have no end"),
    "calls held_tokens": ("hold", "the task holds {0:,} tokens, its calls under way {1:,}"),
    "calls held_micro_usd": ("hold", "the task holds {0:,} micro-dollars, its calls under way {1:,}"),
    "slots": ("hold", "{0:,} slots are taken, {1:,} tasks have one"),
    "spent tokens": ("drift", "the account has spent {0:,} tokens, its tasks were charged {1:,}"),
    "spent micro_usd": ("drift", "the account has spent {0:,} micro-dollars, its tasks were charged {1:,}"),
    "closed tokens": ("drift", "the task was charged {0:,} tokens, its entries on the account come to {1:,}"),
    "closed micro_usd": ("drift", "the task was charged {0:,} micro-dollars, its entries on the account come to {1:,}"),
    "final tokens": ("drift", "the task has ended with {0:,} tokens spent and {1:,} charged"),
    "final micro_usd": ("drift", "the task has ended with {0:,} micro-dollars spent and {1:,} charged"),
    "overrun": ("overrun", "calls used {0:,} tokens and {1:,} micro-dollars more than they held"),
}


class BudgetFinding(Message):
    """What does not agree; of the tenant's account where there is no task. An overrun is told, and is no fault."""

    kind: Kind
    task_id: UUID | None
    message: str


class BudgetCheck(Message):
    """What came of checking a tenant's ledger.

    Attributes:
        entries: how many there are.
        findings: at most 100 of each sort.
    """

    tenant: str
    ok: bool
    entries: int
    findings: tuple[BudgetFinding, ...]


async def check_account(connection: AsyncConnection, tenant: str) -> BudgetCheck:
    """Hold the columns of a tenant's account and of its tasks against their entries and their calls."""
    entries, findings = 0, []
    for row in await connection.execute(_statement(tenant)):
        if row.sort == _ENTRIES:
            entries = int(row.first)
            continue
        kind, message = _SORTS[row.sort]
        told = message.format(int(row.first), int(row.second))
        findings.append(BudgetFinding(kind=kind, task_id=row.task_id, message=told))
    faults = [finding for finding in findings if finding.kind != "overrun"]
    return BudgetCheck(tenant=tenant, ok=not faults, entries=entries, findings=tuple(findings))


def _statement(tenant: str) -> CompoundSelect[Any]:
    """Rows of a sort with the task and the two numbers that its message tells."""
    count = select(func.count()).select_from(ledger_entries).where(ledger_entries.c.tenant == tenant).scalar_subquery()
    parts = [_row(_ENTRIES, None, count, 0), *_account_faults(tenant), *_task_faults(tenant), *_call_faults(tenant)]
    return union_all(*(select(part.limit(AT_MOST).subquery()) for part in parts))


def _account_faults(tenant: str) -> Iterator[Select[Any]]:
    """What is wrong with the tenant's account."""
    entry, task = ledger_entries.c, tasks.c

    def column(name: str) -> ColumnElement[Any]:
        found = select(accounts.c[name]).where(accounts.c.tenant == tenant).scalar_subquery()
        return func.coalesce(found, 0)

    def total(summed: ColumnElement[Any], *where: ColumnElement[bool]) -> ColumnElement[Any]:
        return select(func.coalesce(func.sum(summed), 0)).where(*where).scalar_subquery()

    for name in COLUMNS:
        sums = total(entry[name], entry.tenant == tenant, entry.account == "tenant")
        yield _differing(f"tenant {name}", None, column(name), sums)
    admitted = total(case((task.admitted, 1), else_=0), task.tenant == tenant)
    yield _differing("slots", None, column("slots_used"), admitted)
    for unit in ("tokens", "micro_usd"):
        charged = total(task[f"charged_{unit}"], task.tenant == tenant)
        yield _differing(f"spent {unit}", None, column(f"spent_{unit}"), charged)


def _task_faults(tenant: str) -> Iterator[Select[Any]]:
    """What is wrong with the account of a task, and with what it has of the tenant's."""
    task, own, on_tenant = tasks.c, _sums(tenant, "task"), _sums(tenant, "tenant")
    mine, final = task.tenant == tenant, task.state.in_([state.value for state in FINAL_STATES])
    for name in COLUMNS:
        faults = _differing(f"task {name}", task.task_id, task[name], func.coalesce(own.c[name], 0))
        yield faults.select_from(tasks.outerjoin(own, own.c.task_id == task.task_id)).where(mine)
    for unit in ("tokens", "micro_usd"):
        entered = func.coalesce(on_tenant.c[f"spent_{unit}"], 0)
        faults = _differing(f"closed {unit}", task.task_id, task[f"charged_{unit}"], entered)
        yield faults.select_from(tasks.outerjoin(on_tenant, on_tenant.c.task_id == task.task_id)).where(mine)
        spent, charged = task[f"spent_{unit}"], task[f"charged_{unit}"]
        yield _differing(f"final {unit}", task.task_id, spent, charged).where(mine, final)
    held = _holds(task)
    yield _row("final held", task.task_id, task.held_tokens, task.held_micro_usd).where(mine, final, held)
    yield _row("final admitted", task.task_id).where(mine, final, task.admitted)
    left = _row("not admitted", task.task_id, on_tenant.c.held_tokens, on_tenant.c.held_micro_usd)
    joined = left.select_from(tasks.join(on_tenant, on_tenant.c.task_id == task.task_id))
    yield joined.where(mine, ~task.admitted, _holds(on_tenant.c))


def _call_faults(tenant: str) -> Iterator[Select[Any]]:
    """What is wrong with calls, and the entries that belong to nothing; overruns."""
    task, call, entry = tasks.c, model_calls.c, ledger_entries.c
    sent, count = and_(call.tenant == tenant, call.state == "sent"), func.count()
    final = task.state.in_([state.value for state in FINAL_STATES])
    of_final = _row("final sent", call.task_id, count).join(tasks, task.task_id == call.task_id)
    yield of_final.where(sent, final).group_by(call.task_id)
    stale = call.sent_at < func.now() - LONGEST_CALL
    yield _row("stale", call.task_id, count).where(sent, stale).group_by(call.task_id)
    open_calls = _open_calls(tenant)
    for name in ("held_tokens", "held_micro_usd"):
        faults = _differing(f"calls {name}", task.task_id, task[name], func.coalesce(open_calls.c[name], 0))
        joined = faults.select_from(tasks.outerjoin(open_calls, open_calls.c.task_id == task.task_id))
        yield joined.where(task.tenant == tenant)
    mine = exists().where(task.task_id == entry.task_id, task.tenant == tenant)
    yield _row("stray", entry.task_id, count).where(entry.tenant == tenant, ~mine).group_by(entry.task_id)
    over = _row("overrun", entry.task_id, func.sum(entry.spent_tokens), func.sum(entry.spent_micro_usd))
    yield over.where(entry.tenant == tenant, entry.kind == "overrun").group_by(entry.task_id)


def _sums(tenant: str, account: str) -> CTE:
    """The columns that the entries of each task make, on its own account or on the tenant's."""
    entry = ledger_entries.c
    sums = (func.sum(entry[name]).label(name) for name in COLUMNS)
    mine = select(entry.task_id, *sums).where(entry.tenant == tenant, entry.account == account)
    return mine.group_by(entry.task_id).cte(f"{account}_sums")


def _open_calls(tenant: str) -> CTE:
    """What the calls under way of each task were reserved."""
    call = model_calls.c
    tokens = func.sum(call.reserved_tokens).label("held_tokens")
    micro_usd = func.sum(func.coalesce(call.reserved_micro_usd, 0)).label("held_micro_usd")
    mine = select(call.task_id, tokens, micro_usd).where(call.tenant == tenant, call.state == "sent")
    return mine.group_by(call.task_id).cte("open_calls")


def _holds(columns: Any) -> ColumnElement[bool]:
    return or_(columns.held_tokens != 0, columns.held_micro_usd != 0)


def _differing(
    sort: str, task_id: ColumnElement[Any] | None, found: ColumnElement[Any], expected: ColumnElement[Any]
) -> Select[Any]:
    return _row(sort, task_id, found, expected).where(found != expected)


def _row(sort: str, task_id: ColumnElement[Any] | None, first: Any = 0, second: Any = 0) -> Select[Any]:
    return select(
        literal(sort).label("sort"),
        cast(null() if task_id is None else task_id, Uuid).label("task_id"),
        cast(first, Numeric).label("first"),
        cast(second, Numeric).label("second"),
    )
