"""Idempotency keys: the same key and body find what the first request made, until that is erased."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.problems import KEY_REUSED, Problem
from gateway.services import Call
from schema.tables import idempotency_keys as keys


async def claim_key(
    connection: AsyncConnection, call: Call, *, route: str, key: str, digest: str, task_id: UUID
) -> UUID | None:
    """None if the key is new and stands for `task_id` from now on, else the task of the first request.

    A racing request waits here until the first has committed, or takes the key over if it has failed.

    Raises:
        Problem: 409, the key was used for another body.
    """
    scope = {"tenant": call.tenant, "principal": call.principal.sub, "route": route, "key": key}
    claimed = await connection.execute(
        insert(keys)
        .values(**scope, body_digest=digest, task_id=task_id)
        .on_conflict_do_nothing()
        .returning(keys.c.task_id)
    )
    if claimed.scalar_one_or_none() is not None:
        return None
    found = await connection.execute(
        select(keys.c.body_digest, keys.c.task_id).where(*(keys.c[name] == value for name, value in scope.items()))
    )
    row = found.one()
    if row.body_digest != digest:
        raise Problem(KEY_REUSED, "send the first body again, or another key for another task")
    return UUID(str(row.task_id))


async def is_claimed(call: Call, route: str, key: str) -> bool:
    """Whether a request with this key was done before: then nothing of it is checked again."""
    scope = {"tenant": call.tenant, "principal": call.principal.sub, "route": route, "key": key}
    wanted = select(keys.c.task_id).where(*(keys.c[name] == value for name, value in scope.items()))
    async with call.services.database.tenant(call.tenant) as connection:
        return await connection.scalar(wanted) is not None
