"""What the whole fleet is at, as gauges: read from PostgreSQL, since a workflow and a budget belong to no process.

Every gateway shows the same numbers: take the maximum over gateways, not the sum.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

import structlog
from prometheus_client import REGISTRY, Gauge
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Row, text

from gateway.circuit_routes import read_circuits
from schema.database import Database
from schema.messages.circuit import CircuitState, CircuitView
from schema.messages.learning import VOTERS
from schema.messages.steps import Role
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
      FROM tasks WHERE state NOT IN ('accepted', 'rejected', 'failed', 'cancelled') AND kind <> 'learning'
     GROUP BY state
    UNION ALL
    (SELECT 'account', tenant, limit_tokens, spent_tokens, held_tokens
       FROM accounts ORDER BY spent_tokens DESC, tenant LIMIT 100)
    UNION ALL
    SELECT CASE WHEN settled_at IS NULL THEN 'open' ELSE 'settled' END, role || ' ' || state, count(*), NULL, NULL
      FROM learning_updates WHERE settled_at IS NULL OR kind = 'prompt' GROUP BY settled_at IS NULL, role, state
""")

ROLES = get_args(Role)
OPEN_STATES = ("proposed", "waiting", "evaluating", "pending", "approved", "canary")
SETTLED_STATES = ("rejected", "expired", "adopted", "rolled_back")

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


class LabelledCounter(Collector):
    """A counter of what is counted elsewhere: it shows exactly what it was last given."""

    def __init__(self, name: str, documentation: str, *labels: str) -> None:
        self._about = (name, documentation, labels)
        self._values: Values = {}
        REGISTRY.register(self)

    def show(self, values: Values) -> None:
        """Show these."""
        self._values = values

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What the registry asks for."""
        name, documentation, labels = self._about
        family = CounterMetricFamily(name, documentation, labels=labels)
        for of, value in self._values.items():
            family.add_metric(of, value)
        yield family


CIRCUITS = LabelledGauge("golden_circuit_state", "0 closed, 1 half-open, 2 open, 3 paused", "circuit")
LETTERS = LabelledGauge("golden_dead_letters_open", "Dead letters that wait for a decision", "kind")
OLDEST = Gauge("golden_dead_letters_oldest_seconds", "Since when the oldest open dead letter waits; 0 without one")
TASKS = LabelledGauge("golden_active_tasks", "Tasks that have not ended", "state")
TOKENS = LabelledGauge("golden_budget_tokens", "Tokens of a tenant's account: limit, spent, held", "tenant", "kind")
APPROVALS = LabelledGauge("golden_approvals_open", "Proposals that are not settled", "role", "state")
UPDATES = LabelledCounter(
    "golden_prompt_updates_total", "Proposals for prompts, by what they came to", "role", "outcome"
)
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
    APPROVALS.show(_by_role(by_kind["open"], (*ROLES, VOTERS), OPEN_STATES))
    UPDATES.show(_by_role(by_kind["settled"], ROLES, SETTLED_STATES))
    READ_AT.set(time.time())


def _by_role(rows: Sequence[Row[Any]], roles: Sequence[str], states: Sequence[str]) -> Values:
    """Counts of every role and state there can be; no other label."""
    counted = {tuple(row.label.split()): row.one for row in rows}
    return {(role, state): counted.get((role, state), 0) for role in roles for state in states}
