"""The gauges of the whole fleet: they show what is in PostgreSQL, and nothing that is gone."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from uuid_utils.compat import uuid7

from gateway import gauges as gauges_module
from gateway.board import Board
from gateway.fleet import BOARD, Fleet, Source
from gateway.gauges import LETTER_KINDS, FleetGauges
from schema import metrics
from schema.database import Database
from schema.settings import Settings
from schema.tables import accounts, circuits, dead_letters, task_ends, task_steps, tasks
from tests.integration.conftest import running_gateway
from tests.support.http import tenant_name
from tests.support.learning import ROLES, pending_update
from tests.support.parts import free_port


@pytest.fixture
def gauges(database: Database) -> FleetGauges:
    return FleetGauges(database, BOARD)


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


class TestTasksThatEnded:
    async def test_they_are_counted_as_they_end_and_stay_counted_when_they_are_erased(
        self, gauges: FleetGauges, database: Database, owner: AsyncEngine
    ) -> None:
        counted = []
        task_id = await new_task(database, tenant_name())
        for state in ("planning", "accepted"):
            await execute(database, update(tasks).where(tasks.c.task_id == task_id).values(state=state))
            await gauges.read()
            counted.append(sample("tasks_total", state="accepted") or 0)
        async with owner.begin() as connection:
            await connection.execute(text("ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY"))
            erased = (await connection.execute(delete(tasks).where(tasks.c.task_id == task_id))).rowcount
            await connection.execute(text("ALTER TABLE tasks FORCE ROW LEVEL SECURITY"))
        assert erased == 1
        BOARD.clear()
        await gauges.read()

        assert [each - counted[0] for each in (*counted, sample("tasks_total", state="accepted") or 0)] == [0, 1, 1]

    async def test_a_task_of_learning_is_none_of_them(self, gauges: FleetGauges, database: Database) -> None:
        await gauges.read()
        before = sample("tasks_total", state="failed")
        task_id = await new_task(database, tenant_name())
        ended = update(tasks).where(tasks.c.task_id == task_id).values(state="failed", kind="learning")
        await execute(database, ended)
        await gauges.read()

        assert sample("tasks_total", state="failed") == before

    async def test_their_rows_are_folded_into_one_a_state_and_the_sums_stay(
        self, gauges: FleetGauges, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await execute(database, insert(task_ends).values([{"state": "failed", "count": 1}] * 5))
        await gauges.read()
        before = sample("tasks_total", state="failed")
        monkeypatch.setattr(gauges_module, "MOST_ENDS", 1)
        await asyncio.gather(gauges.read(), FleetGauges(database, Board()).read())
        BOARD.clear()
        await gauges.read()

        async with database.statement() as connection:
            states = list((await connection.execute(select(task_ends.c.state))).scalars())
        assert sample("tasks_total", state="failed") == before
        assert len(states) == len(set(states))


async def test_who_waits_longest_for_a_slot_or_for_a_person_is_told(gauges: FleetGauges, database: Database) -> None:
    await gauges.read()
    waiting = sample("escalations_open") or 0
    long_ago = datetime(1975, 1, 1, tzinfo=UTC)
    found = [await new_task(database, tenant_name()) for _ in range(2)]
    for task_id, state in zip(found, ("queued", "escalated"), strict=True):
        moved = {"state": state, "submitted_at": long_ago, "updated_at": long_ago}
        await execute(database, update(tasks).where(tasks.c.task_id == task_id).values(**moved))
    await gauges.read()

    ages = [sample("queued_oldest_seconds") or 0, sample("escalations_oldest_seconds") or 0]
    assert min(ages) > timedelta(days=45 * 365).total_seconds()
    assert sample("escalations_open") == waiting + 1
    await execute(database, update(tasks).where(tasks.c.task_id.in_(found)).values(state="cancelled"))
    await gauges.read()
    assert sample("escalations_open") == waiting


async def test_steps_under_way_in_the_sandbox_are_counted(gauges: FleetGauges, database: Database) -> None:
    await gauges.read()
    before = gauges.sandbox_runs
    tenant = tenant_name()
    task_id = await new_task(database, tenant)
    about = {"task_id": task_id, "tenant": tenant, "epoch": 1, "detail": ""}
    for step, state in (("prove/1", "running"), ("mend/1", "running"), ("prove/2", "done"), ("plan", "running")):
        await execute(database, insert(task_steps).values(step=step, state=state, **about))
    await gauges.read()

    assert gauges.sandbox_runs == before + 2
    await execute(database, update(tasks).where(tasks.c.task_id == task_id).values(state="cancelled"))
    await gauges.read()
    assert gauges.sandbox_runs == before


def test_a_label_that_is_not_shown_again_is_gone_and_a_counter_never_falls() -> None:
    board = Board()
    for letters, ended in ((("model", "vote"), 5), (("vote", "poison"), 3)):
        board.show(metrics.LETTERS, {(letter,): len(letter) for letter in letters})
        board.show(metrics.TASKS_ENDED, {("failed",): ended})

    assert [board.value(metrics.LETTERS, each) for each in ("model", "vote", "poison")] == [None, 4, 6]
    assert board.value(metrics.TASKS_ENDED, "failed") == 5


async def test_a_source_that_is_away_keeps_its_numbers_and_none_of_the_others_waits_for_it() -> None:
    board, reads = Board(), asyncio.Queue[str]()

    async def away() -> None:
        reads.put_nowait("away")
        raise OSError

    async def there() -> None:
        board.show(metrics.ESCALATIONS, 1)
        reads.put_nowait("there")

    board.show(metrics.APPROVALS, {("tester", "pending"): 7})
    sources = (Source("temporal", away, 0, 1, paces=True), Source("postgresql", there, 0, 1, paces=True))
    running = asyncio.create_task(Fleet(sources, board).run())
    async with asyncio.timeout(20):
        seen = [await reads.get() for _ in range(8)]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert min(seen.count("away"), seen.count("there")) > 1
    assert board.value(metrics.APPROVALS, "tester", "pending") == 7
    assert board.value(metrics.FLEET_READ_AT) == 0
    assert (board.value(metrics.SOURCE_READ_AT, "postgresql") or 0) > 0
    assert board.value(metrics.SOURCE_READ_AT, "temporal") == 0


async def test_a_gateway_reads_them_by_itself_unless_it_is_told_not_to(
    settings: Settings, temporal_client: Client
) -> None:
    BOARD.clear()
    silent = settings.model_copy(update={"gateway_port": free_port(), "fleet_metrics": False})
    async with running_gateway(silent, temporal_client):
        assert sample("build_info", version="0.1.0") is None
    async with running_gateway(settings.model_copy(update={"gateway_port": free_port()}), temporal_client):
        async with asyncio.timeout(20):
            while not sample("fleet_read_timestamp_seconds"):  # noqa: ASYNC110 (what is awaited is a number)
                await asyncio.sleep(0.01)

    assert sample("dead_letters_open", kind="model") is not None
    assert sample("task_queue_pollers", queue="sandbox", kind="activity") is not None
