"""The accounts of tenants: slots and holds, given in order of arrival, given back with what was spent.

Locks are taken in one order everywhere: the tenant's account, then the task, then its calls and letters.
"""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.database import Database
from schema.errors import PriceUnknown, TaskGone
from schema.messages.steps import AgentTaskInput
from schema.messages.task import FINAL_STATES, TaskState
from schema.story import move
from schema.tables import accounts, ledger_entries, tasks

AT_ONCE = 50
"""So many waiting tasks are looked at when room comes back; whoever looks next goes on."""

WorstPrice = Callable[[int], int | None]
"""Micro-dollars that so many tokens cost at most; None where a model has no price."""


class Accounts:
    """Takes slots and holds budgets, and gives them back."""

    def __init__(self, database: Database, worst_price: WorstPrice) -> None:
        self.database = database
        self._worst_price = worst_price

    async def admit(self, task: AgentTaskInput) -> int:
        """Take a slot and hold the task's budget: 0. Else it is queued, and this is its place.

        Raises:
            PriceUnknown: the tenant's money is limited, and a model has no price.
            TaskGone: the task is unknown, final, or was cancelled while it waited.
        """
        async with self.database.tenant(task.tenant) as connection:
            account = await lock_account(connection, task.tenant)
            row = (
                await connection.execute(select(tasks).where(tasks.c.task_id == task.task_id).with_for_update())
            ).one_or_none()
            if row is None or TaskState(row.state) in FINAL_STATES or row.cancel_requested_by is not None:
                raise TaskGone("the task is unknown, final or cancelled")
            # An escalated one has no work left: it waits for a person, and needs no slot for that.
            if row.admitted or row.state == TaskState.ESCALATED.value:
                return 0
            if account.limit_micro_usd is not None and self._worst_price(row.budget_tokens) is None:
                raise PriceUnknown("money is limited and a model of the routes has no price")
            earlier = await _waiting_before(connection, row.arrival)
            if not earlier and await self._hold(connection, account, row):
                return 0
            reason = _why_queued(account, row, earlier)
            await move(connection, task.task_id, task.tenant, TaskState.QUEUED, reason)
            await self._admit_waiting(connection, task.tenant)
            admitted = await connection.scalar(select(tasks.c.admitted).where(tasks.c.task_id == task.task_id))
            return 0 if admitted else earlier + 1

    async def give_back(self, connection: AsyncConnection, task_id: UUID) -> None:
        """A task's slot and hold, if it has them, back to its tenant's account, and what it newly spent onto it.

        Whoever waits is admitted at once, in order, so that no slot waits for its next holder to look. The caller
        has locked the account.
        """
        row = (await connection.execute(select(tasks).where(tasks.c.task_id == task_id).with_for_update())).one()
        held_tokens, held_micro_usd = await _held(connection, task_id)
        entry = {
            "held_tokens": -held_tokens,
            "spent_tokens": row.spent_tokens - row.charged_tokens,
            "held_micro_usd": -held_micro_usd,
            "spent_micro_usd": row.spent_micro_usd - row.charged_micro_usd,
        }
        if not row.admitted and not any(entry.values()):
            return
        await _book(connection, row, "close", entry, slots=-int(row.admitted))
        await connection.execute(
            update(tasks)
            .where(tasks.c.task_id == task_id)
            .values(admitted=False, charged_tokens=row.spent_tokens, charged_micro_usd=row.spent_micro_usd)
        )
        await self._admit_waiting(connection, row.tenant)

    async def _admit_waiting(self, connection: AsyncConnection, tenant: str) -> None:
        """Give what room there is to those who wait, strictly in order of arrival."""
        waiting = await connection.execute(
            select(tasks)
            .where(
                tasks.c.tenant == tenant,
                tasks.c.state == TaskState.QUEUED.value,
                tasks.c.admitted.is_(False),
                tasks.c.cancel_requested_by.is_(None),
            )
            .order_by(tasks.c.arrival)
            .limit(AT_ONCE)
            .with_for_update()
        )
        for row in waiting.all():
            if not await self._hold(connection, await lock_account(connection, tenant), row):
                return

    async def _hold(self, connection: AsyncConnection, account: Any, row: Any) -> bool:
        """A slot and the worst of the task, if there is room for both."""
        worst = None
        if account.limit_micro_usd is not None:
            # A top-up of money stays: it is more than the tokens' worst price.
            worst = self._worst_price(row.budget_tokens)
            if worst is None:
                return False
            worst = max(worst, row.budget_micro_usd or 0)
        # One that was admitted before has been charged for a part of its budget, which must not count twice.
        tokens = max(0, row.budget_tokens - row.charged_tokens)
        micro_usd = max(0, (worst or 0) - row.charged_micro_usd)
        room = account.slots_used < account.slots and all(
            limit is None or spent + held + more <= limit
            for limit, spent, held, more in (
                (account.limit_tokens, account.spent_tokens, account.held_tokens, tokens),
                (account.limit_micro_usd, account.spent_micro_usd, account.held_micro_usd, micro_usd),
            )
        )
        if not room:
            return False
        await connection.execute(
            update(tasks)
            .where(tasks.c.task_id == row.task_id)
            .values(admitted=True, admissions=tasks.c.admissions + 1, budget_micro_usd=worst)
        )
        await _book(connection, row, "admit", {"held_tokens": tokens, "held_micro_usd": micro_usd}, slots=1)
        return True


