"""The dear numbers of the fleet: whether ledgers add up and audit chains verify. Slow, and never more than a share.

Each round goes on where the one before ended, and stops when its time is spent; a pause follows that is a multiple of
what it took. So the cost is bounded however large the tables are, and only the age of the answer grows.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.board import Board
from gateway.budget_check import check_account
from schema import metrics
from schema.anchor import Anchors, read_anchors
from schema.audit import ChainedRecord, recompute
from schema.audit_check import ChainReport, check_chain
from schema.database import Database
from schema.settings import Settings
from schema.tables import accounts, audit_heads, audit_records

ROUND_SECONDS = 6.0
"""After which a round begins nothing more."""
WHOLE_SECONDS = 6 * 3_600.0
"""After which a chain is verified from its first record again: in between only what was appended is."""
LAST_SECONDS = 3.0
"""That a verification may go on when the process is told to stop."""
MOST_NEW = 5_000
"""Records that a chain's end is followed by in one round; where there are more it is verified as a whole."""


class Rotation:
    """Goes round names, the one that was looked at longest ago first, a share of time at once."""

    def __init__(self, seconds: float = ROUND_SECONDS) -> None:
        self._seconds = seconds
        self.looked: dict[str, float] = {}

    async def turn(self, names: Iterable[str], look: Callable[[str], Awaitable[None]]) -> bool:
        """Look at as many as there is time for, at one at least; whether it was all of them."""
        began = time.monotonic()
        due = sorted(names, key=lambda name: self.looked.get(name, 0.0))
        for name in due:
            if self.looked and time.monotonic() - began > self._seconds:
                return False
            await look(name)
            self.looked[name] = time.monotonic()
        return True


class LedgerChecks:
    """Holds the account of each tenant against its entries, as `golden budget check` does."""

    def __init__(self, database: Database, board: Board) -> None:
        self._database = database
        self._board = board
        self._rotation = Rotation()
        self._faulty: set[str] = set()

    async def read(self) -> None:
        """One round; the number is of what was last found of every account."""
        async with self._database.statement() as connection:
            tenants = set((await connection.execute(select(accounts.c.tenant))).scalars())
        await self._rotation.turn(tenants, self._check)
        self._faulty &= tenants
        self._board.show(metrics.LEDGER_DRIFT, len(self._faulty))

    async def _check(self, tenant: str) -> None:
        async with self._database.tenant(tenant) as connection:
            checked = await check_account(connection, tenant)
        (self._faulty.discard if checked.ok else self._faulty.add)(tenant)


@dataclass
class Verified:
    """How far a chain was found to be as it was written, and when all of it was."""

    sequence: int
    hash: str
    whole_at: float


class AuditChecks:
    """Verifies the chains: each as a whole now and then, in between what was appended behind the last good record."""

    def __init__(self, settings: Settings, database: Database, board: Board) -> None:
        self._settings = settings
        self._database = database
        self._board = board
        self._rotation = Rotation()
        self._chains: dict[str, Verified] = {}
        self._broken: set[str] = set()

    async def read(self) -> None:
        """One round. What it is at is shown as soon as it is known; when it was all of them, so is the time."""
        async with self._database.statement() as connection:
            rows = await connection.execute(select(audit_heads.c.tenant, audit_heads.c.sequence))
            heads = {tenant: sequence for tenant, sequence in rows if tenant is not None}
            named = sorted({*heads, *self._chains, *self._broken})
            whole = [tenant for tenant in named if not await self._followed(connection, tenant, heads.get(tenant))]
        # Once a round, since the whole file is read; none is needed where only the ends of chains were followed.
        anchors = await asyncio.to_thread(read_anchors, self._settings) if whole else None

        async def verify(tenant: str) -> None:
            if anchors is not None:
                await self._verify(tenant, anchors)

        done = await self._rotation.turn(whole, verify)
        self._board.show(metrics.AUDIT_CHAINS_BROKEN, len(self._broken))
        if done:
            self._board.show(metrics.AUDIT_VERIFIED_AT, time.time())

    async def _verify(self, tenant: str, anchors: Anchors) -> None:
        checking = asyncio.create_task(self._report(tenant, anchors))
        try:
            report = await asyncio.shield(checking)
        except asyncio.CancelledError:
            # A cursor that is left in the middle is left open: a little time to come to its end.
            await asyncio.wait([checking], timeout=LAST_SECONDS)
            raise
        # Where a process can't see the anchors, as in a pod of its own, a chain is verified by itself.
        faults = [each for each in report.findings if anchors.present or each.kind != "anchors"]
        if faults:
            self._broken.add(tenant)
            self._chains.pop(tenant, None)
        else:
            self._broken.discard(tenant)
            self._chains[tenant] = Verified(report.records, report.hash, time.monotonic())

    async def _report(self, tenant: str, anchors: Anchors) -> ChainReport:
        async with self._database.service() as connection:
            return await check_chain(connection, tenant, anchors)

    async def _followed(self, connection: AsyncConnection, tenant: str, head: int | None) -> bool:
        """Whether a chain's end could be followed from its last good record; else all of it has to be looked at."""
        known = self._chains.get(tenant)
        if known is None or time.monotonic() - known.whole_at > WHOLE_SECONDS:
            return False
        records = audit_records.c
        wanted = select(audit_records).where(records.tenant == tenant, records.sequence >= max(known.sequence, 1))
        rows = (await connection.execute(wanted.order_by(records.sequence).limit(MOST_NEW))).all()
        if not known.sequence:
            return not rows and not head
        if not rows or rows[0].sequence != known.sequence or rows[0].hash != known.hash:
            return False
        for row in rows[1:]:
            if row.sequence != known.sequence + 1 or row.hash != _hash_of(row, known.hash):
                return False
            known.sequence, known.hash = row.sequence, row.hash
        return head is not None and head <= known.sequence


def _hash_of(row: Row[tuple[object, ...]], previous: str) -> str | None:
    """What a record's hash has to be after `previous`; None where it holds what is never written."""
    if row.previous != previous:
        return None
    try:
        return recompute(ChainedRecord.model_construct(**row._mapping), previous)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None
