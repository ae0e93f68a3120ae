"""Whether an audit chain is what was written: recomputed from its first record on, and held against its anchors."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import psycopg
from sqlalchemy import Row, Text, cast, func, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.anchor import Anchors, Epoch
from schema.audit import EPOCH, GENESIS, ChainedRecord, recompute
from schema.messages.base import Message
from schema.tables import audit_heads, audit_records

PAGE = 500
UNANCHORED_AFTER = timedelta(minutes=1)
"""A gateway anchors each second: what is older than this and not anchored should be."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BROKEN_HEAD = (-1, "")
"""The head of a chain that has none that can be read."""

_MICROSECONDS = cast(func.trunc(func.extract("epoch", audit_records.c.at) * 1_000_000), Text)
_COLUMNS = [_MICROSECONDS.label("at") if column.name == "at" else column for column in audit_records.c]
"""`at` as text, since PostgreSQL knows times that Python has no word for, and somebody may have put one in."""

Kind = Literal["missing", "twice", "edited", "misplaced", "rewritten", "cut", "head", "unanchored", "anchors", "epoch"]


class Finding(Message):
    """What is wrong with a chain, or with the anchors (then without a record).

    Attributes:
        record: the first one that is bad, or is missing.
    """

    kind: Kind
    record: int | None
    message: str


class Gap(Message):
    """A restore that a signed anchor vouches for: records `first` to `last` are lost; none where `last` is before.

    Attributes:
        manifest: digest of the backup that was restored.
    """

    epoch: str
    first: int
    last: int
    at: datetime
    manifest: str


class ChainReport(Message):
    """What came of checking one chain.

    Attributes:
        records: how many there are, up to the first bad one.
        hash: of the last good one.
        epochs: the restores that the chain went through; they are no fault.
        anchored: the last good record that an anchor vouches for; nothing vouches for what comes after it.
    """

    tenant: str
    intact: bool
    records: int
    hash: str
    anchored: int
    findings: tuple[Finding, ...]
    epochs: tuple[Gap, ...] = ()


async def chains_of(connection: AsyncConnection, anchors: Anchors) -> list[str]:
    """The tenants of every chain that there is, or was."""
    named = union(select(audit_heads.c.tenant), select(audit_records.c.tenant)).subquery()
    found = await connection.execute(select(named.c.tenant).where(named.c.tenant.is_not(None)))
    return sorted({*found.scalars(), *anchors.heads})


async def check_chain(connection: AsyncConnection, tenant: str, anchors: Anchors) -> ChainReport:
    """Recompute one chain, in pages; records that are appended meanwhile are no fault."""
    known = anchors.heads.get(tenant, {})
    before = await _head(connection, tenant)
    walk = _Walk(known)
    query = select(*_COLUMNS).where(audit_records.c.tenant == tenant)
    ordered = query.order_by(audit_records.c.sequence, audit_records.c.at)
    try:
        async with connection.stream(ordered, execution_options={"yield_per": PAGE}) as rows:
            async for row in rows:
                if not walk.step(row):
                    break
    except psycopg.DataError:
        # It came, and can't be read: nothing that Golden writes is so.
        walk.finding = _edited(walk.count + 1)
    findings = list(filter(None, [walk.finding or walk.end(before, await _head(connection, tenant))]))
    if not findings:
        findings += await _epoch_faults(connection, tenant, anchors)
    findings += [Finding(kind="anchors", record=None, message=fault) for fault in anchors.faults[:10]]
    if not anchors.present and walk.count:
        message = "there are no anchors: a chain that was cut or rewritten as a whole looks intact"
        findings.append(Finding(kind="anchors", record=None, message=message))
    elif walk.finding is None and walk.oldest_unanchored and _now() - walk.oldest_unanchored > UNANCHORED_AFTER:
        message = f"no anchor vouches for records {walk.anchored + 1} to {walk.count}: was the anchors' end cut off?"
        findings.append(Finding(kind="unanchored", record=walk.anchored + 1, message=message))
    return ChainReport(
        tenant=tenant,
        intact=not findings,
        records=walk.count,
        hash=walk.hash,
        anchored=walk.anchored,
        findings=tuple(findings),
        epochs=tuple(map(_gap, anchors.epochs.get(tenant, ()))),
    )


def _gap(epoch: Epoch) -> Gap:
    return Gap(
        epoch=epoch.epoch, first=epoch.sequence + 1, last=epoch.lost, at=epoch.at, manifest=epoch.manifest
    )  # fmt: skip


async def _epoch_faults(connection: AsyncConnection, tenant: str, anchors: Anchors) -> list[Finding]:
    """Each restore is told twice, by a record and by a signed anchor: one without the other is made up."""
    records = audit_records.c
    rows = await connection.execute(
        select(records.sequence, records.object, records.previous).where(
            records.tenant == tenant, records.action == EPOCH
        )
    )
    told = {(row.sequence, row.object, row.previous) for row in rows}
    signed = {(each.sequence + 1, each.epoch, each.hash) for each in anchors.epochs.get(tenant, ())}
    unsigned = [
        Finding(kind="epoch", record=number, message=f"record {number} tells of a restore that no anchor vouches for")
        for number, _, _ in sorted(told - signed)
    ]
    return unsigned + [
        Finding(
            kind="epoch", record=number, message=f"the anchors tell of restore {name}, and record {number} does not"
        )
        for number, name, _ in sorted(signed - told)
    ]


