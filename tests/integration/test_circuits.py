"""Two workers that share circuits on a real PostgreSQL: what one learns the other knows."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import create_async_engine

from activities.circuit import Outcome, Rules
from activities.circuits import Blocked, Circuits, Permit
from schema.database import Database
from schema.tables import circuit_changes, circuits

SUCCESS, SLOW, FAILURE, QUOTA, UNKNOWN = Outcome
RULES = Rules()


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 23, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def worker(database: Database, clock: Clock) -> Callable[..., Circuits]:
    """`worker(name)`: one that shares the clock and leaves nothing to chance."""

    def make(name: str, database: Database = database) -> Circuits:
        return Circuits(database, name, RULES, now=clock, chance=lambda: 0.5)

    return make


@pytest.fixture
def name() -> str:
    """A circuit that no other test has."""
    return f"openai:gpt-{uuid4().hex[:8]}@example.org"


Worker = Callable[..., Circuits]


async def row_of(database: Database, name: str) -> Any:
    async with database.service() as connection:
        return (await connection.execute(select(circuits).where(circuits.c.circuit == name))).one_or_none()


async def history_of(database: Database, name: str) -> list[tuple[str, str, str, str]]:
    async with database.service() as connection:
        found = await connection.execute(
            select(circuit_changes).where(circuit_changes.c.circuit == name).order_by(circuit_changes.c.id)
        )
        return [(row.from_state, row.to_state, row.cause, row.worker) for row in found]


async def fail(worker: Circuits, name: str, times: int = 5) -> None:
    for _ in range(times):
        await worker.report(name, FAILURE)


def until_retry(row: Any, clock: Clock) -> float:
    seconds: float = (row.retry_at - clock.at).total_seconds()
    return seconds


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that the service's connections run meanwhile."""
    told: list[str] = []

    def note(*arguments: Any) -> None:
        told.append(arguments[2])

    engine = database._service.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_what_one_worker_opened_blocks_the_other_as_soon_as_it_looks_again(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    first, second = worker("first"), worker("second")
    assert await second.permit(name) == Permit()

    await fail(first, name)
    assert isinstance(await first.permit(name), Blocked)
    clock.move(1)

    blocked = await second.permit(name)
    assert isinstance(blocked, Blocked)
    assert blocked.seconds >= until_retry(await row_of(database, name), clock)


async def test_failures_of_all_workers_count_together(worker: Worker, database: Database, name: str) -> None:
    await fail(worker("first"), name, 3)
    await fail(worker("second"), name, 2)

    row = await row_of(database, name)
    assert (row.state, row.calls, row.failures, row.worker) == ("open", 5, 5, "second")


async def test_of_twenty_that_race_for_the_probe_one_gets_it(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    workers = [worker(f"worker {number}") for number in range(4)]
    await fail(workers[0], name)
    clock.move(5)
    # All have seen that it is due, so that their transactions begin together.
    assert [await each.wait(name) for each in workers] == [None] * 4

    permits = await asyncio.gather(*(each.permit(name) for each in workers for _ in range(5)))

    assert sorted(type(each).__name__ for each in permits) == ["Blocked"] * 19 + ["Permit"]
    assert Permit(probe=True) in permits
    assert (await row_of(database, name)).state == "half-open"


async def test_failures_that_are_told_at_once_are_all_counted(worker: Worker, database: Database, name: str) -> None:
    workers = [worker(f"worker {number}") for number in range(4)]
    for each in workers:
        await each.permit(name)

    await asyncio.gather(*(each.report(name, FAILURE) for each in workers))

    row = await row_of(database, name)
    assert (row.failures, row.recent) == (4, "ffff")


async def test_a_probe_that_is_answered_lets_both_go_on(worker: Worker, clock: Clock, name: str) -> None:
    first, second = worker("first"), worker("second")
    await fail(first, name)
    clock.move(5)
    assert await second.permit(name) == Permit(probe=True)
    await second.report(name, SUCCESS, probe=True)
    clock.move(1)

    assert await first.permit(name) == Permit()
    assert await second.permit(name) == Permit()


async def test_a_probe_that_fails_doubles_the_wait(worker: Worker, clock: Clock, database: Database, name: str) -> None:
    first = worker("first")
    await fail(first, name)
    once = until_retry(await row_of(database, name), clock)
    clock.move(5)
    await first.permit(name)
    await first.report(name, FAILURE, probe=True)

    assert until_retry(await row_of(database, name), clock) == 2 * once


async def test_the_probe_of_a_worker_that_was_killed_goes_to_another_when_its_lease_ends(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    killed, second = worker("killed"), worker("second")
    await fail(killed, name)
    clock.move(5)
    assert await killed.permit(name) == Permit(probe=True)
    clock.move(RULES.probe_seconds - 1)
    assert isinstance(await second.permit(name), Blocked)
    clock.move(1)

    assert await second.permit(name) == Permit(probe=True)
    assert (await row_of(database, name)).worker == "second"


async def test_a_probe_that_is_heard_of_after_another_took_it_over_decides_nothing(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    slow, second = worker("slow"), worker("second")
    await fail(slow, name)
    clock.move(5)
    await slow.permit(name)
    clock.move(RULES.probe_seconds)
    await second.permit(name)

    await slow.report(name, FAILURE, probe=True)

    assert (await row_of(database, name)).state == "half-open"
    await second.report(name, SUCCESS, probe=True)
    assert (await row_of(database, name)).state == "closed"


async def test_a_call_that_was_under_way_does_not_speak_for_the_probe(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    first = worker("first")
    await fail(first, name)
    clock.move(5)
    await first.permit(name)

    await first.report(name, SUCCESS, probe=False)

    assert (await row_of(database, name)).state == "half-open"


async def test_a_probe_that_was_not_made_after_all_is_the_next_ones_at_once(
    worker: Worker, clock: Clock, name: str
) -> None:
    first, second = worker("first"), worker("second")
    await fail(first, name)
    clock.move(5)
    await first.permit(name)
    await first.report(name, UNKNOWN)
    clock.move(1)

    assert await second.permit(name) == Permit(probe=True)


async def test_a_quota_that_one_meets_is_a_pause_for_both_and_no_failure(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    first, second = worker("first"), worker("second")
    await first.report(name, QUOTA, retry_after=40)
    for each in (first, second):
        blocked = await each.permit(name)
        assert isinstance(blocked, Blocked)
        assert blocked.seconds >= 40

    row = await row_of(database, name)
    assert (row.state, row.calls, row.failures, row.opened_total) == ("paused", 1, 0, 0)
    clock.move(40)
    assert [await each.permit(name) for each in (first, second)] == [Permit(), Permit()]


async def test_waiting_steps_are_told_different_times_and_none_too_early(
    worker: Worker, database: Database, clock: Clock, name: str
) -> None:
    await worker("first").report(name, QUOTA, retry_after=8)
    chances = iter([0.0, 0.5, 1.0])
    asking = Circuits(database, "second", RULES, now=clock, chance=lambda: next(chances))
    told = [answer.seconds for _ in range(3) if isinstance(answer := await asking.permit(name), Blocked)]

    assert told == sorted(set(told))
    assert told[0] == 8


async def test_who_only_asks_for_the_wait_takes_no_probe(worker: Worker, clock: Clock, name: str) -> None:
    first, second = worker("first"), worker("second")
    assert await first.wait(name) is None
    await fail(first, name)
    assert (await first.wait(name) or 0) > 0
    clock.move(5)

    assert await first.wait(name) is None
    assert await second.permit(name) == Permit(probe=True)
    clock.move(1)
    assert (await first.wait(name) or 0) > 0


async def test_its_history_says_what_happened_and_who_saw_it(
    worker: Worker, clock: Clock, database: Database, name: str
) -> None:
    first, second = worker("first"), worker("second")
    await fail(first, name)
    clock.move(5)
    await second.permit(name)
    await second.report(name, SUCCESS)
    await first.report(name, QUOTA)

    assert await history_of(database, name) == [
        ("closed", "open", "5 failures in a row", "first"),
        ("open", "half-open", "its time to try again has come", "second"),
        ("half-open", "closed", "the probe was answered", "second"),
        ("closed", "paused", "the provider's quota", "first"),
    ]


class TestCost:
    async def test_a_closed_circuit_costs_no_statement(
        self, worker: Worker, clock: Clock, database: Database, name: str
    ) -> None:
        first = worker("first")
        await first.permit(name)

        with statements(database) as told:
            for _ in range(50):
                clock.move(0.01)
                assert await first.permit(name) == Permit()
                await first.report(name, SUCCESS)
        assert told == []
        await first.flush()

    async def test_the_view_is_read_once_however_many_ask_at_once(
        self, worker: Worker, database: Database, name: str
    ) -> None:
        first = worker("first")

        with statements(database) as told:
            await asyncio.gather(*(first.permit(name) for _ in range(50)))
        assert len(told) == 1

    async def test_successes_are_written_together(self, worker: Worker, database: Database, name: str) -> None:
        first = worker("first")
        for outcome in (SUCCESS, SLOW, SUCCESS):
            await first.report(name, outcome)
        assert await row_of(database, name) is None
        await first.flush()

        row = await row_of(database, name)
        assert (row.calls, row.slow, row.recent) == (3, 1, "sls")

    async def test_a_failure_takes_the_successes_before_it_along(
        self, worker: Worker, database: Database, name: str
    ) -> None:
        first = worker("first")
        await first.report(name, SUCCESS)
        await first.report(name, FAILURE)

        assert (await row_of(database, name)).recent == "sf"

    async def test_successes_are_written_by_themselves_before_long(
        self, database: Database, clock: Clock, name: str
    ) -> None:
        circuits = Circuits(database, "first", RULES, now=clock, every_seconds=0.001)
        await circuits.report(name, SUCCESS)

        async with asyncio.timeout(10):
            while await row_of(database, name) is None:  # noqa: ASYNC110 (what is awaited is in PostgreSQL)
                await asyncio.sleep(0.01)
        await circuits.flush()

    async def test_a_cancelled_call_costs_nothing(self, worker: Worker, database: Database, name: str) -> None:
        first = worker("first")

        with statements(database) as told:
            await first.report(name, UNKNOWN)
        assert told == []


class TestWithoutDatabase:
    @pytest.fixture
    async def away(self, database: Database) -> Database:
        """A way to a PostgreSQL that does not answer."""
        engine = create_async_engine("postgresql+psycopg://golden@127.0.0.1:1/golden")
        return Database(engine, engine)

    async def test_calls_go_out_and_are_reported(self, worker: Worker, away: Database, name: str) -> None:
        alone = worker("alone", away)

        assert await alone.permit(name) == Permit()
        await alone.report(name, SUCCESS)
        await alone.flush()
        assert await alone.permit(name) == Permit()

    async def test_a_worker_still_learns_from_its_own_calls(
        self, worker: Worker, clock: Clock, away: Database, name: str
    ) -> None:
        alone = worker("alone", away)
        await fail(alone, name)
        assert isinstance(await alone.permit(name), Blocked)
        clock.move(5)

        assert await alone.permit(name) == Permit(probe=True)
        assert isinstance(await alone.permit(name), Blocked)
        await alone.report(name, SUCCESS)
        assert await alone.permit(name) == Permit()

    async def test_what_was_seen_last_holds_until_it_can_be_read_again(
        self, worker: Worker, clock: Clock, database: Database, away: Database, name: str
    ) -> None:
        first, second = worker("first"), worker("second")
        await first.report(name, QUOTA, retry_after=60)
        assert isinstance(await second.permit(name), Blocked)

        second._database = away
        clock.move(10)
        assert isinstance(await second.permit(name), Blocked)
        second._database = database
        await first.report(name, QUOTA, retry_after=600)
        clock.move(60)
        assert isinstance(await second.permit(name), Blocked)

    async def test_a_row_that_stays_locked_holds_no_call_up(
        self, worker: Worker, database: Database, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("activities.circuits.ANSWER_SECONDS", 0.2)
        first = worker("first")
        await first.permit(name)
        await first.report(name, FAILURE)
        async with database.service() as connection:
            await connection.execute(select(circuits).where(circuits.c.circuit == name).with_for_update())
            await fail(first, name, 4)
            assert isinstance(await first.permit(name), Blocked)

        assert (await row_of(database, name)).failures == 1
