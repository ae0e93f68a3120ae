"""What the whole fleet is at, as PostgreSQL has it: a workflow and a budget belong to no process."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from sqlalchemy import Row, text

from gateway.board import Board, Values
from gateway.circuit_routes import read_circuits
from schema import metrics
from schema.database import Database
from schema.messages.circuit import CircuitState, CircuitView
from schema.messages.learning import VOTERS
from schema.messages.steps import Role
from schema.messages.task import FINAL_STATES, TaskState

MOST_CIRCUITS = 1_000
MOST_ENDS = 1_000
"""Rows of ended tasks that are added up each time; more are folded into one for each state."""
LETTER_KINDS = ("model", "sandbox", "budget", "price", "vote", "poison", "internal")
STATE_NUMBERS = {
    CircuitState.CLOSED: 0, CircuitState.HALF_OPEN: 1, CircuitState.OPEN: 2, CircuitState.PAUSED: 3,
}  # fmt: skip

# The 100 tenants that spent most: a label has a bound. What has no rows is filled up with zeros. A queued task's row
# changes when it is queued; an escalated one's also when people are reminded, so that its last step tells since when.
_NUMBERS = text("""
    WITH open AS (SELECT task_id, state, submitted_at, updated_at, admissions, kind FROM tasks
                   WHERE state NOT IN ('accepted', 'rejected', 'failed', 'cancelled'))
    SELECT 'letters' AS of, kind AS label, count(*) AS one,
           CAST(extract(epoch FROM now() - min(parked_at)) AS bigint) AS two, NULL::bigint AS three,
           NULL::bigint AS four, NULL::bigint AS five, NULL::bigint AS six
      FROM dead_letters WHERE state = 'open' GROUP BY kind
    UNION ALL
    SELECT 'tasks', state, count(*), CAST(extract(epoch FROM now() - min(
           CASE WHEN state = 'escalated' THEN
                     coalesce((SELECT max(ended_at) FROM task_steps s WHERE s.task_id = open.task_id), updated_at)
                WHEN admissions = 0 THEN submitted_at ELSE updated_at END)) AS bigint),
           NULL, NULL, NULL, NULL
      FROM open WHERE kind <> 'learning' GROUP BY state
    UNION ALL
    SELECT 'running', '', count(*), NULL, NULL, NULL, NULL, NULL
      FROM open JOIN task_steps s USING (task_id)
     WHERE s.state = 'running' AND (s.step LIKE 'prove%' OR s.step LIKE 'mend%')
    UNION ALL
    SELECT 'ended', state, CAST(sum(count) AS bigint), count(*), NULL, NULL, NULL, NULL FROM task_ends GROUP BY state
    UNION ALL
    (SELECT 'account', tenant, limit_tokens, spent_tokens, held_tokens,
            limit_micro_usd, spent_micro_usd, held_micro_usd
       FROM accounts ORDER BY spent_tokens DESC, tenant LIMIT 100)
    UNION ALL
    SELECT CASE WHEN settled_at IS NULL THEN 'open' ELSE 'settled' END, role || ' ' || state, count(*),
           NULL, NULL, NULL, NULL, NULL
      FROM learning_updates WHERE settled_at IS NULL OR kind = 'prompt' GROUP BY settled_at IS NULL, role, state
""")

# Each row goes into one sum, whoever else folds at the same time: who comes second finds it gone.
_FOLD = text("""
    WITH gone AS (DELETE FROM task_ends RETURNING state, count)
    INSERT INTO task_ends (state, count) SELECT state, sum(count) FROM gone GROUP BY state
""")

ROLES = get_args(Role)
OPEN_STATES = ("proposed", "waiting", "evaluating", "pending", "approved", "canary")
SETTLED_STATES = ("rejected", "expired", "adopted", "rolled_back")
WAITING_STATES = (TaskState.SUBMITTED.value, TaskState.QUEUED.value)


class FleetGauges:
    """Reads the fleet's numbers from PostgreSQL."""

    def __init__(self, database: Database, board: Board) -> None:
        self._database = database
        self._board = board
        self.sandbox_runs = 0
        """Steps under way in the sandbox, when they were last read."""

    async def read(self) -> None:
        """Read the numbers once, in two statements, and show them."""
        async with self._database.statement() as connection:
            rows = (await connection.execute(_NUMBERS)).all()
            circuits = await read_circuits(connection, MOST_CIRCUITS)
        by_kind: defaultdict[str, list[Row[Any]]] = defaultdict(list)
        for row in rows:
            by_kind[row.of].append(row)
        self._show(by_kind, circuits)
        if sum(row.two for row in by_kind["ended"]) > MOST_ENDS:
            async with self._database.service() as connection:
                await connection.execute(_FOLD)

    def _show(self, by_kind: Mapping[str, Sequence[Row[Any]]], circuits: Sequence[CircuitView]) -> None:
        show = self._board.show
        show(metrics.CIRCUITS, {(each.circuit,): STATE_NUMBERS[each.state] for each in circuits})
        letters = by_kind.get("letters", ())
        show(metrics.LETTERS, {(kind,): 0 for kind in LETTER_KINDS} | {(row.label,): row.one for row in letters})
        show(metrics.LETTERS_OLDEST, max((row.two for row in letters), default=0))
        self._show_tasks({row.label: row for row in by_kind.get("tasks", ())}, by_kind.get("ended", ()))
        (running,) = by_kind["running"]
        self.sandbox_runs = running.one
        accounts = by_kind.get("account", ())
        show(metrics.BUDGET_TOKENS, _amounts(accounts, ("one", "two", "three")))
        show(metrics.BUDGET_MICRO_USD, _amounts(accounts, ("four", "five", "six")))
        show(metrics.APPROVALS, _by_role(by_kind.get("open", ()), (*ROLES, VOTERS), OPEN_STATES))
        show(metrics.PROMPT_UPDATES, _by_role(by_kind.get("settled", ()), ROLES, SETTLED_STATES))

    def _show_tasks(self, active: Mapping[str, Row[Any]], ended: Sequence[Row[Any]]) -> None:
        show, escalated = self._board.show, active.get(TaskState.ESCALATED.value)
        none = {(state.value,): 0 for state in TaskState if state not in FINAL_STATES}
        show(metrics.ACTIVE_TASKS, none | {(state,): row.one for state, row in active.items()})
        waits = [active[state].two for state in WAITING_STATES if state in active]
        show(metrics.OLDEST_QUEUED_SECONDS, max(waits, default=0))
        show(metrics.ESCALATIONS, escalated.one if escalated else 0)
        show(metrics.ESCALATIONS_OLDEST, (escalated.two or 0) if escalated else 0)
        none = {(state.value,): 0 for state in sorted(FINAL_STATES)}
        show(metrics.TASKS_ENDED, none | {(row.label,): row.one for row in ended})


def _amounts(accounts: Sequence[Row[Any]], columns: Sequence[str]) -> Values:
    """Limit, spent and held of each tenant; no limit is no number."""
    kinds = tuple(zip(("limit", "spent", "held"), columns, strict=True))
    found = {(row.label, kind): getattr(row, column) for row in accounts for kind, column in kinds}
    return {labels: value for labels, value in found.items() if value is not None}


def _by_role(rows: Sequence[Row[Any]], roles: Sequence[str], states: Sequence[str]) -> Values:
    """Counts of every role and state there can be; no other label."""
    counted = {tuple(row.label.split()): row.one for row in rows}
    return {(role, state): counted.get((role, state), 0) for role in roles for state in states}
