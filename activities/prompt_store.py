"""The prompt that a step is asked with: the version its task was pinned to, or the file of this release."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.prompts import base_prompt, prompt_version
from activities.text_cache import Remembered
from schema.database import Database
from schema.messages.steps import Asked, Role
from schema.prompts import LEARNED, Prompt, read_changed_prompt, read_prompt
from schema.texts import digest_of

LEAN_CHARACTERS = 1_200
"""Of guidelines in a small model's brief, which has little room: of more of them, the newest that fit."""

log = structlog.get_logger()


@dataclass(frozen=True)
class AskedPrompt:
    """What a role is told, whatever it is asked.

    Attributes:
        version: what the ledger names it by: a version's id, with that of a proposed change to it; or where there is
            none the base's hash.
        system: the base, and under it what was learned.
        guidelines: what was learned, in its order.
    """

    version: str
    system: str
    guidelines: tuple[str, ...] = ()

    @property
    def lean(self) -> str:
        """What was learned, for models that have no system prompt; empty where there is nothing."""
        kept: list[str] = []
        for guideline in reversed(self.guidelines):
            if sum(map(len, kept)) + len(guideline) > LEAN_CHARACTERS:
                break
            kept.append(guideline)
        return "\n".join([LEARNED, *(f"- {each}" for each in reversed(kept))]) if kept else ""


def base_of(role: Asked) -> AskedPrompt:
    """The prompt of a task that no version is pinned to, as one of the release before, and of the supervisor."""
    return AskedPrompt(prompt_version(role), base_prompt(role))


async def install_bases(database: Database) -> None:
    """Make this release's base prompts those in force. What was learned stays, on the new base, and that is told.

    Raises:
        DBAPIError: the database is away, or not migrated yet.
    """
    for role in get_args(Role):
        base = base_prompt(role)
        async with database.service() as connection:
            kept = await connection.scalar(_INSTALL, {"role": role, "digest": digest_of(base), "base": base})
        if kept:
            log.warning("learned guidelines were put on a new base prompt", role=role, guidelines=kept)


async def prompt_of(
    connection: AsyncConnection, database: Database, tenant: str, role: Asked, version: UUID | None, change: UUID | None
) -> AskedPrompt:
    """A version as a role is asked with it; versions never change, so that each is read once.

    Args:
        change: a proposal whose change is made to it first.

    Raises:
        LookupError: the tenant sees no such version of the role, or no such proposal for it.
        SealBroken: a text is not the one that the version was made of.
        KeyMissing: the key ring lacks a guideline's key.
    """
    if version is None:
        return base_of(role)
    if change is not None:
        return _asked_as(await read_changed_prompt(connection, version, change), role, f"{version}+{change}")
    # By tenant too: nobody is answered from what another tenant read.
    cache, key = _CACHES.setdefault(database, Remembered()), (f"{tenant}/{role}", str(version))
    known = cache.get(key)
    if known is None:
        known = _asked_as(await read_prompt(connection, version), role, str(version))
        cache.put(key, known, len(known.system))
    return known


def _asked_as(prompt: Prompt, role: Asked, name: str) -> AskedPrompt:
    if prompt.role != role:
        raise LookupError(f"the version {prompt.version} is not one of the {role}")
    return AskedPrompt(name, prompt.system, tuple(each.text for each in prompt.guidelines))


async def pin(connection: AsyncConnection, tenant: str, task_id: UUID) -> None:
    """Pin a task to the versions in force, or to a canary's: once, so that all its steps are asked alike."""
    await connection.execute(_PIN, {"tenant": tenant, "task": task_id})


def pinned(prompts: Mapping[str, str] | None, role: Asked) -> UUID | None:
    """The version that a task's row names for a role."""
    version = (prompts or {}).get(role)
    return None if version is None else UUID(version)


_INSTALL = text("SELECT install_base_prompt(:role, :digest, :base)")
_PIN = text(
    "SELECT pin_prompts(:tenant, task_id) FROM tasks WHERE task_id = :task AND kind <> 'learning' AND prompts IS NULL"
)
_CACHES: WeakKeyDictionary[Database, Remembered[AskedPrompt]] = WeakKeyDictionary()
