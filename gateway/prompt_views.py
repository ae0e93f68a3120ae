"""What is told of a role's prompt: what is active, how it came to be, and what was there before."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.messages.base import Message, TextRef
from schema.messages.steps import Role
from schema.prompts import Prompt, read_prompt
from schema.tables import prompt_moves as moves
from schema.tables import prompt_pointers as pointers
from schema.tables import prompt_versions as versions

PLATFORM = "*"


class GuidelineView(Message):
    """One learned sentence. Its number, from 1, is its place in the prompt."""

    number: int
    id: UUID
    text: str


class CanaryView(Message):
    """The version that a share, in percent, of the new tasks gets."""

    version: UUID
    update_id: UUID
    share: int
    since: datetime


class VersionView(Message):
    """One version.

    Attributes:
        tenant: whose it is; `*` for the platform's, which holds where a tenant has none.
        kind: `release` came with Golden, `update` was learned.
        base, digest: of the base prompt, and of the whole.
        guidelines: how many it has.
        update_id: the proposal that made it.
    """

    id: UUID
    tenant: str
    role: Role
    kind: Literal["release", "update"]
    base: TextRef
    digest: TextRef
    guidelines: int
    parent: UUID | None
    update_id: UUID | None
    proposer: str
    approver: str
    at: datetime


class MoveView(Message):
    """What happened to what is active or tried: numbered, never changed.

    Attributes:
        cooldown: it keeps updates away for as long as an update does.
    """

    number: int
    at: datetime
    tenant: str
    kind: Literal["release", "canary", "adopted", "rolled_back"]
    from_version: UUID | None
    to_version: UUID
    update_id: UUID | None
    actor: str
    reason: str
    cooldown: bool


class PromptView(Message):
    """A role's prompt as new tasks get it.

    Attributes:
        previous: the version that the active one took the place of when it was first made so.
        canary: what a share of the new tasks gets instead.
        items: the versions, newest first; `next_cursor` goes on after them.
        moves: the log, newest first; `next_move` goes on after it.
    """

    tenant: str
    role: Role
    active: UUID
    previous: UUID | None
    canary: CanaryView | None
    base: TextRef
    digest: TextRef
    guidelines: tuple[GuidelineView, ...]
    items: tuple[VersionView, ...]
    next_cursor: UUID | None
    moves: tuple[MoveView, ...]
    next_move: int | None


class PromptDifference(Message):
    """What a version has that another, `against`, has not, and the other way round."""

    against: UUID
    added: tuple[str, ...]
    removed: tuple[str, ...]
    base_changed: bool


class PromptText(VersionView):
    """One version in full. `text` is what a model is told."""

    base_text: str
    learned: tuple[GuidelineView, ...]
    text: str
    difference: PromptDifference | None


class Standing(Message):
    """Where the pointers of a role are."""

    active: UUID
    previous: UUID | None
    canary: CanaryView | None


async def read_standing(connection: AsyncConnection, tenant: str, role: Role) -> Standing | None:
    """The pointers of a tenant, or the platform's where it has none of its own; None before any is installed."""
    wanted = select(pointers).where(pointers.c.tenant.in_([tenant, PLATFORM]), pointers.c.role == role)
    rows = await connection.execute(wanted.order_by(pointers.c.tenant == PLATFORM).limit(1))
    row = rows.one_or_none()
    if row is None:
        return None
    canary = None
    if row.canary is not None:
        canary = CanaryView(
            version=row.canary, update_id=row.canary_update, share=row.canary_share, since=row.canary_since
        )
    return Standing(active=row.active, previous=await _previous(connection, tenant, role, row.active), canary=canary)


async def _previous(connection: AsyncConnection, tenant: str, role: Role, active: UUID) -> UUID | None:
    """What the active version replaced. Not what a rollback left: that went for a reason."""
    first = (moves.c.role == role, moves.c.to_version == active, moves.c.kind.in_(["release", "adopted"]))
    wanted = select(moves.c.from_version).where(moves.c.tenant.in_([tenant, PLATFORM]), *first)
    found: UUID | None = await connection.scalar(wanted.order_by(moves.c.tenant == PLATFORM, moves.c.id).limit(1))
    return found


def select_versions(tenant: str, role: Role) -> Any:
    """The versions that a tenant sees of a role: its own, and the platform's."""
    columns = [column for column in versions.c if column.name != "guidelines"]
    counted = func.cardinality(versions.c.guidelines).label("guidelines")
    return select(*columns, counted).where(versions.c.tenant.in_([tenant, PLATFORM]), versions.c.role == role)


def version_view(row: Row[Any]) -> VersionView:
    """A version from its row of `select_versions`."""
    return VersionView(**{name: row._mapping[name] for name in VersionView.model_fields})


async def read_moves(
    connection: AsyncConnection, tenant: str, role: Role, before: int | None, limit: int
) -> list[MoveView]:
    """The log, newest first."""
    mine = (moves.c.tenant.in_([tenant, PLATFORM]), moves.c.role == role)
    wanted = select(moves, moves.c.id.label("number")).where(*mine)
    if before is not None:
        wanted = wanted.where(moves.c.id < before)
    rows = await connection.execute(wanted.order_by(moves.c.id.desc()).limit(limit))
    return [MoveView(**{name: row._mapping[name] for name in MoveView.model_fields}) for row in rows]


def guideline_views(prompt: Prompt) -> tuple[GuidelineView, ...]:
    """The guidelines with their numbers."""
    return tuple(GuidelineView(number=n, id=each.id, text=each.text) for n, each in enumerate(prompt.guidelines, 1))


async def read_difference(connection: AsyncConnection, prompt: Prompt, against: UUID) -> PromptDifference:
    """What a prompt has that another has not.

    Raises:
        LookupError: there is no other such version.
    """
    other = await read_prompt(connection, against)
    if other.role != prompt.role:
        raise LookupError(f"no version {against} of the prompt")
    mine, theirs = ([each.text for each in of.guidelines] for of in (prompt, other))
    return PromptDifference(
        against=against,
        added=tuple(each for each in mine if each not in theirs),
        removed=tuple(each for each in theirs if each not in mine),
        base_changed=prompt.base != other.base,
    )
