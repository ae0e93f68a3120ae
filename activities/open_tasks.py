"""What Reconcile looks at: open tasks of all tenants, and decisions that their workflows have not heard."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, and_, func, or_, select, true

from schema.database import Database
from schema.messages.task import FINAL_STATES
from schema.proposals import LEARNING
from schema.tables import dead_letters, decisions, learning_updates, tasks

PAGE = 500
"""Those who only wait are many, and always the same: whoever needs help may stand behind all of them."""

_OPEN = tasks.c.state.not_in([state.value for state in FINAL_STATES])


def open_tasks(database: Database, *, older_than_seconds: int, page: int = PAGE) -> AsyncIterator[Any]:
    """All open tasks that nothing was written to for a while, each with its decision if any; nothing sealed is read."""
    wanted = (
        select(
            tasks.c.task_id,
            tasks.c.tenant,
            tasks.c.state,
            tasks.c.admitted,
            tasks.c.cancel_requested_by,
            tasks.c.traceparent,
            decisions.c.decision,
        )
        .outerjoin(decisions, decisions.c.task_id == tasks.c.task_id)
        # A proposal's own has no `AgentTask`.
        .where(_OPEN, tasks.c.kind != LEARNING, tasks.c.updated_at < _ago(older_than_seconds))
    )
    return _paged(database, wanted, tasks.c.task_id, UUID(int=0), page)


async def title_of(database: Database, task_id: UUID) -> str:
    """A task's title.

    Raises:
        KeyMissing, SealBroken: it can't be opened.
    """
    async with database.service() as connection:
        return str(await connection.scalar(select(tasks.c.title).where(tasks.c.task_id == task_id)))


def unheard_letters(database: Database, *, older_than_seconds: int, page: int = PAGE) -> AsyncIterator[Any]:
    """All decided dead letters of open tasks whose workflows have not read the decision."""
    wanted = (
        select(dead_letters.c.arrival, dead_letters.c.workflow_id)
        .join(tasks, tasks.c.task_id == dead_letters.c.task_id)
        .where(
            _OPEN,
            dead_letters.c.state != "open",
            dead_letters.c.heard_at.is_(None),
            dead_letters.c.decided_at < _ago(older_than_seconds),
        )
    )
    return _paged(database, wanted, dead_letters.c.arrival, 0, page)


def unsettled_updates(database: Database, *, older_than_seconds: int, page: int = PAGE) -> AsyncIterator[Any]:
    """All proposals to which more has to happen, and that are no longer on their way."""
    updates = learning_updates.c
    moved_at = func.coalesce(updates.decided_at, updates.proposed_at)
    moved_on = updates.parent_version != func.active_prompt(updates.tenant, updates.role, type_=Uuid())
    wanted = select(
        updates.arrival,
        updates.id,
        updates.tenant,
        updates.state,
        # Decided, or to be evaluated anew since the prompt was changed: its workflow may not know yet.
        or_(
            updates.state.in_(("approved", "rejected")),
            and_(updates.kind == "prompt", updates.state == "pending", moved_on),
        ).label("unheard"),
    ).where(updates.settled_at.is_(None), moved_at < _ago(older_than_seconds))
    return _paged(database, wanted, updates.arrival, 0, page)


def unclosed_updates(database: Database, *, older_than_seconds: int, page: int = PAGE) -> AsyncIterator[Any]:
    """All proposals that are settled, and whose own tasks are open still: their workflows have not heard of it."""
    updates = learning_updates.c
    wanted = (
        select(updates.arrival, updates.id, updates.tenant, updates.state, true().label("unheard"))
        .join(tasks, tasks.c.task_id == updates.id)
        .where(_OPEN, tasks.c.kind == LEARNING, updates.settled_at < _ago(older_than_seconds))
    )
    return _paged(database, wanted, updates.arrival, 0, page)


async def _paged(
    database: Database, wanted: Select[Any], key: ColumnElement[Any], first: UUID | int, page: int
) -> AsyncIterator[Any]:
    """All rows in the order of `key`, which they hold, from behind `first`; each page in a transaction of its own."""
    after = first
    while True:
        async with database.service() as connection:
            rows = (await connection.execute(wanted.where(key > after).order_by(key).limit(page))).all()
        for row in rows:
            yield row
        if len(rows) < page:
            return
        after = rows[-1]._mapping[key]


def _ago(seconds: int) -> ColumnElement[Any]:
    return func.now() - func.make_interval(0, 0, 0, 0, 0, 0, seconds)
