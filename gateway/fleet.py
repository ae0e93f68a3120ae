"""The numbers of the whole fleet, read again and again: from PostgreSQL, from Temporal, each as often as it costs.

Whoever shows them shows the same, a gateway on one machine or `golden exporter`: take the maximum, not the sum. While
a source is away its numbers stay as they were, and their time with them; the others go on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version

import structlog
from prometheus_client import REGISTRY
from sqlalchemy import text
from temporalio.client import Client

from gateway.board import Board
from gateway.fleet_checks import AuditChecks, LedgerChecks
from gateway.fleet_queues import FleetQueues
from gateway.gauges import FleetGauges
from schema import metrics
from schema.database import Database
from schema.settings import Settings

EVERY_SECONDS = 5.0
ARCHIVE_SECONDS = 15.0
CHECK_SECONDS = 60.0
READ_SECONDS = 10.0
CHECKED_SECONDS = 600.0
REST = 9.0
"""A source rests so many times as long as a read of it took: a tenth of a connection's time is its share."""

BOARD = Board()
"""One for a process, whoever reads."""
REGISTRY.register(BOARD)

# Behind the last archived file there is always a little that PostgreSQL writes by itself: that is nothing to archive.
_ARCHIVE = text("""
    SELECT failed_count AS failures, CASE
        WHEN current_setting('archive_mode') = 'off' OR pg_is_in_recovery() THEN 0
        WHEN last_archived_wal ~ '^[0-9A-F]{24}$'
             AND pg_current_wal_lsn() - ('0/0'::pg_lsn
                 + (('x' || substr(last_archived_wal, 9, 8))::bit(32)::bigint * 4294967296)::numeric
                 + ((('x' || substr(last_archived_wal, 17, 8))::bit(32)::bigint + 1)
                    * pg_size_bytes(current_setting('wal_segment_size')))::numeric) < 1024 THEN 0
        ELSE extract(epoch FROM now() - coalesce(last_archived_time, stats_reset, pg_postmaster_start_time()))
        END AS age
      FROM pg_stat_archiver
""")

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Source:
    """Something to read, seconds between two reads, and seconds that one may take.

    Attributes:
        paces: whether its reading counts for `golden_fleet_read_timestamp_seconds`.
    """

    name: str
    read: Callable[[], Awaitable[None]]
    every: float
    within: float
    paces: bool = False


class Fleet:
    """Reads every source in a loop of its own."""

    def __init__(self, sources: tuple[Source, ...], board: Board = BOARD) -> None:
        self.sources = sources
        self._board = board
        self._read_at = {source.name: 0.0 for source in sources}

    @classmethod
    def of(cls, settings: Settings, database: Database, temporal: Client, board: Board = BOARD) -> "Fleet":
        """The fleet's sources, on a board."""
        gauges, queues = FleetGauges(database, board), FleetQueues(temporal, board)
        ledgers, audits = LedgerChecks(database, board), AuditChecks(settings, database, board)

        async def read_gauges() -> None:
            await gauges.read()
            board.show(metrics.SANDBOX_DEPTH, gauges.sandbox_runs + queues.sandbox_backlog)

        async def read_queues() -> None:
            await queues.read()
            board.show(metrics.SANDBOX_DEPTH, gauges.sandbox_runs + queues.sandbox_backlog)

        async def read_archive() -> None:
            await _read_archive(database, board)

        return cls(
            (
                Source("postgresql", read_gauges, EVERY_SECONDS, READ_SECONDS, paces=True),
                Source("temporal", read_queues, EVERY_SECONDS, READ_SECONDS, paces=True),
                # By itself: a service that may not read it has all the other numbers still.
                Source("archive", read_archive, ARCHIVE_SECONDS, READ_SECONDS),
                Source("ledgers", ledgers.read, CHECK_SECONDS, CHECKED_SECONDS),
                Source("audit", audits.read, CHECK_SECONDS, CHECKED_SECONDS),
            ),
            board,
        )

    async def run(self) -> None:
        """Read until cancelled."""
        self._board.show(metrics.BUILD_INFO, {(version("golden"),): 1})
        self._show_times()
        await asyncio.gather(*(self._keep(source) for source in self.sources))

    async def read(self, source: Source) -> None:
        """Read one source once, and say when. Raises what its reading raises."""
        async with asyncio.timeout(source.within):
            await source.read()
        self._read_at[source.name] = time.time()
        self._show_times()

    async def _keep(self, source: Source) -> None:
        away = False
        while True:
            began = time.monotonic()
            try:
                await self.read(source)
                away = False
            except Exception as error:
                # Whatever it is: numbers that are late must not end the process, nor themselves for good.
                if not away:
                    log.warning("the fleet's numbers could not be read", source=source.name, error=type(error).__name__)
                away = True
            await asyncio.sleep(max(source.every, REST * (time.monotonic() - began)))

    def _show_times(self) -> None:
        """The oldest of what autoscalers go by, and each for itself."""
        paced = [self._read_at[source.name] for source in self.sources if source.paces]
        self._board.show(metrics.FLEET_READ_AT, min(paced, default=0.0))
        self._board.show(metrics.SOURCE_READ_AT, {(name,): at for name, at in self._read_at.items()})


async def _read_archive(database: Database, board: Board) -> None:
    """Any role may look at the archiver's statistics, unless somebody took that away."""
    async with database.statement() as connection:
        row = (await connection.execute(_ARCHIVE)).one()
    board.show(metrics.ARCHIVE_AGE, float(row.age))
    board.show(metrics.ARCHIVE_FAILURES, float(row.failures))
