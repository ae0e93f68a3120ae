"""The ways into PostgreSQL: one transaction for a tenant under row-level security, or across tenants."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from schema.columns import use_ring
from schema.keyring import KeyRing
from schema.settings import Settings

T = TypeVar("T")

PINGED_AFTER_SECONDS = 0.02
"""A connection that was used within this time is believed to be there still: no server restarts as fast."""
_STARTED, _USED, _AFTER = "golden.started", "golden.used", "golden.after"

_BEGIN = text("SELECT now(), set_config('golden.tenant', :tenant, true)")


class Database:
    """Two pools: `tenant` transactions see one tenant's rows, `service` transactions see all."""

    def __init__(self, service: AsyncEngine, tenant: AsyncEngine) -> None:
        self._service = _Lender(service)
        self._tenant = _Lender(tenant)

    @classmethod
    def from_settings(cls, settings: Settings, *, pool_size: int = 10) -> "Database":
        ring = KeyRing.from_settings(settings)
        return cls(
            _engine(settings.database("service"), 4, ring), _engine(settings.database("tenant"), pool_size, ring)
        )

    @asynccontextmanager
    async def tenant(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that sees and writes the rows of `tenant` only; committed at the end."""
        after: list[Callable[[], None]] = []
        async with self._tenant.lend() as connection, connection.begin():
            # Local to the transaction, so that a pooled connection carries nothing over.
            begun = await connection.execute(_BEGIN, {"tenant": tenant})
            connection.info[_STARTED], connection.info[_AFTER] = begun.one()[0], after
            try:
                yield connection
            finally:
                # One that broke knows nothing any more, and to ask it would hide why it broke.
                if not connection.invalidated:
                    connection.info.pop(_STARTED, None)
                    connection.info.pop(_AFTER, None)
        for act in after:
            act()

    @asynccontextmanager
    async def service(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that crosses tenants: for Reconcile and health, never for a client's request."""
        async with self._service.lend() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """As `service`, but each statement is a transaction of its own: two round trips less for a single one."""
        async with self._service.lend() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def function(self) -> AsyncIterator[AsyncConnection]:
        """As `tenant`, for a call of one of the database's functions that sets the tenant itself: one round trip."""
        async with self._tenant.lend() as connection:
            yield await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def close(self) -> None:
        await self._service.close()
        await self._tenant.close()


class _Lender:
    """Lends a pool's connections so that each comes back, also where its user is cancelled while it is being made.

    The pool itself forgets such a one without closing it, and one that comes back after the pool was disposed of too.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._underway: set[asyncio.Task[Any]] = set()
        self._closed = False

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[AsyncConnection]:
        making = self._whole(self.engine.connect().start())
        try:
            connection = await asyncio.shield(making)
        except asyncio.CancelledError:
            self._whole(self._taken_back_once_made(making))
            raise
        try:
            yield connection
        finally:
            await asyncio.shield(self._whole(self._taken_back(connection)))

    async def close(self) -> None:
        """After what is being made or given back now; what comes back later is closed as it comes."""
        self._closed = True
        while self._underway:
            await asyncio.wait(self._underway)
        await self.engine.dispose()

    def _whole(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work that is done to its end, whoever waits for it."""
        task = asyncio.create_task(work)
        self._underway.add(task)
        task.add_done_callback(self._underway.discard)
        return task

    async def _taken_back_once_made(self, making: asyncio.Task[AsyncConnection]) -> None:
        await asyncio.wait({making})
        if not making.cancelled() and making.exception() is None:
            await self._taken_back(making.result())

    async def _taken_back(self, connection: AsyncConnection) -> None:
        if self._closed:
            await connection.invalidate()
        await connection.close()


def started_at(connection: AsyncConnection) -> datetime:
    """The time of a tenant's transaction, by PostgreSQL's clock: what `now()` is in it."""
    moment: datetime = connection.info[_STARTED]
    return moment


def after_commit(connection: AsyncConnection, act: Callable[[], None]) -> None:
    """Do something once a tenant's transaction is committed, and never if it isn't; elsewhere at once."""
    after: list[Callable[[], None]] | None = connection.info.get(_AFTER)
    if after is None:
        act()
    else:
        after.append(act)


async def now_of(connection: AsyncConnection) -> datetime:
    """What `now()` is in any transaction; a tenant's knows without asking."""
    known: datetime | None = connection.info.get(_STARTED)
    return known or (await connection.execute(_NOW)).scalar_one()


_NOW = select(func.now())


def _engine(url: str, pool_size: int, ring: KeyRing) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # so that those in use are in use all the time
        pool_timeout=10,
        hide_parameters=True,  # an error's text ends in a log, where no user's text may be
        connect_args={"connect_timeout": 5},
    )
    use_ring(engine.dialect, ring)
    _ping_idle(engine)
    return engine


def _ping_idle(engine: AsyncEngine) -> None:
    """After a restart of PostgreSQL the first call finds a new connection, not an error.

    As the pool's own ping does it, which would be a round trip for each use of a busy connection.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _note(_connection: Any, record: Any) -> None:
        record.info[_USED] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_USED, time.monotonic()) > PINGED_AFTER_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except (DBAPIError, engine.dialect.loaded_dbapi.Error) as error:
                raise DisconnectionError("the connection is gone") from error
