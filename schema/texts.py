"""Large texts, stored once for each tenant by content hash, encrypted, and passed on by reference."""

import hashlib
import json
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import SealBroken, TextLost
from schema.tables import text_uses, texts


def digest_of(body: str) -> str:
    """SHA-256 of `body` in UTF-8, hexadecimal: the reference under which it is stored."""
    return hashlib.sha256(body.encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """One text for one value: members in order, no white space."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def storable(unverified_text: str) -> str:
    """The text with U+FFFD where it has what PostgreSQL can't hold: NUL and unpaired surrogates."""
    return unverified_text.replace("\x00", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")


# Made once: to put a statement together takes longer than to send it.
_PUT = insert(texts).on_conflict_do_nothing()
_USE = insert(text_uses).on_conflict_do_nothing()
_GET = select(texts.c.digest, texts.c.body).where(
    texts.c.tenant == bindparam("of_tenant", type_=Text()),
    texts.c.digest == func.any(bindparam("wanted", type_=ARRAY(Text()))),
)


async def put_text(
    connection: AsyncConnection, tenant: str, body: str, used_by: UUID | None = None, *, of_run: bool = False
) -> str:
    """Store `body` unless it is there already, and return its reference.

    Args:
        used_by: the task, or with `of_run` the run of a program, that it is of: erased with the last of them. What a
            task's own row or one of its calls names is known without it.
    """
    digest = digest_of(body)
    await connection.execute(_PUT, {"tenant": tenant, "digest": digest, "body": body})
    if used_by is not None:
        use = {"tenant": tenant, "digest": digest, "used_by": used_by, "of_run": of_run}
        await connection.execute(_USE, use)
    return digest


async def get_text(connection: AsyncConnection, tenant: str, digest: str) -> str:
    """The text behind a reference.

    Raises:
        TextLost: the tenant has no such text.
        KeyMissing: the key ring lacks its key.
        SealBroken: it is not the text that was stored.
    """
    return str((await get_texts(connection, tenant, digest))[0])


async def get_texts(connection: AsyncConnection, tenant: str, *digests: str | None) -> list[str | None]:
    """The texts behind references, in their order, in one round trip; None stays None.

    Raises:
        TextLost, KeyMissing, SealBroken: as `get_text`, of any of them.
    """
    wanted = {digest for digest in digests if digest is not None}
    found: dict[str, str] = {}
    if wanted:
        rows = await connection.execute(_GET, {"of_tenant": tenant, "wanted": list(wanted)})
        found = {row.digest: str(row.body) for row in rows}
    for digest in wanted:
        if digest not in found:
            raise TextLost(f"no text {digest[:12]} in tenant {tenant}")
        if digest_of(found[digest]) != digest:
            raise SealBroken(f"the text {digest[:12]} is not the one that was stored")
    return [None if digest is None else found[digest] for digest in digests]
