"""Erases what users and models wrote of one task, in the caller's transaction; what it cost and who did it stays.

`erase_task` (migration 0020) does it in the database. What stands in sealed columns is found here: the texts that steps
name, and the proposals that were made of the task or tried on it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import KeyMissing, SealBroken
from schema.proposals import LEARNING
from schema.tables import dead_letters, learning_updates, task_steps, tasks

_REFERENCE = re.compile(r"[0-9a-f]{64}")
_CHOICE = "evaluate-%/choose/%"
"""The step of an evaluation that names the tasks it is tried on: by references to texts of theirs."""

_ERASE = select(
    func.erase_task(
        bindparam("tenant", type_=Text()),
        bindparam("task", type_=Uuid()),
        bindparam("texts", type_=ARRAY(Text())),
        bindparam("by", type_=Text()),
    )
)
_ERASE_UPDATE = select(
    func.erase_update(
        bindparam("tenant", type_=Text()),
        bindparam("update", type_=Uuid()),
        bindparam("evidence", type_=learning_updates.c.evidence.type),
    )
)


async def erase_task(connection: AsyncConnection, tenant: str, task_id: UUID, by: str) -> bool:
    """Erase a task that has ended; to erase it again changes nothing.

    Returns whether all of it is gone: of a proposal that was made of it and is not settled the texts still stay.
    """
    step, letter = task_steps.c, dead_letters.c
    results = select(step.result).where(step.task_id == task_id, step.step.not_like(_CHOICE))
    inputs = select(letter.input).where(letter.task_id == task_id)
    named = [each for wanted in (results, inputs) for each in await _read(connection, wanted)]
    values = {"tenant": tenant, "task": task_id, "texts": sorted(set(_references(named))), "by": by}
    if not await connection.scalar(_ERASE, values):
        return False
    settled = [await _erase_update(connection, tenant, row, by) for row in await _made_of(connection, tenant, task_id)]
    return all(settled)


async def _erase_update(connection: AsyncConnection, tenant: str, row: Any, by: str) -> bool:
    """The words of the tasks behind a settled proposal, and those of its evaluation; False where it is not settled."""
    evidence = [_wordless(each) for each in row.evidence]
    if row.settled_at is None:
        return False
    if evidence != row.evidence:
        await connection.execute(_ERASE_UPDATE, {"tenant": tenant, "update": row.id, "evidence": evidence})
    return await erase_task(connection, tenant, row.id, by)


async def _made_of(connection: AsyncConnection, tenant: str, task_id: UUID) -> list[Any]:
    """The proposals that were made of a task, or evaluated with it."""
    update, step, wanted = learning_updates.c, task_steps.c, str(task_id)
    proposals = (
        select(update.id, update.evidence, update.settled_at)
        .join(tasks, tasks.c.task_id == update.id)
        .where(update.tenant == tenant, tasks.c.kind == LEARNING, update.id != task_id)
    )
    try:
        rows = (await connection.execute(proposals)).all()
    except (KeyMissing, SealBroken):
        return []
    found = []
    for row in rows:
        choices = select(step.result).where(step.task_id == row.id, step.step.like(_CHOICE))
        subjects = [each for choice in await _read(connection, choices) for each in choice.get("subjects", ())]
        behind = [each for said in row.evidence for each in (said.get("pattern") or {}).get("task_ids", ())]
        if wanted in behind or any(each.get("task_id") == wanted for each in subjects):
            found.append(row)
    return found


async def _read(connection: AsyncConnection, wanted: Any) -> list[Any]:
    """Sealed values. Those that can't be opened name nothing: what they named is found by its uses."""
    try:
        return [each for each in await connection.scalars(wanted) if each is not None]
    except (KeyMissing, SealBroken):
        return []


def _wordless(said: Any) -> Any:
    """A piece of evidence without what guards and tests said of the tasks behind it."""
    pattern = said.get("pattern")
    return said if pattern is None else {**said, "pattern": {**pattern, "messages": []}}


def _references(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            if _REFERENCE.fullmatch(value):
                yield value
        elif isinstance(value, dict):
            yield from _references(value.values())
        elif isinstance(value, list):
            yield from _references(value)
