"""A restore is told twice, by a record of the chain and by a signed line beside the anchors: one alone is a forgery."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from schema.anchor import AnchorFile, read_anchors
from schema.audit import EPOCH, AuditRecord, Head, append, read_heads
from schema.audit_check import ChainReport, check_chain
from schema.database import Database
from schema.settings import Settings
from tests.support.http import tenant_name

RESTORE, MANIFEST = "restore-20261123T000000Z", "a" * 64


class Chain:
    """A tenant's chain of two anchored records, with an anchor file of its own."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.tenant = tenant_name()
        self._settings = settings
        self._database = database
        self.file = AnchorFile(settings)
        self.file.prepare()

    async def write(self, action: str = "tasks.submit", object: str | None = None) -> None:
        record = AuditRecord(actor="somebody", action=action, object=object, outcome="allowed")
        async with self._database.tenant(self.tenant) as connection:
            await append(connection, self.tenant, [record])

    async def head(self) -> Head:
        async with self._database.service() as connection:
            heads = await read_heads(connection)
        return next(head for head in heads.true if head.tenant == self.tenant)

    async def sign(self, lost: int) -> None:
        """The line of a restore to the head, which lost the records up to `lost`."""
        self.file.append_epoch(RESTORE, await self.head(), lost, MANIFEST)

    async def check(self) -> ChainReport:
        async with self._database.service() as connection:
            return await check_chain(connection, self.tenant, read_anchors(self._settings))


@pytest_asyncio.fixture
async def chain(settings: Settings, database: Database, tmp_path: Path) -> AsyncIterator[Chain]:
    chain = Chain(settings.model_copy(update={"audit_anchor": tmp_path / "anchors.jsonl"}), database)
    for _ in range(2):
        await chain.write()
    chain.file.append([await chain.head()])
    yield chain


async def test_a_restore_that_is_signed_and_recorded_is_named_with_what_it_lost(chain: Chain) -> None:
    await chain.sign(lost=7)
    await chain.write(EPOCH, RESTORE)
    report = await chain.check()

    assert report.intact, report.findings
    assert [(gap.epoch, gap.first, gap.last) for gap in report.epochs] == [(RESTORE, 3, 7)]


@pytest.mark.parametrize("told", ["the record alone", "the line alone", "a record of another name"])
async def test_a_restore_that_was_made_up_is_found(chain: Chain, told: str) -> None:
    if told != "the record alone":
        await chain.sign(lost=7)
    if told == "the line alone":
        await chain.write()
    else:
        await chain.write(EPOCH, RESTORE if told == "the record alone" else "restore-of-mine")
    report = await chain.check()

    assert not report.intact
    assert {finding.kind for finding in report.findings} == {"epoch"}
    assert report.findings[0].record == 3
