"""The audit records of one task, each with the part of the chain from it to the next head that was signed.

Between the two stand the records of others: they are shown as their leaves, by which the chain goes on, and of which
nobody can read what they say.
"""

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import and_, func, not_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.anchor import Anchor
from schema.audit import ChainedRecord, chained, leaf_of
from schema.evidence import AuditFact, Link, Segment
from schema.tables import audit_records

LOOKS = ("tasks.show", "tasks.result", "tasks.events", "tasks.consensus", "tasks.findings", "tasks.evidence")
"""Actions that only read a task."""
MOST_LINKS = 5_000
"""Where no head was signed for so many records, the bundle's own signature is all that vouches for the place."""
TRIES, PAUSE_SECONDS = 8, 0.3
"""A head is signed within a second: so long is waited for that of a record just written."""


async def read_audit(connection: AsyncConnection, tenant: str, objects: Collection[str], anchors: Path) -> AuditFact:
    """What was done to these objects, proven as far as heads were signed."""
    record = audit_records.c
    about = and_(record.tenant == tenant, record.object.in_(list(objects)))
    look = and_(record.action.in_(LOOKS), record.outcome == "allowed")
    looks = await connection.scalar(select(func.count()).select_from(audit_records).where(about, look))
    acts = await connection.scalars(select(record.sequence).where(about, not_(look)).order_by(record.sequence))
    mine = [int(each) for each in acts]
    signed = await _signed_heads(anchors, tenant, mine)
    spans = _spans(mine, sorted(signed))
    return AuditFact(
        looks=int(looks or 0),
        segments=tuple([await _segment(connection, tenant, span, set(mine), signed) for span in spans]),
    )


async def _signed_heads(path: Path, tenant: str, mine: Sequence[int]) -> dict[int, Anchor]:
    """By length of the chain, the signed heads; waits a little for one that reaches the last record."""
    found: dict[int, Anchor] = {}
    for tried in range(TRIES if mine else 0):
        found = await asyncio.to_thread(_read_heads, path, tenant, mine[0])
        if max(found, default=0) >= mine[-1]:
            break
        await asyncio.sleep(PAUSE_SECONDS if tried < TRIES - 1 else 0)
    return found


def _read_heads(path: Path, tenant: str, since: int) -> dict[int, Anchor]:
    named = f'"tenant":"{tenant}"'.encode()
    found: dict[int, Anchor] = {}
    if not path.exists():
        return {}
    with path.open("rb") as file:
        for line in file:
            if named not in line:
                continue
            try:
                anchor = Anchor.model_validate_json(line)
            except ValidationError:
                continue  # `golden audit verify` tells of it
            if anchor.tenant == tenant and anchor.sequence >= since:
                found.setdefault(anchor.sequence, anchor)
    return found


def _spans(mine: Sequence[int], heads: Sequence[int]) -> list[tuple[int, int]]:
    """From each record that no span before reached, to the next signed head; else the record by itself."""
    spans: list[tuple[int, int]] = []
    for sequence in mine:
        if spans and sequence <= spans[-1][1]:
            continue
        head = next((each for each in heads if sequence <= each < sequence + MOST_LINKS), sequence)
        spans.append((sequence, head))
    return spans


async def _segment(
    connection: AsyncConnection, tenant: str, span: tuple[int, int], mine: set[int], signed: dict[int, Anchor]
) -> Segment:
    record = audit_records.c
    within = select(audit_records).where(record.tenant == tenant, record.sequence.between(*span))
    rows = await connection.execute(within.order_by(record.sequence))
    records = [ChainedRecord.model_validate(dict(row._mapping)) for row in rows]
    return Segment(
        first=span[0],
        previous=records[0].previous,
        links=tuple(_link(each, mine) for each in records),
        anchor=signed.get(span[1]),
    )


def _link(record: ChainedRecord, mine: set[int]) -> Link:
    if record.sequence in mine:
        return Link(record=record)
    leaf = leaf_of(record)
    return Link(leaf=leaf) if chained(leaf, record.previous) == record.hash else Link(hash=record.hash)


def anchor_keys(audit: AuditFact) -> set[str]:
    """The ids of the keys that signed heads."""
    return {segment.anchor.kid for segment in audit.segments if segment.anchor is not None}
