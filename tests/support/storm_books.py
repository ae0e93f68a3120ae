"""Everything that a stack wrote down about its tasks, read row by row, past the code that wrote it."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from schema.settings import Settings


@dataclass(frozen=True)
class TaskRow:
    """Of `tasks`. `told` is whether it has a reason, which is sealed."""

    task_id: UUID
    tenant: str
    state: str
    told: bool
    admitted: bool
    event_sequence: int
    budget_tokens: int
    budget_micro_usd: int | None
    held_tokens: int
    held_micro_usd: int
    spent_tokens: int
    spent_micro_usd: int
    charged_tokens: int
    charged_micro_usd: int
    result: str | None


@dataclass(frozen=True)
class EventRow:
    """Of `task_events`."""

    task_id: UUID
    sequence: int
    event: str


@dataclass(frozen=True)
class StepRow:
    """Of `task_steps`; times are seconds by PostgreSQL's clock."""

    task_id: UUID
    step: str
    epoch: int
    state: str
    ended: float | None


@dataclass(frozen=True)
class CallRow:
    """Of `model_calls`. `valid` is whether its answer was of use."""

    task_id: UUID
    step: str
    epoch: int
    ask: int
    dispatch: int
    model: str
    state: str
    reserved_tokens: int
    reserved_micro_usd: int
    used_tokens: int
    used_micro_usd: int
    valid: bool
    sent: float


@dataclass(frozen=True)
class EntryRow:
    """Of `ledger_entries`."""

    task_id: UUID
    tenant: str
    account: str
    step: str
    epoch: int
    ask: int
    dispatch: int
    kind: str
    held_tokens: int
    held_micro_usd: int
    spent_tokens: int
    spent_micro_usd: int


@dataclass(frozen=True)
class LetterRow:
    """Of `dead_letters`."""

    task_id: UUID
    step: str
    epoch: int
    state: str
    kind: str


@dataclass(frozen=True)
class AccountRow:
    """Of `accounts`."""

    tenant: str
    slots_used: int
    held_tokens: int
    held_micro_usd: int
    spent_tokens: int
    spent_micro_usd: int


@dataclass(frozen=True)
class KeyRow:
    """Of `idempotency_keys`, those of submissions."""

    tenant: str
    key: str
    task_id: UUID


@dataclass(frozen=True)
class Books:
    """The rows of all tables at one moment."""

    tasks: tuple[TaskRow, ...] = ()
    events: tuple[EventRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
    calls: tuple[CallRow, ...] = ()
    entries: tuple[EntryRow, ...] = ()
    letters: tuple[LetterRow, ...] = ()
    accounts: tuple[AccountRow, ...] = ()
    keys: tuple[KeyRow, ...] = ()


_SAID = {
    "told": "reason IS NOT NULL",
    "ended": "extract(epoch FROM ended_at)::float8",
    "sent": "extract(epoch FROM sent_at)::float8",
    "valid": "response IS NOT NULL AND invalid IS NULL",
    "used_tokens": "coalesce(input_tokens, 0) + coalesce(output_tokens, 0)",
    "used_micro_usd": "coalesce(micro_usd, 0)",
}
"""Columns of ours that are not the table's own."""
_SAID_OF_CALLS = {**_SAID, "reserved_micro_usd": "coalesce(reserved_micro_usd, 0)"}

Row = TypeVar("Row")


def read_books(settings: Settings) -> Books:
    """All rows in one snapshot; raises psycopg.OperationalError while PostgreSQL is away."""
    with _connect(settings) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        return Books(
            tasks=_read(connection, TaskRow, "tasks"),
            events=_read(connection, EventRow, "task_events"),
            steps=_read(connection, StepRow, "task_steps"),
            calls=_read(connection, CallRow, "model_calls", _SAID_OF_CALLS),
            entries=_read(connection, EntryRow, "ledger_entries"),
            letters=_read(connection, LetterRow, "dead_letters"),
            accounts=_read(connection, AccountRow, "accounts"),
            keys=_read(connection, KeyRow, "idempotency_keys WHERE route = 'POST /v1/tasks'"),
        )


def _connect(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(settings.database("service").replace("+psycopg", ""), connect_timeout=5)


def _read(
    connection: psycopg.Connection[Any], row: type[Row], table: str, said: dict[str, str] = _SAID
) -> tuple[Row, ...]:
    names = [field.name for field in fields(row)]  # type: ignore[arg-type] # each is a dataclass
    columns = ", ".join(f"{said.get(name, name)} AS {name}" for name in names)
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return tuple(cursor.execute(f"SELECT {columns} FROM {table}".encode()).fetchall())  # noqa: S608 - all ours
