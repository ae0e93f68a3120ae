"""Sees erasures through: what was asked for and interrupted, what Temporal still has, and what has become too old."""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy import exists, func, select, text, update
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.histories import forget_run, forget_task, forget_tenant
from schema.messages.task import FINAL_STATES
from schema.tables import erasures, tasks, text_uses

if TYPE_CHECKING:
    from schema.database import Database

ACTOR = "golden retention"
TASK_ERASED = "tasks.erase"
RUN_ERASED = "sandbox.erase"
BATCH = 100
"""Old tasks that one pass erases, as many runs of programs, and as many erasures that it sees through: what else
`Reconcile` does waits for them."""

log = structlog.get_logger()

_ERASE_RUN = text("SELECT erase_run(:tenant, :run)")


class Erasures:
    """One pass over what is to be erased. All of it may be repeated, and is, wherever it was interrupted."""

    def __init__(self, database: "Database", client: Client, retention_days: int | None = None) -> None:
        """`retention_days`: final tasks older than this are erased; None keeps them for ever."""
        self._database = database
        self._client = client
        self._days = retention_days

    async def go_on(self, beat: Callable[[], None] = lambda: None) -> int:
        """Erase what is too old, and complete what was begun; returns how many erasures came to their end."""
        if self._days is not None:
            await self._erase_old_tasks(self._days, beat)
            await self._erase_old_runs(self._days, beat)
        completed = 0
        async for erasure in self._unfinished():
            beat()
            try:
                completed += await self._complete(erasure)
            except RPCError as error:
                if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED):
                    raise
                # One that Temporal refuses must not be in the way of all others.
                log.error("an erasure can't be completed", erasure=str(erasure.id), status=error.status.name)
        return completed

    async def _complete(self, erasure: Any) -> bool:
        """Nothing more is done for an erasure once a pass finds nothing of it, neither in Temporal nor here."""
        if erasure.task_id is None:
            found, clean = await forget_tenant(self._client, erasure.tenant, erasure.erased_at), True
        else:
            found = await forget_task(self._client, erasure.task_id)
            clean = await self._erase(erasure.tenant, erasure.task_id, erasure.asked_by)
        if found or not clean:
            return False
        async with self._database.service() as connection:
            done = update(erasures).where(erasures.c.id == erasure.id).values(completed_at=func.now())
            await connection.execute(done)
        return True

    async def _erase(self, tenant: str, task_id: UUID, by: str) -> bool:
        from activities.erasure import erase_task

        async with self._database.tenant(tenant) as connection:
            return await erase_task(connection, tenant, task_id, by)

    async def _unfinished(self) -> AsyncIterator[Any]:
        columns = (erasures.c.id, erasures.c.tenant, erasures.c.task_id, erasures.c.asked_by, erasures.c.erased_at)
        # Some wait for days for a proposal to be settled: nobody is always behind them.
        wanted = select(*columns).where(erasures.c.completed_at.is_(None)).order_by(func.random()).limit(BATCH)
        async with self._database.service() as connection:
            rows = (await connection.execute(wanted)).all()
        for row in rows:
            yield row

    async def _erase_old_tasks(self, days: int, beat: Callable[[], None]) -> None:
        """The row of an erasure, in the transaction that erases, is what `_complete` goes on from."""
        from activities.erasure import erase_task
        from schema.audit import AuditRecord, append

        old = (
            select(tasks.c.task_id, tasks.c.tenant)
            .where(
                tasks.c.erased_at.is_(None),
                tasks.c.state.in_([state.value for state in FINAL_STATES]),
                tasks.c.updated_at < func.now() - func.make_interval(0, 0, 0, days),
            )
            .order_by(tasks.c.updated_at)
            .limit(BATCH)
        )
        async with self._database.service() as connection:
            rows = (await connection.execute(old)).all()
        reason = f"older than {days} days"
        for row in rows:
            beat()
            async with self._database.tenant(row.tenant) as connection:
                await erase_task(connection, row.tenant, row.task_id, ACTOR)
                record = AuditRecord(
                    actor=ACTOR, action=TASK_ERASED, object=str(row.task_id), outcome="allowed", reason=reason
                )
                await append(connection, row.tenant, [record])
        if rows:
            log.info("old tasks were erased", count=len(rows), days=days)

    async def _erase_old_runs(self, days: int, beat: Callable[[], None]) -> None:
        """Programs that were run by themselves. Temporal forgets first: their uses are what is gone on from."""
        from schema.audit import AuditRecord, append

        uses = text_uses.c
        old = (
            select(uses.tenant, uses.used_by)
            .where(uses.of_run, uses.at < func.now() - func.make_interval(0, 0, 0, days))
            .where(~exists().where(tasks.c.task_id == uses.used_by))
            .distinct()
            .limit(BATCH)
        )
        async with self._database.service() as connection:
            rows = (await connection.execute(old)).all()
        for row in rows:
            beat()
            await forget_run(self._client, row.used_by)
            async with self._database.tenant(row.tenant) as connection:
                await connection.execute(_ERASE_RUN, {"tenant": row.tenant, "run": row.used_by})
                record = AuditRecord(
                    actor=ACTOR,
                    action=RUN_ERASED,
                    object=str(row.used_by),
                    outcome="allowed",
                    reason=f"older than {days} days",
                )
                await append(connection, row.tenant, [record])