def _why_queued(account: Any, row: Any, earlier: int) -> str:
    """What a task waits for, in words for whoever sent it; it may wait for more by and by."""
    if earlier:
        return f"{earlier} earlier {'task' if earlier == 1 else 'tasks'} of the tenant wait for room"
    if account.slots_used >= account.slots:
        return f"all {account.slots} slots of the tenant are taken"
    needed = row.budget_tokens - row.charged_tokens
    if account.limit_tokens is not None:
        left = account.limit_tokens - account.spent_tokens - account.held_tokens
        if needed > left:
            return f"it may need {needed:,} tokens, and the tenant has {left:,} of {account.limit_tokens:,} left"
    return "the tenant's money has no room for the worst that it may cost"


async def lock_account(connection: AsyncConnection, tenant: str) -> Any:
    """The tenant's account. Its row is the tenant's door: whoever holds its lock is the only one to look."""
    found = await connection.execute(select(accounts).where(accounts.c.tenant == tenant).with_for_update())
    return found.one()


async def _held(connection: AsyncConnection, task_id: UUID) -> tuple[int, int]:
    """Tokens and micro-dollars that a task holds of its tenant's account: what its entries there come to."""
    entry = ledger_entries.c
    sums = [func.coalesce(func.sum(column), 0) for column in (entry.held_tokens, entry.held_micro_usd)]
    # Entries on the tenant's account are of no step.
    mine = (entry.task_id == task_id, entry.step == "", entry.account == "tenant")
    tokens, micro_usd = (await connection.execute(select(*sums).where(*mine))).one()
    return int(tokens), int(micro_usd)


async def _waiting_before(connection: AsyncConnection, arrival: int) -> int:
    return int(
        await connection.scalar(
            select(func.count())
            .select_from(tasks)
            .where(
                tasks.c.state == TaskState.QUEUED.value,
                tasks.c.admitted.is_(False),
                tasks.c.cancel_requested_by.is_(None),
                tasks.c.arrival < arrival,
            )
        )
        or 0
    )


async def _book(connection: AsyncConnection, row: Any, kind: str, entry: dict[str, int], *, slots: int) -> None:
    """Change the tenant's account, and write down by how much."""
    changed = {name: getattr(accounts.c, name) + value for name, value in entry.items()}
    await connection.execute(
        update(accounts)
        .where(accounts.c.tenant == row.tenant)
        .values(slots_used=accounts.c.slots_used + slots, **changed)
    )
    before = (
        select(func.count())
        .select_from(ledger_entries)
        .where(ledger_entries.c.task_id == row.task_id, ledger_entries.c.kind == kind)
        .scalar_subquery()
    )
    await connection.execute(
        insert(ledger_entries).values(
            tenant=row.tenant, account="tenant", task_id=row.task_id, kind=kind, ask=before, **entry
        )
    )
