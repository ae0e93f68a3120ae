"""Proposals for prompts, and what the functions of the database say to those who decide on them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from schema.database import Database
from schema.messages.learning import PromptDiff, PromptEvidence
from schema.messages.steps import Role
from schema.proposals import write_proposal
from schema.tables import learning_updates
from schema.texts import digest_of

ROLES: tuple[Role, ...] = get_args(Role)
BETTER = {"verdict": "better", "difference": 0.2, "pairs": 20}
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
"""A moment at which no test's clock is: times of these tests are said, not waited for."""


@dataclass(frozen=True)
class Refused:
    """What the database would not do: its SQLSTATE, and when it would, where it says so."""

    code: str
    detail: str = ""


async def install_prompts(database: Database) -> None:
    """A first base prompt of each role, where there is none yet."""
    async with database.service() as connection:
        for role in ROLES:
            base = f"You are the {role}."
            if await connection.scalar(text("SELECT active_prompt('*', :role)"), {"role": role}) is None:
                values = {"role": role, "digest": digest_of(base), "base": base}
                await connection.execute(text("SELECT install_base_prompt(:role, :digest, :base)"), values)


async def propose(
    database: Database, tenant: str, role: Role = "developer", guideline: str | None = None, **changes: Any
) -> UUID:
    """A proposal to add a guideline, in the state `proposed`."""
    await install_prompts(database)
    update_id = UUID(str(uuid7()))
    said: dict[str, Any] = {"proposer": "ann", "budget_tokens": 10_000, "slots": 4, "evidence": PromptEvidence()}
    diff = PromptDiff(op="add", after=guideline or f"Look twice at case {update_id}.")
    async with database.tenant(tenant) as connection:
        assert await write_proposal(
            connection, update_id=update_id, tenant=tenant, role=role, **{"diff": diff, **said, **changes}
        )
    return update_id


async def put_to_people(database: Database, update_id: UUID, evaluation: dict[str, Any] | None = None) -> None:
    """Evaluated against what is active now, and pending: limits and canaries apart, which are the functions' matter."""
    async with database.service() as connection:
        await connection.execute(
            update(learning_updates)
            .where(learning_updates.c.id == update_id)
            .values(state="pending", evaluation=evaluation or BETTER)
        )


async def pending_update(database: Database, tenant: str, role: Role = "developer", **changes: Any) -> UUID:
    """A proposal that waits for a person."""
    update_id = await propose(database, tenant, role, **changes)
    await put_to_people(database, update_id)
    return update_id


async def row_of(database: Database, update_id: UUID) -> Any:
    """A proposal's row."""
    async with database.service() as connection:
        return (await connection.execute(select(learning_updates).where(learning_updates.c.id == update_id))).one()


async def approve(
    database: Database, update_id: UUID, at: datetime | None = None, actor: str = "bob", digest: str | None = None
) -> UUID | Refused | None:
    """Approve as from psql: the version, None where more approvals are needed, or the refusal."""
    shown = digest or (await row_of(database, update_id)).digest
    values = {"id": update_id, "actor": actor, "digest": shown, "at": at}
    statement = "SELECT approve_prompt_update(:id, :actor, 'fine', :digest, coalesce(CAST(:at AS timestamptz), now()))"
    try:
        async with database.service() as connection:
            version: UUID | None = await connection.scalar(text(statement), values)
            return version
    except DBAPIError as error:
        return refusal(error)


def refusal(error: DBAPIError) -> Refused:
    """What a refused statement was told."""
    diagnostics = error.orig.diag  # type: ignore[union-attr]
    return Refused(diagnostics.sqlstate or "", diagnostics.message_detail or "")


async def can_update(connection: AsyncConnection, tenant: str, role: Role, at: datetime) -> Any:
    """The answer of `can_auto_update_prompt`."""
    values = {"role": role, "at": at, "tenant": tenant}
    found = await connection.execute(text("SELECT * FROM can_auto_update_prompt(:role, :at, :tenant)"), values)
    return found.one()


async def applied(database: Database, tenant: str, role: Role) -> list[datetime]:
    """When the versions of a role were approved, in order."""
    statement = "SELECT at FROM prompt_versions WHERE tenant = :t AND role = :r AND kind = 'update' ORDER BY at"
    async with database.service() as connection:
        return list(await connection.scalars(text(statement), {"t": tenant, "r": role}))
