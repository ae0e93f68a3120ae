"""Gathers what a proposed guideline is checked against: the prompt in force, and the tasks that it was learned from."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy import select

from schema.errors import SealBroken
from schema.guidelines import faults
from schema.messages.steps import Role
from schema.prompts import active_version, read_prompt
from schema.tables import tasks
from schema.texts import get_text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from schema.database import Database

MAX_TASKS = 50

UNREADABLE = "A task behind it can't be read, so nobody knows whether it is a copy: propose it again when it can."


async def check_guideline(
    database: "Database",
    tenant: str,
    role: str,
    unverified_guideline: str,
    task_ids: Sequence[UUID],
    *,
    replaces: str | None = None,
) -> list[str]:
    """Why a guideline may not be used, as `schema.guidelines.faults` says it; empty where it may.

    Args:
        task_ids: the tasks behind it, none of whose text may be in it; the first `MAX_TASKS` are read.
        replaces: the guideline that it is to stand for, which it may be like.

    Raises:
        KeyMissing: the key of a text is not there now.
        SealBroken: the prompt in force is not what it was.
    """
    async with database.tenant(tenant) as connection:
        version = await active_version(connection, tenant, cast(Role, role))
        prompt = None if version is None else await read_prompt(connection, version)
        try:
            sources = await _sources(connection, tenant, task_ids[:MAX_TASKS])
        except (LookupError, SealBroken):
            return [UNREADABLE]
    existing = [each.text for each in prompt.guidelines if each.text != replaces] if prompt else []
    base = prompt.base if prompt else ""
    # Tasks may be megabytes: others go on meanwhile.
    return await asyncio.to_thread(faults, unverified_guideline, existing=existing, base=base, sources=sources)


async def _sources(connection: "AsyncConnection", tenant: str, task_ids: Sequence[UUID]) -> list[str]:
    """All that the tasks say: their instructions, their files and their tests, with the names of these."""
    wanted = select(tasks.c.spec).distinct().where(tasks.c.tenant == tenant, tasks.c.task_id.in_(list(task_ids)))
    digests = (await connection.scalars(wanted)).all() if task_ids else []
    return [each for digest in digests for each in _texts(json.loads(await get_text(connection, tenant, digest)))]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            # A path; the names of fields are ours.
            if "/" in name or "." in name:
                yield name
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
