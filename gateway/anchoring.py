"""Keeps the signed heads of the audit chains outside the database while records are appended."""

import asyncio

import structlog

from gateway import metrics
from gateway.audit import AuditLog
from schema.anchor import AnchorFile
from schema.audit import Head, read_heads
from schema.database import Database
from schema.settings import Settings

EVERY_SECONDS = 0.5

log = structlog.get_logger(__name__)


class Anchoring:
    """Anchors what anybody has appended, this gateway, another or a worker, within a second."""

    def __init__(self, settings: Settings, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit
        self._file = AnchorFile(settings)
        self._file.prepare()
        self._kept: dict[str, Head] = {}
        self._false: set[str] = set()

    async def run(self) -> None:
        """Anchor again and again until cancelled. What can't be anchored now is tried again, and stays behind."""
        while True:
            await self._try(everything=False)
            await asyncio.sleep(EVERY_SECONDS)

    async def finish(self) -> None:
        """Anchor what there is at the end."""
        await self._try(everything=True)

    async def keep(self) -> None:
        """Anchor every head that has moved and whose record is there: what is signed here can't be taken back."""
        async with self._database.service() as connection:
            heads = await read_heads(connection)
        self._warn_of_false(set(heads.false))
        moved = [head for head in heads.true if head != self._kept.get(head.tenant)]
        if moved:
            added = await asyncio.to_thread(self._file.append, moved)
            metrics.AUDIT_ANCHORS.labels("kept").inc(added)
        self._warn(moved)
        self._kept |= {head.tenant: head for head in moved}

    async def _try(self, *, everything: bool) -> None:
        try:
            await self._audit.tell_missed(everything=everything)
            await self.keep()
        except Exception as error:
            # Anchors that are late show in `golden audit verify`; requests go on.
            metrics.AUDIT_ANCHORS.labels("failed").inc()
            log.warning("audit heads not anchored yet", error=type(error).__name__)

    def _warn_of_false(self, tenants: set[str]) -> None:
        for tenant in sorted(tenants - self._false):
            log.error(
                "an audit chain's head is of no record, and is not anchored: run golden audit verify", tenant=tenant
            )
        self._false = tenants

    def _warn(self, moved: list[Head]) -> None:
        for head in moved:
            kept = self._kept.get(head.tenant)
            if kept is not None and head.sequence <= kept.sequence:
                log.error("an audit chain went back: run golden audit verify", tenant=head.tenant)
