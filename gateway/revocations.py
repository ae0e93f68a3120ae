"""Which tokens are revoked: held in memory by every gateway, read again at each notification and every few seconds.

Fails closed: where the revocations could not be read for `STALE_SECONDS`, no token is believed.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from sqlalchemy import Row, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.authorisation import Principal
from gateway.problems import DATABASE_UNAVAILABLE, RETRY_SECONDS, Problem, is_database_failure
from gateway.token_keys import Clock
from gateway.token_reader import LEEWAY_SECONDS, LONGEST_LIFE_SECONDS
from schema.database import Database
from schema.tables import revocations

CHANNEL = b"golden_revocations"
POLL_SECONDS = 3.0
"""A notification may be lost with its connection; this is how late a gateway may then be."""
STALE_SECONDS = 30.0
READ_SECONDS = 10.0
RECONNECT_SECONDS = 1.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Snapshot:
    """All that are in force: token ids, and the time before which tokens are revoked, by subject and for all."""

    version: tuple[int, int] = (0, 0)
    tokens: frozenset[tuple[str, str]] = frozenset()
    subjects: dict[tuple[str, str], float] = field(default_factory=dict)
    tenants: dict[str, float] = field(default_factory=dict)


class Revocations:
    """What this gateway knows of revoked tokens."""

    def __init__(self, database: Database, conninfo: str, clock: Clock = time.monotonic) -> None:
        self._database = database
        self._conninfo = conninfo
        self._clock = clock
        self._snapshot = _Snapshot()
        self._read_at: float | None = None
        self._reading = asyncio.Lock()
        self._changed: list[Callable[[], None]] = []

    def on_change(self, told: Callable[[], None]) -> None:
        """Call `told` whenever more is revoked."""
        self._changed.append(told)

    @property
    def current(self) -> bool:
        """Whether they were read not too long ago."""
        return self._read_at is not None and self._clock() - self._read_at <= STALE_SECONDS

    def cover(self, principal: Principal) -> bool:
        """Whether the token of this principal is revoked, by its id, its subject or the time of its issue."""
        known, tenant = self._snapshot, principal.tenant
        before = max(known.subjects.get((tenant, principal.sub), 0), known.tenants.get(tenant, 0))
        return principal.issued_at < before or (tenant, principal.jti) in known.tokens

    async def require_current(self) -> None:
        """Read them where that is too long ago.

        Raises:
            Problem: 503, they can't be read: to trust an old state would let a revoked token in.
        """
        if self.current:
            return
        try:
            async with self._reading:
                if not self.current:
                    await self._read()
        except Exception as error:
            if not isinstance(error, TimeoutError) and not is_database_failure(error):
                raise
            headers = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem(DATABASE_UNAVAILABLE, "whether the token is revoked is not known", headers=headers) from error

    async def refresh(self) -> None:
        """Read what is new."""
        async with self._reading:
            await self._read()

    async def run(self) -> None:
        """Listen and read until cancelled; connect again for as long as it takes."""
        while True:
            try:
                await self._listen()
            except Exception as error:
                if not isinstance(error, TimeoutError | psycopg.Error) and not is_database_failure(error):
                    raise
                log.warning("revocations could not be read", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(b"LISTEN " + CHANNEL)
            while True:
                # What was told while nobody listened is found by this.
                await self.refresh()
                async with contextlib.aclosing(connection.notifies(timeout=POLL_SECONDS, stop_after=1)) as told:
                    async for _ in told:
                        pass

    async def _read(self) -> None:
        asked_at = self._clock()
        async with asyncio.timeout(READ_SECONDS), self._database.service() as connection:
            found = await connection.execute(select(func.count(), func.coalesce(func.max(revocations.c.id), 0)))
            count, newest = found.one()
            version = (int(count), int(newest))
            # Rows are never changed; a late one with a small id still adds to their number.
            changed = version != self._snapshot.version
            if changed:
                self._snapshot = _made_of(await _rows(connection), version)
        self._read_at = asked_at
        if changed:
            for told in self._changed:
                told()


async def _rows(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Those that may still stop a token: none lives longer."""
    longest = text(f"interval '{LONGEST_LIFE_SECONDS + 2 * LEEWAY_SECONDS} seconds'")
    columns = revocations.c
    found = await connection.execute(
        select(columns.tenant, columns.jti, columns.sub, func.extract("epoch", columns.issued_before).label("before"))
        .where(columns.revoked_at > func.now() - longest)
    )  # fmt: skip
    return found.all()


def _made_of(rows: Sequence[Row[Any]], version: tuple[int, int]) -> _Snapshot:
    subjects: dict[tuple[str, str], float] = {}
    tenants: dict[str, float] = {}
    for row in rows:
        if row.jti is not None:
            continue
        if row.sub is not None:
            key = (row.tenant, row.sub)
            subjects[key] = max(subjects.get(key, 0), float(row.before))
        else:
            tenants[row.tenant] = max(tenants.get(row.tenant, 0), float(row.before))
    ids = frozenset((row.tenant, row.jti) for row in rows if row.jti is not None)
    return _Snapshot(version, ids, subjects, tenants)
