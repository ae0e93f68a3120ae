"""Who owns the database changes an audit chain: `golden audit verify` finds it, and names the first bad record."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from gateway.anchoring import Anchoring
from gateway.audit import AuditLog
from gateway.cli import application
from gateway.tokens import issue_token
from schema import audit_check
from schema.anchor import AnchorFile, read_anchors
from schema.audit import AuditRecord, append, read_heads
from schema.audit_check import ChainReport, check_chain
from schema.database import Database
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support import tampering
from tests.support.http import client, tenant_name
from tests.support.parts import free_port, running_postgres
from tests.support.tampering import ANCHORED, LENGTH, TAMPERINGS, Tampering


@dataclass
class Ledger:
    """A database of its own, which its owner may ruin, and an anchor file for each test."""

    settings: Settings
    database: Database
    owner: AsyncEngine

    async def write(self, records: int = LENGTH, anchored: tuple[int, ...] = ANCHORED) -> str:
        """A tenant's new chain."""
        tenant, file = tenant_name(), AnchorFile(self.settings)
        for number in range(1, records + 1):
            record = AuditRecord(actor=f"actor {number}", action="tasks.submit", outcome="denied")
            async with self.database.tenant(tenant) as connection:
                await append(connection, tenant, [record])
            if number in anchored:
                await self.anchor(file, tenant)
        return tenant

    async def anchor(self, file: AnchorFile, tenant: str) -> None:
        async with self.database.service() as connection:
            file.append([head for head in (await read_heads(connection)).true if head.tenant == tenant])

    async def tamper(self, tamper: tampering.Tamper, tenant: str) -> None:
        async with self.owner.begin() as connection:
            await tampering.unlock(connection)
            await tamper(connection, tenant)
            await tampering.lock(connection)

    async def check(self, tenant: str) -> ChainReport:
        anchors = read_anchors(self.settings)
        async with self.database.service() as connection:
            return await check_chain(connection, tenant, anchors)


