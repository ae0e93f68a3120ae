"""The rows of one task that its evidence shows as they are."""

from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Row, Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.evidence import (
    BallotFact,
    CallFact,
    DecisionFact,
    EntryFact,
    LetterFact,
    StateFact,
    StepFact,
    TruthFact,
)
from schema.messages.base import Message
from schema.tables import (
    ballots,
    dead_letters,
    decisions,
    ledger_entries,
    model_calls,
    task_events,
    task_steps,
    truths,
)

Fact = TypeVar("Fact", bound=Message)


@dataclass(frozen=True)
class Rows:
    """What needs no text to be read."""

    states: tuple[StateFact, ...]
    steps: tuple[StepFact, ...]
    calls: tuple[CallFact, ...]
    ballots: tuple[BallotFact, ...]
    decision: DecisionFact | None
    truths: tuple[TruthFact, ...]
    letters: tuple[LetterFact, ...]
    ledger: tuple[EntryFact, ...]


async def read_rows(connection: AsyncConnection, task_id: UUID) -> Rows:
    """All of them, each sort in the order of its key."""

    async def read(table: Table, fact: type[Fact], *order: str, **more: Any) -> tuple[Fact, ...]:
        return tuple(_fact(fact, row, more) for row in await connection.execute(_of(table, task_id, *order)))

    decided = (await connection.execute(_of(decisions, task_id))).one_or_none()
    return Rows(
        states=await _states(connection, task_id),
        steps=await read(task_steps, StepFact, "started_at", "step", "epoch"),
        calls=tuple(
            CallFact.model_validate({**_shared(CallFact, row), "invalid": row.invalid is not None})
            for row in await connection.execute(
                _of(model_calls, task_id, "step", "epoch", "ask", "dispatch"),
            )
        ),
        ballots=await read(ballots, BallotFact, "vote", "round", "voter"),
        decision=None
        if decided is None
        else DecisionFact(decision=decided.decision, actor=decided.actor, at=decided.decided_at),
        truths=await read(truths, TruthFact, "source"),
        letters=await read(dead_letters, LetterFact, "arrival"),
        ledger=await read(ledger_entries, EntryFact, "id"),
    )


def _of(table: Table, task_id: UUID, *order: str) -> Select[Any]:
    return select(table).where(table.c.task_id == task_id).order_by(*(table.c[name] for name in order))


def _fact(fact: type[Fact], row: Row[Any], more: dict[str, Any]) -> Fact:
    return fact.model_validate({**_shared(fact, row), **more})


def _shared(fact: type[Message], row: Row[Any]) -> dict[str, Any]:
    return {name: row._mapping[name] for name in fact.model_fields if name in row._mapping}


async def _states(connection: AsyncConnection, task_id: UUID) -> tuple[StateFact, ...]:
    """The states that the story tells, without the reasons beside them."""
    event = task_events.c
    told = select(event.sequence, event.data).where(event.task_id == task_id, event.event == "state")
    rows = await connection.execute(told.order_by(event.sequence))
    return tuple(StateFact(sequence=row.sequence, state=row.data["state"], at=row.data["at"]) for row in rows)
