"""The exporter and the gateway: every metric of the table that is theirs, and what each source finds."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio import workflow
from temporalio.client import Client
from temporalio.service import RPCError

from deploy.local.services import environment, python
from gateway.audit import AuditLog
from gateway.board import Board
from gateway.fleet import Fleet
from gateway.fleet_checks import AuditChecks, LedgerChecks
from gateway.fleet_queues import FleetQueues
from schema import metrics
from schema.audit import AuditRecord, append
from schema.database import Database
from schema.engine import SUPERVISOR_QUEUE, connect
from schema.metrics import Source
from schema.settings import Settings
from schema.tables import accounts, circuits
from tests.support.http import tenant_name
from tests.support.parts import free_port, running_postgres

OF_PROMETHEUS = {"le"}


@pytest_asyncio.fixture(scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> AsyncIterator[Settings]:
    """Settings of a PostgreSQL that no other test writes: what is counted here is counted over all tenants."""
    async with running_postgres(tmp_path_factory.mktemp("alone")) as own:
        yield own.model_copy(update={"temporal_address": settings.temporal_target})


@pytest_asyncio.fixture(scope="module")
async def books(alone: Settings) -> AsyncIterator[Database]:
    """The ways into that PostgreSQL."""
    database = Database.from_settings(alone)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="module")
async def owner_of_books(alone: Settings) -> AsyncIterator[AsyncEngine]:
    """Who owns its tables, and can turn back what they say."""
    engine = create_async_engine(alone.database("migrator"))
    yield engine
    await engine.dispose()


def shown(exposition: str) -> dict[str, tuple[str, set[frozenset[str]]]]:
    """Of each metric its type, and the sets of labels that its samples have."""
    found = {}
    for family in text_string_to_metric_families(exposition):
        name = family.name + ("_total" if family.type == "counter" else "")
        labels = {frozenset(each.labels) - OF_PROMETHEUS for each in family.samples if "_created" not in each.name}
        found[name] = (family.type, labels)
    return found


def expected(source: Source) -> dict[str, tuple[str, set[frozenset[str]]]]:
    return {each.name: (each.kind, {frozenset(each.labels)}) for each in metrics.OURS if each.source == source}


@asynccontextmanager
async def running_exporter(settings: Settings) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    port = free_port()
    changes = {"GOLDEN_METRICS_PORT": str(port), "TEMPORAL_ADDRESS": settings.temporal_target}
    given = {**environment(settings, **changes), "GOLDEN_DATABASE_URL": settings.database("service")}
    process = await asyncio.create_subprocess_exec(*python("gateway.cli", "exporter"), env=given, stdout=-3)
    try:
        yield f"http://127.0.0.1:{port}/metrics", process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def scraped(url: str, complete: set[str]) -> str:
    """What is shown as soon as all of these are; each source is read in its own time."""
    async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                answer = (await http.get(url)).text
                if complete <= {name for name, (_, labels) in shown(answer).items() if labels}:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def test_the_exporter_shows_exactly_its_part_of_the_table_and_stops_when_told(
    alone: Settings, books: Database
) -> None:
    async with books.service() as connection:
        await connection.execute(insert(circuits).values(circuit=f"openai:{uuid4()}", state="open"))
        await connection.execute(insert(accounts).values(tenant=tenant_name(), slots=1, limit_micro_usd=5))
    async with running_exporter(alone) as (url, process):
        found = shown(await scraped(url, set(expected("exporter"))))
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 20)

    assert {name: each for name, each in found.items() if name.startswith("golden_")} == expected("exporter")
    assert code == 0


async def test_a_gateway_shows_exactly_its_part_of_the_table(gateway_url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        await http.get(f"{gateway_url}/healthz")
    found = shown(generate_latest(REGISTRY).decode())

    assert {name: found.get(name) for name in expected("gateway")} == expected("gateway")


async def test_what_a_fleet_shows_has_as_many_labels_as_the_table_whatever_is_in_the_database(
    settings: Settings, database: Database, temporal_client: Client
) -> None:
    board = Board()
    fleet = Fleet.of(settings, database, temporal_client, board)
    for source in fleet.sources:
        await fleet.read(source)
    counts = {family.name: len(family.samples) for family in board.collect()}

    assert counts["golden_budget_micro_usd"] <= 300
    assert max(counts.values()) <= 1_000


@workflow.defn(name="NobodyRuns", sandboxed=False)
class NobodyRuns:
    @workflow.run
    async def run(self) -> None:
        """Waits on a queue that nobody polls."""


async def test_a_record_that_can_not_be_appended_is_counted() -> None:
    away = create_async_engine("postgresql+psycopg://golden@127.0.0.1:1/golden")
    log = AuditLog(Database(away, away))
    before = REGISTRY.get_sample_value("golden_audit_failures_total")
    with pytest.raises(DBAPIError):
        await log.tell(tenant_name(), AuditRecord(actor="ann", action="tasks.read", outcome="allowed"))

    assert before is not None
    assert REGISTRY.get_sample_value("golden_audit_failures_total") == before + 1


class TestQueues:
    async def test_what_nobody_takes_is_backlog_and_grows_old(self, temporal_client: Client) -> None:
        board = Board()
        queues = FleetQueues(temporal_client, board)
        handle = await temporal_client.start_workflow(
            NobodyRuns.run, id=f"nobody/{uuid4()}", task_queue=SUPERVISOR_QUEUE, execution_timeout=timedelta(minutes=5)
        )
        async with asyncio.timeout(20):
            while not board.value(metrics.QUEUE_DEPTH, SUPERVISOR_QUEUE, "workflow"):
                await queues.read()
        await handle.terminate()

        assert (board.value(metrics.QUEUE_AGE, SUPERVISOR_QUEUE, "workflow") or 0) > 0

    async def test_temporal_away_leaves_the_other_numbers(self, settings: Settings, database: Database) -> None:
        gone = settings.model_copy(update={"temporal_address": f"127.0.0.1:{free_port()}"})
        board = Board()
        fleet = Fleet.of(gone, database, await connect(gone, lazy=True), board)
        by_name = {source.name: source for source in fleet.sources}
        await fleet.read(by_name["postgresql"])
        with pytest.raises((RPCError, RuntimeError)):
            await fleet.read(by_name["temporal"])

        assert board.value(metrics.TASKS_ENDED, "accepted") is not None
        assert board.value(metrics.FLEET_READ_AT) == 0


class TestLedgers:
    async def test_an_account_that_its_entries_do_not_make_is_counted_until_it_does(self, books: Database) -> None:
        tenant, board = tenant_name(), Board()
        checks = LedgerChecks(books, board)
        await checks.read()
        before = board.value(metrics.LEDGER_DRIFT)
        assert before is not None
        async with books.service() as connection:
            await connection.execute(insert(accounts).values(tenant=tenant, slots=1, spent_tokens=7))
        await checks.read()
        drifted = board.value(metrics.LEDGER_DRIFT)
        async with books.service() as connection:
            await connection.execute(update(accounts).where(accounts.c.tenant == tenant).values(spent_tokens=0))
        await checks.read()

        assert [drifted, board.value(metrics.LEDGER_DRIFT)] == [before + 1, before]


class TestChains:
    RECORD = AuditRecord(actor="ann", action="tasks.read", outcome="allowed")

    async def test_a_record_that_was_changed_behind_the_verified_end_breaks_its_chain(
        self, alone: Settings, books: Database, owner_of_books: AsyncEngine
    ) -> None:
        tenant, board = tenant_name(), Board()
        unanchored = alone.model_copy(update={"audit_anchor": alone.home / f"none-{tenant}"})
        checks = AuditChecks(unanchored, books, board)
        await self._append(books, tenant)
        await checks.read()
        sound = board.value(metrics.AUDIT_CHAINS_BROKEN)
        assert sound is not None
        assert (board.value(metrics.AUDIT_VERIFIED_AT) or 0) > 0
        await self._append(books, tenant)
        await checks.read()
        assert board.value(metrics.AUDIT_CHAINS_BROKEN) == sound
        await self._append(books, tenant)
        await self._change(owner_of_books, tenant, 3, "bob")
        await checks.read()
        broken = board.value(metrics.AUDIT_CHAINS_BROKEN)
        await self._change(owner_of_books, tenant, 3, "ann")
        await checks.read()

        assert [broken, board.value(metrics.AUDIT_CHAINS_BROKEN)] == [sound + 1, sound]

    async def _append(self, database: Database, tenant: str) -> None:
        async with database.service() as connection:
            await append(connection, tenant, [self.RECORD])

    async def _change(self, owner: AsyncEngine, tenant: str, sequence: int, actor: str) -> None:
        """As somebody does who owns the tables, and takes every guard away."""
        values = {"tenant": tenant, "sequence": sequence, "actor": actor}
        async with owner.begin() as connection:
            await connection.execute(text("ALTER TABLE audit_records NO FORCE ROW LEVEL SECURITY"))
            await connection.execute(text("ALTER TABLE audit_records DISABLE TRIGGER USER"))
            changed = await connection.execute(
                text("UPDATE audit_records SET actor = :actor WHERE tenant = :tenant AND sequence = :sequence"), values
            )
            await connection.execute(text("ALTER TABLE audit_records ENABLE TRIGGER USER"))
            await connection.execute(text("ALTER TABLE audit_records FORCE ROW LEVEL SECURITY"))
        assert changed.rowcount == 1
