"""The gauges of the whole fleet: they show what is in PostgreSQL, and nothing that is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from uuid_utils.compat import uuid7

from gateway.gauges import LETTER_KINDS, READ_AT, FleetGauges, LabelledGauge
from schema.database import Database
from schema.settings import Settings
from schema.tables import accounts, circuits, dead_letters, tasks
from tests.integration.conftest import running_gateway
from tests.support.http import tenant_name
from tests.support.learning import ROLES, pending_update
from tests.support.parts import free_port


@pytest.fixture
def gauges(database: Database) -> FleetGauges:
    return FleetGauges(database)


async def execute(database: Database, statement: Any) -> None:
    async with database.service() as connection:
        await connection.execute(statement)


async def new_task(database: Database, tenant: str) -> UUID:
    task_id = uuid7()
    values = {"title": "t", "spec": "0", "submitted_by": "s", "budget_tokens": 1_000}
    await execute(database, insert(tasks).values(task_id=task_id, tenant=tenant, **values))
    return task_id


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"golden_{name}", labels)


def labels_of(name: str, label: str) -> set[str]:
    (family,) = (each for each in REGISTRY.collect() if each.name == f"golden_{name}")
    return {each.labels[label] for each in family.samples}


@pytest.mark.parametrize(
    ("state", "due", "number"),
    [
        *(("closed", False, 0), ("half-open", False, 1), ("open", False, 2), ("paused", False, 3)),
        *(("open", True, 1), ("paused", True, 0)),
    ],
)
async def test_a_circuit_is_shown_as_it_acts(
    state: str, due: bool, number: int, gauges: FleetGauges, database: Database
) -> None:
    name = f"openai:gpt-{uuid4()}"
    retry_at = None if state in ("closed", "half-open") else datetime.now(UTC) + timedelta(hours=-1 if due else 1)
    await execute(database, insert(circuits).values(circuit=name, state=state, retry_at=retry_at))

    await gauges.read()
    assert sample("circuit_state", circuit=name) == number


async def test_open_dead_letters_are_counted_by_kind_until_somebody_decides(
    gauges: FleetGauges, database: Database
) -> None:
    tenant = tenant_name()
    task_id = await new_task(database, tenant)
    await gauges.read()
    before = sample("dead_letters_open", kind="poison")
    assert before is not None
    shared = {"tenant": tenant, "task_id": task_id, "workflow_id": "w", "epoch": 1, "kind": "poison", "cause": "c"}
    for step in ("plan", "vote"):
        letter = {"id": uuid7(), "step": step, "attempts": 5, "input": {}, **shared}
        await execute(database, insert(dead_letters).values(parked_at=datetime(1970, 1, 1, tzinfo=UTC), **letter))

    await gauges.read()
    assert sample("dead_letters_open", kind="poison") == before + 2
    assert (sample("dead_letters_oldest_seconds") or 0) > timedelta(days=50 * 365).total_seconds()

    await execute(database, update(dead_letters).where(dead_letters.c.tenant == tenant).values(state="discarded"))
    await gauges.read()
    assert sample("dead_letters_open", kind="poison") == before
    assert (sample("dead_letters_oldest_seconds") or 0) < timedelta(days=50 * 365).total_seconds()


async def test_kinds_and_states_without_any_are_zero_and_not_missing(gauges: FleetGauges) -> None:
    await gauges.read()

    assert labels_of("dead_letters_open", "kind") == set(LETTER_KINDS)
    assert {"submitted", "queued", "parked", "escalated"} <= labels_of("active_tasks", "state")
    assert not {"accepted", "rejected", "failed", "cancelled"} & labels_of("active_tasks", "state")


async def test_tasks_are_counted_until_they_end(gauges: FleetGauges, database: Database) -> None:
    counts = []
    await gauges.read()
    counts.append(sample("active_tasks", state="planning"))
    task_id = await new_task(database, tenant_name())
    for state in ("planning", "cancelled"):
        await execute(database, update(tasks).where(tasks.c.task_id == task_id).values(state=state))
        await gauges.read()
        counts.append(sample("active_tasks", state="planning"))

    before = counts[0] or 0
    assert counts == [before, before + 1, before]


async def test_proposals_are_counted_while_they_are_open_and_by_what_they_came_to(
    gauges: FleetGauges, database: Database
) -> None:
    async def counted() -> list[float]:
        await gauges.read()
        opened = sample("approvals_open", role="tester", state="pending")
        settled = sample("prompt_updates_total", role="tester", outcome="rejected")
        return [opened or 0, settled or 0]

    before = await counted()
    update_id = await pending_update(database, tenant_name(), "tester")
    pending = await counted()
    reject = text("SELECT reject_prompt_update(:id, 'bob', 'no')")
    async with database.service() as connection:
        await connection.execute(reject, {"id": update_id})

    assert [pending, await counted()] == [[before[0] + 1, before[1]], [before[0], before[1] + 1]]
    assert labels_of("approvals_open", "role") == {"voters", *ROLES}


class TestBudgets:
    MUCH = 10**15

    async def test_an_account_shows_its_limit_what_it_spent_and_what_is_held(
        self, gauges: FleetGauges, database: Database
    ) -> None:
        limited, unlimited = tenant_name(), tenant_name()
        for tenant, limit in ((limited, 2 * self.MUCH), (unlimited, None)):
            numbers = {"limit_tokens": limit, "spent_tokens": self.MUCH, "held_tokens": 7}
            await execute(database, insert(accounts).values(tenant=tenant, slots=1, **numbers))

        await gauges.read()
        kinds = ("limit", "spent", "held")
        assert [sample("budget_tokens", tenant=limited, kind=kind) for kind in kinds] == [2 * self.MUCH, self.MUCH, 7]
        assert [sample("budget_tokens", tenant=unlimited, kind=kind) for kind in kinds] == [None, self.MUCH, 7]
        await self._forget(database, limited, unlimited)

    async def test_only_the_hundred_tenants_that_spent_most_are_shown(
        self, gauges: FleetGauges, database: Database
    ) -> None:
        first, others = tenant_name(), [tenant_name() for _ in range(100)]
        await execute(database, insert(accounts).values(tenant=first, slots=1, spent_tokens=2 * self.MUCH))
        await gauges.read()
        assert sample("budget_tokens", tenant=first, kind="spent") == 2 * self.MUCH
        rows = [{"tenant": each, "slots": 1, "spent_tokens": 3 * self.MUCH} for each in others]
        await execute(database, insert(accounts).values(rows))

        await gauges.read()
        assert sample("budget_tokens", tenant=first, kind="spent") is None
        assert labels_of("budget_tokens", "tenant") == set(others)
        await self._forget(database, first, *others)

    async def _forget(self, database: Database, *tenants: str) -> None:
        """Out of the way of other tests."""
        await execute(database, update(accounts).where(accounts.c.tenant.in_(tenants)).values(spent_tokens=0))


def test_a_label_that_is_not_shown_again_is_gone() -> None:
    gauge = LabelledGauge("golden_of_this_test", "Only here", "letter")
    gauge.show({("a",): 1, ("b",): 2})
    gauge.show({("b",): 3, ("c",): 4})

    assert [sample("of_this_test", letter=each) for each in "abc"] == [None, 3, 4]


class Returning(Database):
    """A PostgreSQL that is away at first; `read` is set when it was read since."""

    def __init__(self, database: Database) -> None:
        engine = create_async_engine("postgresql+psycopg://golden@127.0.0.1:1/golden")
        super().__init__(engine, engine)
        self._ways = [Database(engine, engine)] * 2 + [database]
        self.read = asyncio.Event()

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        if not self._ways:
            self.read.set()
            await asyncio.Event().wait()
        async with self._ways.pop(0).statement() as connection:
            yield connection


async def test_a_database_that_is_away_ends_nothing_and_is_read_when_it_is_back(database: Database) -> None:
    READ_AT.set(0)
    returning = Returning(database)
    running = asyncio.create_task(FleetGauges(returning, every_seconds=0.001).run())
    async with asyncio.timeout(20):
        await returning.read.wait()

    assert not running.done()
    assert READ_AT._value.get() > 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_gateway_reads_them_by_itself(settings: Settings) -> None:
    READ_AT.set(0)
    async with running_gateway(settings.model_copy(update={"gateway_port": free_port()})), asyncio.timeout(20):
        while not READ_AT._value.get():  # noqa: ASYNC110 (what is awaited is a number)
            await asyncio.sleep(0.01)

    assert sample("dead_letters_open", kind="model") is not None
