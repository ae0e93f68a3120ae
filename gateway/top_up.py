"""Raises what a task may spend, in the transaction of whoever decides so: one move for every way that leads to it."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.problems import BUDGET_EXHAUSTED, TASK_FINAL, Problem, invalid, not_found
from schema.messages.task import TaskState
from schema.tables import accounts, ledger_entries, tasks


async def top_up(
    connection: AsyncConnection, *, tenant: str, task_id: UUID, tokens: int, micro_usd: int, actor: str
) -> None:
    """Give a task `tokens` and `micro_usd` more, neither below 0; what an admitted one gets is held on the account.

    Takes the locks of the tenant's account, then of the task: the caller may hold neither the task's nor that of
    anything that is locked after it. A task that waits for its slot gets its hold where it is admitted.

    Raises:
        Problem: 404, the tenant has no such task; 409, the task is final, or the tenant's account has no room; 422,
            micro-dollars for a task that is limited in tokens only.
    """
    # The account's row is the tenant's door, as for an admission.
    account = (
        await connection.execute(select(accounts).where(accounts.c.tenant == tenant).with_for_update())
    ).one_or_none()
    task = (
        await connection.execute(
            select(tasks).where(tasks.c.task_id == task_id, tasks.c.tenant == tenant).with_for_update()
        )
    ).one_or_none()
    if account is None or task is None or task.erased_at is not None:
        raise not_found("task")
    if TaskState(task.state).final:
        raise Problem(TASK_FINAL, f"the task is {task.state}", state=task.state)
    if micro_usd and task.budget_micro_usd is None:
        raise invalid([("micro_usd", "the task is limited in tokens only")])
    if task.admitted:
        _require_room("tokens", account.limit_tokens, account.spent_tokens + account.held_tokens, tokens)
        used = account.spent_micro_usd + account.held_micro_usd
        _require_room("micro-dollars", account.limit_micro_usd, used, micro_usd)
    await _write(connection, task, tokens, micro_usd, actor)


def _require_room(unit: str, limit: int | None, used: int, more: int) -> None:
    if limit is not None and more and used + more > limit:
        left = max(0, limit - used)
        raise Problem(BUDGET_EXHAUSTED, f"the tenant has {left:,} {unit} left that no task holds; {more:,} are wanted")


async def _write(connection: AsyncConnection, task: Row[Any], tokens: int, micro_usd: int, actor: str) -> None:
    await connection.execute(
        update(tasks)
        .where(tasks.c.task_id == task.task_id)
        .values(
            budget_tokens=tasks.c.budget_tokens + tokens,
            budget_micro_usd=tasks.c.budget_micro_usd + micro_usd,
            updated_at=func.now(),
        )
    )
    held = {"held_tokens": tokens, "held_micro_usd": micro_usd} if task.admitted else {}
    if held:
        await connection.execute(
            update(accounts)
            .where(accounts.c.tenant == task.tenant)
            .values(**{name: accounts.c[name] + more for name, more in held.items()})
        )
    # The task's lock keeps the number of its top-ups as it is.
    before = (
        select(func.count())
        .select_from(ledger_entries)
        .where(ledger_entries.c.task_id == task.task_id, ledger_entries.c.kind == "top_up")
        .scalar_subquery()
    )
    # An entry says what it changed on the account: nothing yet for a task that waits.
    await connection.execute(
        insert(ledger_entries).values(
            tenant=task.tenant,
            account="tenant",
            # By the clock under the lock: later than every step that found too little (activities.letters).
            at=func.clock_timestamp(),
            task_id=task.task_id,
            kind="top_up",
            ask=before,
            actor=actor,
            **held,
        )
    )