class _Walk:
    """Goes along a chain to the first record that is not what it should be."""

    def __init__(self, anchored: Mapping[int, str]) -> None:
        self.count = 0
        self.hash = GENESIS
        self.anchored = 0
        self.oldest_unanchored: datetime | None = None
        self.finding: Finding | None = None
        self._before = GENESIS
        """The hash before the last good record."""
        self._anchors = anchored

    def step(self, row: Row[Any]) -> bool:
        """Whether this record is the next one, and as it was written."""
        self.finding = self._fault_of(row)
        if self.finding is not None:
            return False
        self._before = self.hash
        self.count, self.hash = row.sequence, row.hash
        if self.count in self._anchors:
            self.anchored, self.oldest_unanchored = self.count, None
        elif self.oldest_unanchored is None:
            self.oldest_unanchored = _time_of(row.at)
        return True

    def end(self, before: tuple[int, str], after: tuple[int, str]) -> Finding | None:
        """What is wrong where the records end: they must reach as far as the head and every anchor say."""
        longest = max(self._anchors, default=0)
        if self.count < max(longest, before[0]):
            vouching = "the anchors say" if longest >= before[0] else "its head says"
            message = f"there are {self.count} records, and {vouching} there were {max(longest, before[0])}"
            if self.anchored < self.count:
                message += f"; after record {self.anchored} no anchor vouches for any"
            return Finding(kind="cut", record=self.count + 1, message=message)
        if _BROKEN_HEAD in (before, after):
            message = "the chain's head can't be read: it has no length or no hash, or there are several"
            return Finding(kind="head", record=self.count, message=message)
        if self.count > after[0]:
            message = f"there are records after {after[0]}, where the chain's head is: they were not appended"
            return Finding(kind="head", record=after[0] + 1, message=message)
        if self.count == after[0] and self.hash != after[1]:
            return Finding(kind="head", record=self.count, message="the chain's head has another hash than its record")
        return None

    def _fault_of(self, row: Row[Any]) -> Finding | None:
        number = self.count + 1
        if row.sequence is None:
            return Finding(
                kind="edited", record=number, message=f"after record {self.count} comes one without a number"
            )
        if row.sequence > number:
            return Finding(kind="missing", record=number, message=f"{_span(number, row.sequence - 1)} not there")
        if row.sequence < number:
            message = f"there are two records {row.sequence}: the chain forks"
            return Finding(kind="twice", record=row.sequence, message=message)
        if row.previous is None:
            return _edited(number)
        if row.previous != self.hash:
            return self._fault_between(row, number)
        if row.hash is None or _recomputed(row, self.hash) != row.hash:
            return _edited(number)
        if self._anchors.get(number, row.hash) != row.hash:
            first = self.anchored + 1
            message = f"{_span(first, number)} not what was anchored: the chain was written anew from there on"
            return Finding(kind="rewritten", record=first, message=message)
        return None

    def _fault_between(self, row: Row[Any], number: int) -> Finding:
        """Which is the bad one of two records that don't follow each other; never one that an anchor vouches for."""
        if self.anchored < self.count:
            last = self.count
            if row.hash is not None and _recomputed(row, row.previous) == row.hash:
                self.count, self.hash = last - 1, self._before
                message = f"record {last} is not as it was written: record {number} follows another in its place"
                return Finding(kind="edited", record=last, message=message)
            if row.previous == self._before:
                self.count, self.hash = last - 1, self._before
                message = f"record {last} was put in: the one after it follows record {last - 1}"
                return Finding(kind="misplaced", record=last, message=message)
        message = f"record {number} does not follow the one before it: it was put in or moved"
        return Finding(kind="misplaced", record=number, message=message)


def _edited(number: int) -> Finding:
    return Finding(kind="edited", record=number, message=f"record {number} is not as it was written")


def _recomputed(row: Row[Any], previous: str) -> str | None:
    """The hash of a row after `previous`; None where what it holds was never written by Golden, so that it has none."""
    try:
        at = _time_of(row.at)
        return recompute(ChainedRecord.model_construct(**{**row._mapping, "at": at}), previous)
    except (ArithmeticError, AttributeError, TypeError, ValueError):
        return None


def _time_of(microseconds: str) -> datetime:
    return _EPOCH + timedelta(microseconds=int(microseconds))


def _span(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


async def _head(connection: AsyncConnection, tenant: str) -> tuple[int, str]:
    found = await connection.execute(
        select(audit_heads.c.sequence, audit_heads.c.hash).where(audit_heads.c.tenant == tenant)
    )
    rows = found.all()
    if not rows:
        return (0, GENESIS)
    sequence, hash = rows[0]
    return _BROKEN_HEAD if len(rows) > 1 or sequence is None or hash is None else (sequence, hash)


def _now() -> datetime:
    return datetime.now(UTC)


def all_intact(reports: Sequence[ChainReport]) -> bool:
    """Whether nothing was found."""
    return all(report.intact for report in reports)
