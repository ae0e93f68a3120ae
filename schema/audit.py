"""The audit log: one hash chain a tenant, to which records are appended in groups, and never changed.

The database writes the chain (`audit_append`, last in migration 0016); `recompute` is the same hash in Python, so that
a chain can be verified without believing the database that holds it (`schema/audit_check.py`). A record goes into its
chain by the digest of its fields alone, its leaf: so a part of a chain can be shown with the leaves of the records
that are nobody else's business.
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

EPOCH = "audit.epoch"
"""The action of the record that begins a chain anew after a restore; a signed line of the anchors vouches for it."""

MAX_TEXT = 1_000

_HASH = re.compile(r"[0-9a-f]{64}")
_VERSION, _LEAVES = "golden-audit-1", "golden-audit-2"
"""Without leaves, and since migration 0016 with them."""

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

    SHA-256 of the 32 bytes of `previous` and the 32 of the record's leaf; of a record from before there were leaves,
    of the bytes of `previous` and the framed fields themselves, which are never as short as a leaf.
    """
    old = hashlib.sha256(bytes.fromhex(previous) + _framed_fields(record, _VERSION)).hexdigest()
    return old if old == record.hash else chained(leaf_of(record), previous)


def leaf_of(record: ChainedRecord) -> str:
    """The digest by which a record is in its chain: SHA-256 of its fields in order, each framed as `audit_leaf` does.

    Each is its length in bytes of UTF-8, a colon, its text and a comma; a missing one is a hyphen and a comma. Times
    are microseconds since 1970 in UTC.
    """
    return hashlib.sha256(_framed_fields(record, _LEAVES)).hexdigest()


def chained(leaf: str, previous: str) -> str:
    """The hash of a record whose leaf is known, after the one whose hash is `previous`."""
    return hashlib.sha256(bytes.fromhex(previous) + bytes.fromhex(leaf)).hexdigest()


def _framed_fields(record: ChainedRecord, version: str) -> bytes:
    fields = (
        version,
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
    return b"".join(map(_framed, fields))


def _framed(field: str | None) -> bytes:
    if field is None:
        return b"-,"
    content = field.encode()
    return b"%d:%b," % (len(content), content)
