"""The fleet's circuits: kept in PostgreSQL, seen through a view that is read at most once a second."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.circuit import Circuit, Outcome, Rules
from schema.database import Database
from schema.messages.circuit import CircuitState
from schema.tables import circuit_changes, circuits

EVERY_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""A database that takes longer is away: a model call doesn't wait for statistics."""
LONGEST_SPREAD_SECONDS = 10.0

_COLUMNS = tuple(each.name for each in fields(Circuit) if each.name != "cause")
_AWAY = (SQLAlchemyError, OSError, TimeoutError)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Permit:
    """A call may go out, and its outcome must be reported. On a probe the whole fleet waits."""

    probe: bool = False


@dataclass(frozen=True)
class Blocked:
    """No call may go out; `seconds` from now it is worth to ask again, for each asker another number."""

    seconds: float


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Circuits:
    """What a worker knows of the circuits, and tells the others.

    While PostgreSQL is away it goes by what it last saw and by what happens to itself; nothing here raises for that.
    The clocks of the workers are taken to agree to about a second.
    """

    def __init__(
        self,
        database: Database,
        worker: str,
        rules: Rules | None = None,
        *,
        now: Callable[[], datetime] = _utc_now,
        chance: Callable[[], float] = random.random,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._database = database
        self._worker = worker
        self._rules = rules or Rules()
        self._now = now
        self._chance = chance
        self._every = every_seconds
        self._view: dict[str, Circuit] = {}
        self._read_at: datetime | None = None
        self._reading = asyncio.Lock()
        self._changed: set[str] = set()
        self._asking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._probes: dict[str, datetime] = {}
        self._pending: defaultdict[str, list[Outcome]] = defaultdict(list)
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    async def permit(self, name: str) -> Permit | Blocked:
        """Whether a call of the circuit may go out now.

        Whoever gets a permit reports how the call ended, `UNKNOWN` where it was not made after all: a probe that is
        never reported blocks the circuit until its lease ends.
        """
        await self._refresh()
        if self._known(name).admits(self._now()) == "probe" and await self._take_probe(name):
            return Permit(probe=True)
        # Asked anew: another's probe may have closed it meanwhile.
        if self._known(name).admits(self._now()) == "call":
            return Permit()
        return self._blocked(name)

    async def wait(self, name: str) -> float | None:
        """Seconds from now when it is worth to ask for a permit; None where one could be had."""
        await self._refresh()
        return None if self._known(name).admits(self._now()) else self._blocked(name).seconds

    async def report(
        self, name: str, outcome: Outcome, *, retry_after: float | None = None, probe: bool | None = None
    ) -> None:
        """Count how a call ended.

        Args:
            retry_after: seconds that the provider wants to be left alone, with `QUOTA`.
            probe: whether the permit was a probe's; where that isn't said, the first report of the worker that holds
                the probe is taken for it.
        """
        lease = self._probes.pop(name, None) if probe is not False else None
        if lease is None and outcome is Outcome.UNKNOWN:
            return
        well = outcome in (Outcome.SUCCESS, Outcome.SLOW)
        if well and lease is None and self._known(name).state is CircuitState.CLOSED:
            self._pending[name].append(outcome)
            self._flush_soon()
            return

        def change(circuit: Circuit, holder: str | None) -> Circuit:
            at, chance = self._now(), self._chance()
            ours = lease is not None and holder == self._worker and circuit.probe_until == lease
            return circuit.after(outcome, at, self._rules, probe=ours, retry_after=retry_after, chance=chance)

        await self._change(name, change)

    async def flush(self) -> None:
        """Write what was counted and isn't written yet; at shutdown too."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._flushing is not None:
            await self._flushing
        await self._write_counted()

    def _known(self, name: str) -> Circuit:
        return self._view.get(name) or Circuit(since=self._now())

    def _blocked(self, name: str) -> Blocked:
        seconds = self._known(name).wait(self._now(), self._rules)
        spread = min(LONGEST_SPREAD_SECONDS, max(1.0, seconds / 2))
        return Blocked(seconds + spread * self._chance())

    async def _take_probe(self, name: str) -> bool:
        """Become the one in the fleet that probes; the row's lock decides between workers."""
        async with self._asking[name]:
            # Of many askers in this worker only the first goes to the database: the others see what it found.
            if self._known(name).admits(self._now()) != "probe":
                return False
            leases: list[datetime | None] = []

            def take(circuit: Circuit, _holder: str | None) -> Circuit:
                at = self._now()
                if circuit.admits(at) != "probe":
                    leases[:] = []
                    return circuit
                taken = circuit.probing(at, self._rules)
                leases[:] = [taken.probe_until]
                return taken

            await self._change(name, take)
            for lease in filter(None, leases):
                self._probes[name] = lease
            return bool(leases)

    async def _refresh(self) -> None:
        """Read all circuits, at most once a second. Who asks while somebody reads goes by what was known before."""
        if not self._stale() or (self._reading.locked() and self._read_at is not None):
            return
        async with self._reading:
            if not self._stale():
                return
            self._changed.clear()
            try:
                async with asyncio.timeout(ANSWER_SECONDS), self._database.statement() as connection:
                    rows = (await connection.execute(select(circuits))).all()
            except _AWAY as error:
                log.warning("circuits could not be read", error=type(error).__name__)
            else:
                # What was written meanwhile is newer than what was read.
                newer = {name: self._view[name] for name in self._changed}
                self._view = {row.circuit: circuit_of(row) for row in rows} | newer
            self._read_at = self._now()

    def _stale(self) -> bool:
        return self._read_at is None or abs((self._now() - self._read_at).total_seconds()) >= self._every

    async def _change(self, name: str, change: Callable[[Circuit, str | None], Circuit]) -> None:
        """Change one circuit under its row's lock, or only what this worker knows of it where that can't be."""
        counted = self._pending.pop(name, [])

        def all_of_it(circuit: Circuit, holder: str | None) -> Circuit:
            at = self._now()
            return change(circuit.after_calls(counted, at, self._rules, chance=self._chance()), holder)

        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._database.service() as connection:
                circuit = await self._store(connection, name, all_of_it)
        except _AWAY as error:
            log.warning("a circuit could not be written", circuit=name, error=type(error).__name__)
            circuit = all_of_it(self._known(name), self._worker)
        self._view[name] = circuit
        self._changed.add(name)

    async def _store(
        self, connection: AsyncConnection, name: str, change: Callable[[Circuit, str | None], Circuit]
    ) -> Circuit:
        row = await _locked(connection, name, self._now())
        before = circuit_of(row)
        after = change(before, row.worker)
        if after == before:
            return before
        moved = (after.state, after.since) != (before.state, before.since)
        values: dict[str, Any] = {column: getattr(after, column) for column in _COLUMNS}
        if moved or (after.state is CircuitState.HALF_OPEN and after.probe_until != before.probe_until):
            values["worker"] = self._worker
        await connection.execute(update(circuits).where(circuits.c.circuit == name).values(values))
        if moved:
            states = {"from_state": before.state, "to_state": after.state, "cause": after.cause}
            await connection.execute(
                insert(circuit_changes).values(at=after.since, circuit=name, worker=self._worker, **states)
            )
            log.warning("a circuit changed", circuit=name, **states)
        return after

    async def _write_counted(self) -> None:
        for name in sorted(self._pending):
            await self._change(name, lambda circuit, _holder: circuit)

    def _flush_soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every, self._flush_now)

    def _flush_now(self) -> None:
        self._timer = None
        # Kept, since the loop itself keeps no task alive.
        self._flushing = asyncio.create_task(self._write_counted())


def circuit_of(row: Row[Any]) -> Circuit:
    """A circuit from its row."""
    values = {column: getattr(row, column) for column in _COLUMNS}
    return Circuit(**(values | {"state": CircuitState(row.state)}))


async def _locked(connection: AsyncConnection, name: str, at: datetime) -> Row[Any]:
    wanted = select(circuits).where(circuits.c.circuit == name).with_for_update()
    row = (await connection.execute(wanted)).one_or_none()
    if row is None:
        await connection.execute(upsert(circuits).values(circuit=name, since=at).on_conflict_do_nothing())
        row = (await connection.execute(wanted)).one()
    return row
