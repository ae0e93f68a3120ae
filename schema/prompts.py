"""Prompts as they are stored: a base, and guidelines in their order. What is read is checked against its digest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import SealBroken
from schema.messages.learning import PromptOp
from schema.messages.steps import Role
from schema.tables import learning_updates, prompt_bases, prompt_guidelines, prompt_versions
from schema.texts import digest_of

MAX_GUIDELINES = 30
LEARNED = "What earlier work of this kind has taught:"


@dataclass(frozen=True)
class Guideline:
    """One learned sentence of a prompt."""

    id: UUID
    text: str


@dataclass(frozen=True)
class Prompt:
    """One version of a role's prompt."""

    version: UUID
    role: Role
    base: str
    guidelines: tuple[Guideline, ...] = ()

    @property
    def learned(self) -> str:
        """The guidelines as they stand in the prompt; empty where there are none."""
        return "\n".join([LEARNED, *(f"- {each.text}" for each in self.guidelines)]) if self.guidelines else ""

    @property
    def system(self) -> str:
        """What the model is told."""
        return f"{self.base}\n\n{self.learned}" if self.guidelines else self.base


async def read_prompt(connection: AsyncConnection, version: UUID) -> Prompt:
    """A version with its texts.

    Raises:
        LookupError: the tenant sees no such version.
        SealBroken: a text is not the one that the version was made of.
        KeyMissing: the key ring lacks a guideline's key.
    """
    rows = await connection.execute(
        select(prompt_versions, prompt_bases.c.base.label("base_text"))
        .join(prompt_bases, prompt_bases.c.digest == prompt_versions.c.base)
        .where(prompt_versions.c.id == version)
    )
    row = rows.one_or_none()
    if row is None:
        raise LookupError(f"no version {version} of a prompt")
    found = await read_guidelines(connection, row.guidelines)
    if digest_of(row.base_text) != row.base or prompt_digest(row.base, [each.text for each in found]) != row.digest:
        raise SealBroken(f"the prompt {version} is not the one that was made")
    return Prompt(version, row.role, row.base_text, tuple(found))


async def read_changed_prompt(connection: AsyncConnection, version: UUID, update_id: UUID) -> Prompt:
    """A version with a proposal's change made to it: what its approval would make of that version.

    Raises:
        LookupError: there is no such version or proposal, it is another role's, or it changes a guideline that the
            version hasn't.
        SealBroken, KeyMissing: as `read_prompt`; the proposal is not what its digest says.
    """
    prompt = await read_prompt(connection, version)
    row = (await connection.execute(select(learning_updates).where(learning_updates.c.id == update_id))).one_or_none()
    if row is None or row.role != prompt.role:
        raise LookupError(f"no proposal {update_id} for the {prompt.role}'s prompt")
    found = {each.id: each for each in await read_guidelines(connection, _ids(row.old_guideline, row.new_guideline))}
    old, new = found.get(row.old_guideline), found.get(row.new_guideline)
    before, after = [None if each is None else each.text for each in (old, new)]
    if row.digest != update_digest(row.tenant, row.role, row.op, before, after, row.parent_version):
        raise SealBroken(f"the proposal {update_id} is not the one that was made")
    return replace(prompt, guidelines=_changed(prompt.guidelines, old, new))


def _changed(before: tuple[Guideline, ...], old: Guideline | None, new: Guideline | None) -> tuple[Guideline, ...]:
    """As `approve_prompt_update` does it: added at the end, changed in its place, or left out."""
    if old is None:
        return (*before, new) if new is not None else before
    if old not in before:
        raise LookupError(f"the version has no guideline {old.id}")
    put = () if new is None else (new,)
    return tuple(kept for each in before for kept in (put if each == old else (each,)))


def _ids(*ids: UUID | None) -> list[UUID]:
    return [each for each in ids if each is not None]


async def read_guidelines(connection: AsyncConnection, ids: Sequence[UUID]) -> list[Guideline]:
    """Guidelines in the order asked for.

    Raises:
        SealBroken: one is not there, or not what it was.
    """
    wanted = select(prompt_guidelines).where(prompt_guidelines.c.id.in_(list(ids)))
    found = {row.id: row for row in await connection.execute(wanted)} if ids else {}
    for each in ids:
        if each not in found or digest_of(found[each].guideline) != found[each].digest:
            raise SealBroken(f"the guideline {each} is not the one that was stored")
    return [Guideline(each, found[each].guideline) for each in ids]


async def active_version(connection: AsyncConnection, tenant: str, role: Role) -> UUID | None:
    """The version in force for a tenant; None before any was installed."""
    asked = {"tenant": tenant, "role": role}
    found: UUID | None = await connection.scalar(text("SELECT active_prompt(:tenant, :role)"), asked)
    return found


def prompt_digest(base: str, guidelines: Sequence[str]) -> str:
    """Of a version: SHA-256 over the digests of its parts, as `prompt_digest` in migration 0013.

    Args:
        base: the digest of the base prompt.
        guidelines: their texts, in order.
    """
    return _joined(["golden-prompt-1", base, *map(digest_of, guidelines)])


def update_digest(
    tenant: str, role: Role, op: PromptOp, before: str | None, after: str | None, parent: UUID | None
) -> str:
    """Of a proposal, which is what an approver says yes to: as `prompt_update_digest` in migration 0013."""
    texts = ["-" if each is None else digest_of(each) for each in (before, after)]
    return _joined(["golden-prompt-update-1", tenant, role, op, *texts, *([str(parent)] if parent else [])])


def _joined(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