@pytest_asyncio.fixture(scope="module")
async def postgres(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    async with running_postgres(tmp_path_factory.mktemp("tampering")) as settings:
        yield settings


@pytest_asyncio.fixture
async def ledger(postgres: Settings, tmp_path: Path) -> AsyncIterator[Ledger]:
    settings = postgres.model_copy(update={"audit_anchor": tmp_path / "anchors.jsonl"})
    database, owner = Database.from_settings(settings), create_async_engine(settings.database("migrator"))
    yield Ledger(settings, database, owner)
    await database.close()
    await owner.dispose()


@pytest.fixture
def environment(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command line needs to find this database."""
    monkeypatch.setenv("GOLDEN_HOME", str(ledger.settings.home))
    monkeypatch.setenv("GOLDEN_AUDIT_ANCHOR", str(ledger.settings.audit_anchor_file))


async def test_what_nobody_touched_is_intact(ledger: Ledger) -> None:
    tenant = await ledger.write()
    report = await ledger.check(tenant)

    assert (report.intact, report.records, report.anchored, report.findings) == (True, 9, 9, ())


@pytest.mark.parametrize("tampered", TAMPERINGS, ids=lambda each: each.name)
async def test_what_was_done_to_a_chain_is_found_and_the_first_bad_record_named(
    tampered: Tampering, ledger: Ledger
) -> None:
    tenant, other = await ledger.write(), await ledger.write()
    await ledger.tamper(tampered.tamper, tenant)
    report = await ledger.check(tenant)

    assert not report.intact
    assert (report.findings[0].kind, report.findings[0].record) == (tampered.kind, tampered.bad)
    assert (await ledger.check(other)).intact


async def test_a_chain_longer_than_a_page_is_checked_to_its_end(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_check, "PAGE", 2)
    tenant = await ledger.write()
    assert (await ledger.check(tenant)).intact
    await ledger.tamper(tampering.edit_the_last, tenant)

    assert (await ledger.check(tenant)).findings[0].record == LENGTH


@pytest.mark.parametrize("sequence", [99, 5, None], ids=str)
async def test_a_head_of_no_record_is_not_anchored_and_keeps_no_true_one_from_being(
    ledger: Ledger, sequence: int | None
) -> None:
    """What is signed stays: a head that somebody writes for a moment must not make the chain look cut for good."""
    tenant, other = await ledger.write(anchored=(3,)), await ledger.write(anchored=(3,))
    anchoring = Anchoring(ledger.settings, ledger.database, AuditLog(ledger.database))
    if sequence is None:
        await ledger.tamper(tampering.head_without("sequence"), tenant)
    else:
        await ledger.tamper(lambda connection, name: tampering.set_head(connection, name, sequence, "f" * 64), tenant)
    with capture_logs() as logs:
        await anchoring.keep()
        await anchoring.keep()

    heads = read_anchors(ledger.settings).heads
    assert (sorted(heads[tenant]), sorted(heads[other])) == ([3], [3, LENGTH])
    assert [each["log_level"] for each in logs if each.get("tenant") == tenant] == ["error"]

    async def restore(connection: AsyncConnection, name: str) -> None:
        await tampering.set_head(connection, name, LENGTH, (await tampering.read(connection, name))[-1].hash)

    await ledger.tamper(restore, tenant)
    await anchoring.keep()
    assert sorted(read_anchors(ledger.settings).heads[tenant]) == [3, LENGTH]
    assert (await ledger.check(tenant)).intact


async def test_what_was_cut_or_rewritten_after_the_last_anchor_is_not_found(ledger: Ledger) -> None:
    """As the documentation says: nothing vouches for the records of the last moment."""
    tenant = await ledger.write(anchored=(3, 6))
    await ledger.tamper(tampering.cut_with_head, tenant)

    assert (await ledger.check(tenant)).intact


async def test_records_that_should_be_anchored_by_now_and_are_not_are_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await ledger.write(anchored=(3, 6))
    assert (await ledger.check(tenant)).intact
    monkeypatch.setattr(audit_check, "UNANCHORED_AFTER", -audit_check.UNANCHORED_AFTER)
    report = await ledger.check(tenant)

    assert [(each.kind, each.record) for each in report.findings] == [("unanchored", 7)]
    assert report.anchored == 6


async def test_without_anchors_that_is_told(ledger: Ledger) -> None:
    tenant = await ledger.write()
    ledger.settings.audit_anchor_file.unlink()
    report = await ledger.check(tenant)

    assert not report.intact
    assert "anchors" in [each.kind for each in report.findings]


async def test_records_that_come_while_it_is_checked_are_no_fault(ledger: Ledger) -> None:
    tenant = await ledger.write()
    anchors = read_anchors(ledger.settings)
    async with ledger.database.service() as reading:
        before = await audit_check._head(reading, tenant)
        async with ledger.database.tenant(tenant) as connection:
            await append(connection, tenant, [AuditRecord(actor="late", action="a", outcome="allowed")])
        report = await check_chain(reading, tenant, anchors)

    assert before[0] == LENGTH
    assert (report.intact, report.records) == (True, LENGTH + 1)


class TestCommand:
    async def test_it_says_what_is_intact(self, ledger: Ledger, environment: None) -> None:
        tenant = await ledger.write()
        result = await verify("--tenant", tenant)

        assert result.exit_code == 0
        assert result.output == f"{tenant}: intact, 9 records, anchored to 9\n"

    async def test_it_says_what_is_bad_and_ends_with_1(self, ledger: Ledger, environment: None) -> None:
        tenant = await ledger.write()
        await ledger.tamper(tampering.delete_one, tenant)
        result, told = await verify("--tenant", tenant), await verify("--tenant", tenant, "--json")

        assert (result.exit_code, told.exit_code) == (1, 1)
        assert result.output == f"{tenant}: BAD, 4 records, anchored to 3\n  record 5 is not there\n"
        (chain,) = json.loads(told.output)["chains"]
        assert chain["findings"] == [{"kind": "missing", "record": 5, "message": "record 5 is not there"}]

    async def test_without_a_name_it_checks_every_chain_that_there_is_or_was(
        self, ledger: Ledger, environment: None
    ) -> None:
        gone, edited = await ledger.write(), await ledger.write()
        await ledger.tamper(tampering.cut_everything, gone)
        await ledger.tamper(tampering.edit, edited)
        reports = {each["tenant"]: each for each in json.loads((await verify("--json")).output)["chains"]}

        assert (reports[gone]["records"], reports[gone]["intact"]) == (0, False)
        assert reports[edited]["findings"][0]["record"] == 4

    async def test_what_can_not_be_read_in_one_chain_keeps_no_other_from_being_checked(
        self, ledger: Ledger, environment: None
    ) -> None:
        chains = {
            await ledger.write(): tamper
            for tamper in (
                tampering.at_time("infinity"),
                tampering.at_time(None),
                tampering.at_time("12000-01-01"),
                tampering.head_without("sequence"),
            )
        }
        for tenant, tamper in chains.items():
            await ledger.tamper(tamper, tenant)
        good = await ledger.write()
        result = await verify("--json")
        reports = {each["tenant"]: each for each in json.loads(result.output)["chains"]}

        assert result.exit_code == 1
        assert reports[good]["intact"]
        assert [reports[each]["intact"] for each in chains] == [False] * 4
        assert reports[next(iter(chains))]["findings"][0]["message"] == "record 4 is not as it was written"

    async def test_a_database_that_is_away_is_told(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("GOLDEN_HOME", str(tmp_path))
        result = await verify()

        assert "cannot read the database" in str(result.exception)


@pytest.mark.parametrize("at", ["infinity", "-infinity", "12000-01-01", "0044-03-15 BC", None])
async def test_a_record_without_a_time_is_listed_like_the_others_and_says_so(ledger: Ledger, at: str | None) -> None:
    tenant = await ledger.write()
    await ledger.tamper(tampering.at_time(at), tenant)
    settings = ledger.settings.model_copy(update={"gateway_port": free_port()})
    holder = issue_token(settings, sub="auditor", role="operator", tenant=tenant, ttl=timedelta(hours=1))
    async with running_gateway(settings), client(settings.gateway_url, holder) as http:
        answer = await http.get("/v1/audit", params={"limit": LENGTH})

    shown = [(record["sequence"], record["actor"], record["at"] is None) for record in answer.json()["items"]]
    assert shown == [(number, f"actor {number}", number == 4) for number in range(1, LENGTH + 1)]


async def verify(*arguments: str) -> Result:
    """Run `golden audit verify`, which has an event loop of its own."""
    return await asyncio.to_thread(lambda: CliRunner().invoke(application(), ["audit", "verify", *arguments]))
