"""What the whole fleet is at, as gauges: read from PostgreSQL, since a workflow and a budget belong to no process.

Every gateway shows the same numbers: take the maximum over gateways, not the sum.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from prometheus_client import Gauge
from sqlalchemy import Row, text

from gateway.circuit_routes import read_circuits
from schema.database import Database
from schema.messages.circuit import CircuitState, CircuitView
from schema.messages.task import FINAL_STATES, TaskState

EVERY_SECONDS = 5.0
READ_SECONDS = 10.0
MOST_CIRCUITS = 1_000
LETTER_KINDS = ("model", "sandbox", "budget", "price", "vote", "poison", "internal")
STATE_NUMBERS = {
    CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2, CircuitState.PAUSED: 3,
}  # fmt: skip

# The 100 tenants that spent most: a label has a bound. What has no rows is filled up with zeros.
_NUMBERS = text("""
    SELECT 'letters' AS of, kind AS label, count(*) AS one,
           CAST(extract(epoch FROM now() - min(parked_at)) AS bigint) AS two, NULL::bigint AS three
      FROM dead_letters WHERE state = 'open' GROUP BY kind
    UNION ALL
    SELECT 'tasks', state, count(*), NULL, NULL
      FROM tasks WHERE state NOT IN ('accepted', 'rejected', 'failed', 'cancelled') GROUP BY state
    UNION ALL
    (SELECT 'account', tenant, limit_tokens, spent_tokens, held_tokens
       FROM accounts ORDER BY spent_tokens DESC, tenant LIMIT 100)
""")

Values = Mapping[tuple[str, ...], float]

log = structlog.get_logger(__name__)


class LabelledGauge:
    """A gauge that shows exactly the labels it was last given."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._gauge = Gauge(name, documentation, labels)
        self._shown: set[tuple[str, ...]] = set()

    def show(self, values: Values) -> None:
        """Show these, then take away what is no longer: whoever reads meanwhile misses nothing that is there."""
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        for labels in self._shown - set(values):
            self._gauge.remove(*labels)
        self._shown = set(values)


CIRCUITS = LabelledGauge("golden_circuit_state", "0 closed, 1 half-open, 2 open, 3 paused", "circuit")
LETTERS = LabelledGauge("golden_dead_letters_open", "Dead letters that wait for a decision", "kind")
OLDEST = Gauge("golden_dead_letters_oldest_seconds", "Since when the oldest open dead letter waits; 0 without one")
TASKS = LabelledGauge("golden_active_tasks", "Tasks that have not ended", "state")
TOKENS = LabelledGauge("golden_budget_tokens", "Tokens of a tenant's account: limit, spent, held", "tenant", "kind")
READ_AT = Gauge("golden_fleet_read_timestamp_seconds", "When the fleet's gauges were last read, seconds since 1970")


class FleetGauges:
    """Reads the fleet's numbers again and again."""

    def __init__(self, database: Database, every_seconds: float = EVERY_SECONDS) -> None:
        self._database = database
        self._every = every_seconds
        self._away = False

    async def run(self) -> None:
        """Read until cancelled. While they can't be read the gauges stay as they were, and their time with them."""
        while True:
            try:
                await self.read()
            except Exception as error:
                # Whatever it is: numbers that are late must not end the gateway, nor themselves for good.
                if not self._away:
                    log.warning("the fleet's gauges could not be read", error=type(error).__name__)
                self._away = True
            else:
                self._away = False
            await asyncio.sleep(self._every)

    async def read(self) -> None:
        """Read the numbers once, in two statements, and show them."""
        async with asyncio.timeout(READ_SECONDS), self._database.statement() as connection:
            rows = (await connection.execute(_NUMBERS)).all()
            circuits = await read_circuits(connection, MOST_CIRCUITS)
        _show(rows, circuits)


def _show(rows: Sequence[Row[Any]], circuits: Sequence[CircuitView]) -> None:
    by_kind: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in rows:
        by_kind[row.of].append(row)
    CIRCUITS.show({(each.circuit,): STATE_NUMBERS[each.state] for each in circuits})
    letters = by_kind["letters"]
    LETTERS.show({(kind,): 0 for kind in LETTER_KINDS} | {(row.label,): row.one for row in letters})
    OLDEST.set(max((row.two for row in letters), default=0))
    active = {(state.value,): 0 for state in TaskState if state not in FINAL_STATES}
    TASKS.show(active | {(row.label,): row.one for row in by_kind["tasks"]})
    TOKENS.show(
        {
            (row.label, kind): tokens
            for row in by_kind["account"]
            for kind, tokens in (("limit", row.one), ("spent", row.two), ("held", row.three))
            if tokens is not None
        }
    )
    READ_AT.set(time.time())
