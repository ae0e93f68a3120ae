"""What somebody could do to an audit chain who owns the database: each with what has to be found, and where."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.audit import GENESIS, ChainedRecord, recompute
from schema.audit_check import Kind
from schema.tables import audit_heads, audit_records

LENGTH = 9
ANCHORED = (3, 6, 9)
"""The chains that are tampered with have nine records, of which every third was anchored when it was the last."""

Tamper = Callable[[AsyncConnection, str], Awaitable[None]]


@dataclass(frozen=True)
class Tampering:
    """Attributes:
    bad: the record that must be named.
    """

    name: str
    tamper: Tamper
    kind: Kind
    bad: int


async def unlock(connection: AsyncConnection) -> None:
    """Take away what keeps even the owner from changing records."""
    for table in ("audit_records", "audit_heads"):
        await connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    await connection.execute(text("ALTER TABLE audit_records DROP CONSTRAINT IF EXISTS audit_records_pkey"))


async def lock(connection: AsyncConnection) -> None:
    """Put the triggers back, as somebody would who wants it not to show."""
    for table in ("audit_records", "audit_heads"):
        await connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


async def read(connection: AsyncConnection, tenant: str) -> list[ChainedRecord]:
    query = select(audit_records).where(audit_records.c.tenant == tenant).order_by(audit_records.c.sequence)
    return [ChainedRecord.model_validate(dict(row._mapping)) for row in await connection.execute(query)]


async def write_anew(connection: AsyncConnection, tenant: str, records: list[ChainedRecord]) -> None:
    """The chain as if these had been appended in this order: numbered, linked, hashed, with its head."""
    await connection.execute(delete(audit_records).where(audit_records.c.tenant == tenant))
    previous = GENESIS
    for number, record in enumerate(records, start=1):
        placed = record.model_copy(update={"sequence": number, "previous": previous})
        previous = recompute(placed, previous)
        await connection.execute(insert(audit_records).values(**placed.model_dump(exclude={"hash"}), hash=previous))
    await set_head(connection, tenant, len(records), previous)


async def set_head(connection: AsyncConnection, tenant: str, sequence: int, hash: str) -> None:
    values = {"sequence": sequence, "hash": hash}
    await connection.execute(update(audit_heads).where(audit_heads.c.tenant == tenant).values(**values))


async def change(connection: AsyncConnection, tenant: str, number: int, **values: Any) -> None:
    columns = audit_records.c
    mine = update(audit_records).where(columns.tenant == tenant, columns.sequence == number)
    await connection.execute(mine.values(**values))


async def remove(connection: AsyncConnection, tenant: str, first: int, last: int) -> None:
    columns = audit_records.c
    mine = delete(audit_records).where(columns.tenant == tenant, columns.sequence.between(first, last))
    await connection.execute(mine)


async def cut(connection: AsyncConnection, tenant: str) -> None:
    await remove(connection, tenant, 8, LENGTH)


async def cut_with_head(connection: AsyncConnection, tenant: str) -> None:
    await cut(connection, tenant)
    await set_head(connection, tenant, 7, (await read(connection, tenant))[-1].hash)


async def cut_everything(connection: AsyncConnection, tenant: str) -> None:
    await remove(connection, tenant, 1, LENGTH)
    await connection.execute(delete(audit_heads).where(audit_heads.c.tenant == tenant))


async def edit(connection: AsyncConnection, tenant: str) -> None:
    await change(connection, tenant, 4, actor="somebody else")


async def edit_the_last(connection: AsyncConnection, tenant: str) -> None:
    await change(connection, tenant, LENGTH, outcome="allowed")


async def edit_the_time(connection: AsyncConnection, tenant: str) -> None:
    at = (await read(connection, tenant))[3].at - timedelta(microseconds=1)
    await change(connection, tenant, 4, at=at)


async def edit_with_its_hash(connection: AsyncConnection, tenant: str) -> None:
    record = (await read(connection, tenant))[3].model_copy(update={"actor": "somebody else"})
    await change(connection, tenant, 4, actor=record.actor, hash=recompute(record, record.previous))


async def edit_the_link(connection: AsyncConnection, tenant: str) -> None:
    record = (await read(connection, tenant))[6]
    await change(connection, tenant, 7, previous="f" * 64, hash=recompute(record, "f" * 64))


def at_time(at: str | None) -> Tamper:
    """Another time in record 4, which need not be one that Python knows."""

    async def tamper(connection: AsyncConnection, tenant: str) -> None:
        await connection.execute(text("ALTER TABLE audit_records ALTER at DROP NOT NULL"))
        changed = text("UPDATE audit_records SET at = CAST(:at AS timestamptz) WHERE tenant = :tenant AND sequence = 4")
        await connection.execute(changed, {"at": at, "tenant": tenant})

    return tamper


def without(column: str, number: int = 4) -> Tamper:
    """NULL in a column that never is."""

    async def tamper(connection: AsyncConnection, tenant: str) -> None:
        await connection.execute(text(f"ALTER TABLE audit_records ALTER {column} DROP NOT NULL"))
        await change(connection, tenant, number, **{column: None})

    return tamper


def link_to(previous: str) -> Tamper:
    async def tamper(connection: AsyncConnection, tenant: str) -> None:
        await connection.execute(
            text("ALTER TABLE audit_records DROP CONSTRAINT IF EXISTS audit_records_previous_check")
        )
        await change(connection, tenant, 5, previous=previous)

    return tamper


def head_without(column: str) -> Tamper:
    async def tamper(connection: AsyncConnection, tenant: str) -> None:
        await connection.execute(text(f"ALTER TABLE audit_heads ALTER {column} DROP NOT NULL"))
        mine = update(audit_heads).where(audit_heads.c.tenant == tenant)
        await connection.execute(mine.values(**{column: None}))

    return tamper


async def insert_one(connection: AsyncConnection, tenant: str) -> None:
    records = await read(connection, tenant)
    columns = audit_records.c
    later = update(audit_records).where(columns.tenant == tenant, columns.sequence >= 5)
    await connection.execute(later.values(sequence=columns.sequence + 1))
    added = records[4].model_copy(update={"actor": "put in", "previous": records[3].hash})
    values = added.model_dump(exclude={"hash"})
    await connection.execute(insert(audit_records).values(**values, hash=recompute(added, added.previous)))


async def reorder(connection: AsyncConnection, tenant: str) -> None:
    for old, new in ((4, 100), (5, 4), (100, 5)):
        await change(connection, tenant, old, sequence=new)


async def delete_one(connection: AsyncConnection, tenant: str) -> None:
    await remove(connection, tenant, 5, 5)


async def delete_one_and_close_the_gap(connection: AsyncConnection, tenant: str) -> None:
    await delete_one(connection, tenant)
    columns = audit_records.c
    later = update(audit_records).where(columns.tenant == tenant, columns.sequence > 5)
    await connection.execute(later.values(sequence=columns.sequence - 1))


async def fork(connection: AsyncConnection, tenant: str) -> None:
    other = (await read(connection, tenant))[4].model_copy(update={"actor": "another branch"})
    values = other.model_dump(exclude={"hash"})
    await connection.execute(insert(audit_records).values(**values, hash=recompute(other, other.previous)))


async def rewrite(connection: AsyncConnection, tenant: str) -> None:
    records = await read(connection, tenant)
    changed = [record.model_copy(update={"actor": "nobody"}) for record in records]
    await write_anew(connection, tenant, changed)


async def rewrite_the_end(connection: AsyncConnection, tenant: str) -> None:
    records = await read(connection, tenant)
    await write_anew(
        connection, tenant, [*records[:4], records[4].model_copy(update={"actor": "nobody"}), *records[5:]]
    )


async def rewrite_without_one(connection: AsyncConnection, tenant: str) -> None:
    records = await read(connection, tenant)
    await write_anew(connection, tenant, [*records[:6], *records[7:]])


async def append_around_the_function(connection: AsyncConnection, tenant: str) -> None:
    last = (await read(connection, tenant))[-1]
    added = last.model_copy(update={"sequence": LENGTH + 1, "previous": last.hash})
    values = added.model_dump(exclude={"hash"})
    await connection.execute(insert(audit_records).values(**values, hash=recompute(added, added.previous)))


async def move_the_head(connection: AsyncConnection, tenant: str) -> None:
    await set_head(connection, tenant, LENGTH, "f" * 64)


TAMPERINGS = (
    Tampering("a cut tail", cut, "cut", 8),
    Tampering("a cut tail with a head to match", cut_with_head, "cut", 8),
    Tampering("a chain that is gone", cut_everything, "cut", 1),
    Tampering("an edit", edit, "edited", 4),
    Tampering("an edit of the last", edit_the_last, "edited", 9),
    Tampering("an edit of a time by a microsecond", edit_the_time, "edited", 4),
    Tampering("an edit with a hash to match", edit_with_its_hash, "edited", 4),
    Tampering("an insertion", insert_one, "misplaced", 5),
    Tampering("an edit of a link with a hash to match, after an anchor", edit_the_link, "misplaced", 7),
    Tampering("an edit of the time to infinity", at_time("infinity"), "edited", 4),
    Tampering("an edit of the time to minus infinity", at_time("-infinity"), "edited", 4),
    Tampering("an edit of the time to the year 12000", at_time("12000-01-01"), "edited", 4),
    Tampering("an edit of the time to before Christ", at_time("0044-03-15 BC"), "edited", 4),
    Tampering("a time that is gone", at_time(None), "edited", 4),
    Tampering("a hash that is gone", without("hash"), "edited", 4),
    Tampering("a link that is gone", without("previous"), "edited", 4),
    Tampering("an actor that is gone", without("actor"), "edited", 4),
    Tampering("a number that is gone", without("sequence"), "missing", 4),
    Tampering("the last number that is gone", without("sequence", LENGTH), "edited", 9),
    Tampering("a link that is no hash", link_to("rubbish"), "misplaced", 5),
    Tampering("a reorder", reorder, "misplaced", 4),
    Tampering("a deletion", delete_one, "missing", 5),
    Tampering("a deletion without a gap", delete_one_and_close_the_gap, "misplaced", 5),
    Tampering("a fork", fork, "twice", 5),
    Tampering("a whole rewrite", rewrite, "rewritten", 1),
    Tampering("a rewrite of the end", rewrite_the_end, "rewritten", 4),
    Tampering("a rewrite without one", rewrite_without_one, "cut", 9),
    Tampering("a record that was not appended", append_around_the_function, "head", 10),
    Tampering("a head without a length", head_without("sequence"), "head", 9),
    Tampering("a head without a hash", head_without("hash"), "head", 9),
    Tampering("a head that was moved", move_the_head, "head", 9),
)
