"""The audit log: one hash chain a tenant, to which records are appended in groups, and never changed.

The database writes the chain (`audit_append` in migration 0002); `recompute` is the same hash in Python, so that a
chain can be verified without believing the database that holds it (`schema/audit_check.py`).
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator
from sqlalchemy import and_, or_, outerjoin, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.messages.base import Message, TextRef
from schema.tables import audit_heads, audit_records
from schema.texts import canonical_json, digest_of, storable

PLATFORM = "*"
"""The chain of what belongs to no tenant; only the service role appends to it."""

GENESIS = "0" * 64
"""What the first record of a chain has as the hash before it."""

MAX_TEXT = 1_000

_HASH = re.compile(r"[0-9a-f]{64}")
_VERSION = "golden-audit-1"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _kept(unverified_text: str) -> str:
    return storable(unverified_text)[:MAX_TEXT]


AuditText = Annotated[str, AfterValidator(_kept)]
"""Text as it is recorded: cut to `MAX_TEXT` characters, with U+FFFD for what PostgreSQL can't hold."""


class AuditRecord(Message):
    """What is told of one act or decision.

    Attributes:
        actor: the subject of the token, or the part of Golden that acted.
        action, object: what was done, and to what, by id.
        outcome, reason: how it went, and why.
        digest: `payload_digest` of what was sent or came of it; never the payload, a secret or a prompt.
    """

    actor: AuditText
    role: AuditText | None = None
    action: AuditText
    object: AuditText | None = None
    outcome: AuditText
    reason: AuditText | None = None
    request_id: AuditText | None = None
    trace_id: AuditText | None = None
    digest: TextRef | None = None


class ListedRecord(AuditRecord):
    """A record in its place, as it is shown to whoever may read it. `sequence` counts from 1 without gaps.

    Attributes:
        at: none where there is no time that the calendar has. Golden writes no such record: somebody changed it.
    """

    tenant: str
    sequence: int
    at: datetime | None
    previous: TextRef
    hash: TextRef


class ChainedRecord(ListedRecord):
    """A record as it was written: the database gave it place and time."""

    at: datetime


class Head(Message):
    """How long a chain is, and the hash of its last record."""

    tenant: str
    sequence: int
    hash: TextRef


def payload_digest(payload: Any) -> str:
    """SHA-256 of the canonical JSON of a payload, hexadecimal."""
    return digest_of(canonical_json(payload))


async def append(connection: AsyncConnection, tenant: str, records: Sequence[AuditRecord]) -> int:
    """Append records in their order, in the transaction of the act that they tell; returns the chain's new length.

    The chain is held until that transaction ends: append last, and to one chain, or to several in the order of their
    names. So whoever waits for a chain holds nothing that the one who has it still wants, and nobody waits for ever.
    If this fails, so must the act.
    """
    entries = json.dumps([record.model_dump() for record in records])
    appended = await connection.execute(
        text("SELECT audit_append(:tenant, CAST(:entries AS jsonb))"), {"tenant": tenant, "entries": entries}
    )
    return int(appended.scalar_one())


@dataclass(frozen=True)
class Heads:
    """The heads of all chains that a connection may see and that are not empty.

    Attributes:
        true: those whose last record is there, with the same hash.
        false: the tenants of the others, whose heads somebody wrote who is not `audit_append`.
    """

    true: list[Head]
    false: list[str]


async def read_heads(connection: AsyncConnection) -> Heads:
    """All heads, each held against the record that it says is the last."""
    heads, records = audit_heads.c, audit_records.c
    same = and_(records.tenant == heads.tenant, records.sequence == heads.sequence, records.hash == heads.hash)
    found = await connection.execute(
        select(audit_heads, records.hash.label("recorded"))
        .select_from(outerjoin(audit_heads, audit_records, same))
        .where(heads.tenant.is_not(None), or_(heads.sequence.is_(None), heads.sequence != 0))
    )
    true, false = [], []
    for row in found:
        if row.recorded is None or not _HASH.fullmatch(row.recorded):
            false.append(row.tenant)
        else:
            true.append(Head(tenant=row.tenant, sequence=row.sequence, hash=row.hash))
    return Heads(true, false)


def recompute(record: ChainedRecord, previous: str) -> str:
    """The hash that `record` must have after a record whose hash is `previous`.

    SHA-256 of the 32 bytes of `previous` and the fields in order: each as its length in bytes of UTF-8, a colon, its
    text and a comma; a missing one as a hyphen and a comma. Times are microseconds since 1970 in UTC.
    """
    fields = (
        _VERSION,
        record.tenant,
        str(record.sequence),
        str((record.at - _EPOCH) // timedelta(microseconds=1)),
        record.actor,
        record.role,
        record.action,
        record.object,
        record.outcome,
        record.reason,
        record.request_id,
        record.trace_id,
        record.digest,
    )
    return hashlib.sha256(bytes.fromhex(previous) + b"".join(map(_framed, fields))).hexdigest()


def _framed(field: str | None) -> bytes:
    if field is None:
        return b"-,"
    content = field.encode()
    return b"%d:%b," % (len(content), content)
