"""The prompts that a task was asked with, back to the release that each came from, and who approved each change."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.evidence import ApprovalFact, GuidelineFact, PromptFact, UpdateFact
from schema.tables import learning_updates, prompt_approvals, prompt_guidelines, prompt_versions

_UPDATE = tuple(name for name in UpdateFact.model_fields if name not in ("old", "new", "approvals"))
"""Without the sealed columns: nothing of them is shown."""


async def prompts_of(
    connection: AsyncConnection, asked_with: Iterable[str]
) -> tuple[tuple[PromptFact, ...], tuple[UpdateFact, ...]]:
    """The versions that the calls name, and all before them, with the proposals that made them."""
    versions: dict[UUID, Any] = {}
    wanted = {version for named in asked_with if (version := _version_of(named)) is not None}
    while wanted:
        rows = await connection.execute(select(prompt_versions).where(prompt_versions.c.id.in_(wanted)))
        versions |= {row.id: row for row in rows}
        wanted = {row.parent for row in versions.values() if row.parent is not None} - set(versions) - wanted
    made = [row.update_id for row in versions.values() if row.update_id is not None]
    updates = (
        (await connection.execute(select(*_columns()).where(learning_updates.c.id.in_(made)))).all() if made else []
    )
    ids = {each for row in versions.values() for each in row.guidelines}
    ids |= {each for row in updates for each in (row.old_guideline, row.new_guideline) if each is not None}
    guidelines = await _guidelines(connection, ids)
    approvals = await _approvals(connection, made)
    ordered = sorted(versions.values(), key=lambda row: row.arrival)
    return (
        tuple(_prompt(row, guidelines) for row in ordered),
        tuple(_update(row, guidelines, approvals) for row in sorted(updates, key=lambda row: row.id)),
    )


def _version_of(named: str) -> UUID | None:
    """A version's id; None of a base's hash, which is all that a call had without one."""
    try:
        return UUID(named.partition("+")[0]) if "-" in named else None
    except ValueError:
        return None


def _columns() -> list[Any]:
    return [learning_updates.c[name] for name in (*_UPDATE, "old_guideline", "new_guideline")]


async def _guidelines(connection: AsyncConnection, ids: set[UUID]) -> dict[UUID, GuidelineFact]:
    columns = prompt_guidelines.c
    found = await connection.execute(select(columns.id, columns.digest).where(columns.id.in_(ids))) if ids else ()
    return {row.id: GuidelineFact(id=row.id, digest=row.digest) for row in found}


async def _approvals(connection: AsyncConnection, updates: Sequence[UUID]) -> dict[UUID, list[ApprovalFact]]:
    found: dict[UUID, list[ApprovalFact]] = {}
    wanted = select(prompt_approvals).where(prompt_approvals.c.update_id.in_(updates))
    for row in (
        await connection.execute(wanted.order_by(prompt_approvals.c.at, prompt_approvals.c.actor)) if updates else ()
    ):
        found.setdefault(row.update_id, []).append(ApprovalFact(actor=row.actor, digest=row.digest, at=row.at))
    return found


def _prompt(row: Any, guidelines: dict[UUID, GuidelineFact]) -> PromptFact:
    columns = {name: row._mapping[name] for name in PromptFact.model_fields if name != "guidelines"}
    return PromptFact(**columns, guidelines=tuple(guidelines[each] for each in row.guidelines))


def _update(row: Any, guidelines: dict[UUID, GuidelineFact], approvals: dict[UUID, list[ApprovalFact]]) -> UpdateFact:
    return UpdateFact(
        **{name: row._mapping[name] for name in _UPDATE},
        old=guidelines.get(row.old_guideline),
        new=guidelines.get(row.new_guideline),
        approvals=tuple(approvals.get(row.id, ())),
    )
