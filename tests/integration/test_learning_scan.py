"""`LearningScan`: a pattern becomes one proposal, however often and by how many at once it is looked for."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import Worker
from uuid_utils.compat import uuid7

from activities.guideline_checks import check_guideline
from activities.scan import MOST_OPEN, ScanActivities
from schema.database import Database
from schema.engine import approval_workflow_id
from schema.messages.learning import Pattern
from schema.messages.sandbox import Finding
from schema.messages.task import TaskResult, TaskState
from schema.settings import Settings
from schema.tables import accounts, learning_updates, outcomes, tasks, texts, truths
from schema.texts import canonical_json, digest_of
from tests.support.histories import record
from tests.support.learning import install_prompts
from workers.provision import SCAN_SCHEDULE, scan_schedule
from workflows.learning_scan import LearningScan

RULE = "security/B602"
SPEC = {
    "title": "Slugs",
    "instructions": "Turn a headline into a slug without any library.",
    "tests": {"test_a.py": ""},
}
Tenants = Iterator[str]


@pytest.fixture(scope="module")
def tenants() -> Tenants:
    return (f"scan-{number}-{uuid7()}"[:40] for number in range(100))


@pytest.fixture
async def tenant(database: Database, tenants: Tenants) -> str:
    """One with an account, and prompts to learn."""
    await install_prompts(database)
    name = next(tenants)
    async with database.tenant(name) as connection:
        await connection.execute(insert(accounts).values(tenant=name, slots=1))
        await connection.execute(
            insert(texts).values(tenant=name, digest=digest_of(canonical_json(SPEC)), body=canonical_json(SPEC))
        )
    return name


@pytest.fixture
def scan(database: Database, temporal_client: Client, settings: Settings) -> ScanActivities:
    return ScanActivities(database, temporal_client, settings)


async def plant(database: Database, tenant: str, work: Sequence[Sequence[str]], **values: Any) -> list[UUID]:
    """A task for each, done by one developer, in which these rules failed."""
    ids = [UUID(str(uuid7())) for _ in work]
    task = {"tenant": tenant, "title": "t", "submitted_by": "ann", "budget_tokens": 1_000, "state": "rejected"}
    outcome = {
        "step": "develop/1", "epoch": 1, "tenant": tenant, "role": "developer", "model": "played", "findings": {},
        "repair_rounds": 0, "input_tokens": 0, "output_tokens": 0, "at": datetime.now(UTC), **values,
    }  # fmt: skip
    async with database.service() as connection:
        spec = digest_of(canonical_json(SPEC))
        await connection.execute(insert(tasks), [{"task_id": task_id, "spec": spec, **task} for task_id in ids])
        await connection.execute(
            insert(outcomes),
            [
                {
                    "task_id": task_id,
                    "spec": digest_of(str(task_id)),
                    "rules": list(rules),
                    "failed": bool(rules),
                    **outcome,
                }
                for task_id, rules in zip(ids, work, strict=True)
            ],
        )
    return ids


async def proposals(database: Database, tenant: str) -> list[Any]:
    async with database.service() as connection:
        mine = learning_updates.c.tenant == tenant
        return list((await connection.execute(select(learning_updates).where(mine))).all())


async def test_a_pattern_becomes_one_proposal_with_its_numbers(
    database: Database, scan: ScanActivities, tenant: str, temporal_client: Client
) -> None:
    failing = await plant(database, tenant, [[RULE]] * 8)
    await plant(database, tenant, [[]] * 12)
    finding = Finding(id="1", guard="security", rule="B602", severity="high", message="a shell\u202e is started")
    result = TaskResult(task_id=failing[0], state=TaskState.REJECTED, findings=(finding,)).model_dump_json()
    async with database.tenant(tenant) as connection:
        await connection.execute(insert(texts).values(tenant=tenant, digest=digest_of(result), body=result))
        await connection.execute(update(tasks).where(tasks.c.task_id == failing[0]).values(result=digest_of(result)))

    first, second = await scan.scan(), await scan.scan()

    (row,) = await proposals(database, tenant)
    pattern = Pattern.model_validate(row.evidence[0]["pattern"])
    assert (row.proposer, row.pattern, row.state, row.role) == (
        "supervisor",
        f"developer:{RULE}",
        "proposed",
        "developer",
    )
    assert (pattern.tasks, pattern.failing, pattern.base_rate) == (20, 8, 0.05)
    assert set(pattern.task_ids) == set(failing)
    assert pattern.messages == ("a shell\ufffd is started",)
    assert first.proposed >= 1
    assert second.known >= 1
    assert (await temporal_client.get_workflow_handle(approval_workflow_id(row.id)).describe()).id


async def test_two_scans_at_once_make_neither_a_pattern_twice_nor_more_than_may_be_open(
    database: Database, scan: ScanActivities, tenant: str
) -> None:
    rules = [f"security/B60{number}" for number in range(5)]
    await plant(database, tenant, [rules] * 10)
    await plant(database, tenant, [[f"lint/N{number}"] for number in range(30)])
    await asyncio.gather(scan.scan(), scan.scan())
    again = await scan.scan()
    found = [row.pattern for row in await proposals(database, tenant)]
    assert len(set(found)) == len(found) == MOST_OPEN
    assert again.held_back >= 2


async def test_what_was_answered_is_left_alone_and_then_counted_from_its_answer_on(
    database: Database, scan: ScanActivities, tenant: str, settings: Settings, owner: AsyncEngine
) -> None:
    again = timedelta(days=settings.learning_again_days, hours=1)
    await plant(database, tenant, [[RULE]] * 8, at=datetime.now(UTC) - again - timedelta(hours=1))
    await scan.scan()
    (row,) = await proposals(database, tenant)
    async with database.service() as connection:
        await connection.execute(text("SELECT reject_prompt_update(:id, 'bob', 'no')"), {"id": row.id})

    await scan.scan()
    assert len(await proposals(database, tenant)) == 1, "what it was answered from is no news"

    await plant(database, tenant, [[RULE]] * 6, at=datetime.now(UTC) + timedelta(seconds=1))
    await scan.scan()
    assert len(await proposals(database, tenant)) == 1, "the answer is too young"

    async with owner.begin() as connection:
        mine = learning_updates.c.id == row.id
        await connection.execute(update(learning_updates).where(mine).values(settled_at=datetime.now(UTC) - again))
    await scan.scan()
    _, new = sorted(await proposals(database, tenant), key=lambda each: int(each.arrival))
    assert new.evidence[0]["pattern"]["failing"] == 6


async def test_a_truth_that_came_later_is_what_a_voter_is_measured_by(
    database: Database, scan: ScanActivities, tenant: str
) -> None:
    ballot = {"role": "reviewer", "step": "ballot/reviewer/1", "ballot": "approve"}
    wrong = await plant(database, tenant, [[]] * 8, **ballot)
    right = await plant(database, tenant, [["ballot/false-accept"]] * 8, **ballot)
    truth = {"tenant": tenant, "source": "tests", "actor": "ann"}
    async with database.tenant(tenant) as connection:
        known = [*((each, False) for each in wrong), *((each, True) for each in right)]
        await connection.execute(insert(truths), [{"task_id": each, "good": good, **truth} for each, good in known])
    await scan.scan()
    (row,) = await proposals(database, tenant)
    assert row.pattern == "reviewer:ballot/false-accept"
    assert {UUID(each) for each in row.evidence[0]["pattern"]["task_ids"]} == set(wrong)


class NoTemporal:
    async def start_workflow(self, *_args: Any, **_options: Any) -> None:
        raise RPCError("nobody is there", RPCStatusCode.UNAVAILABLE, b"")


async def test_a_proposal_whose_workflow_can_not_be_started_is_there_for_reconcile(
    database: Database, tenant: str, settings: Settings
) -> None:
    await plant(database, tenant, [[RULE]] * 8)
    alone = ScanActivities(database, NoTemporal(), settings)  # type: ignore[arg-type]
    await alone.scan()
    assert [row.settled_at for row in await proposals(database, tenant)] == [None]


async def test_a_full_prompt_learns_no_more(
    database: Database, scan: ScanActivities, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.scan.MAX_GUIDELINES", 0)
    await plant(database, tenant, [[RULE]] * 8)
    assert (await scan.scan()).held_back >= 1
    assert await proposals(database, tenant) == []


async def test_the_workflow_says_what_it_found(temporal_client: Client, scan: ScanActivities) -> None:
    async with Worker(temporal_client, task_queue=SCAN_SCHEDULE, workflows=[LearningScan], activities=[scan.scan]):
        found = await temporal_client.execute_workflow(LearningScan.run, id=SCAN_SCHEDULE, task_queue=SCAN_SCHEDULE)
    assert found.patterns == found.proposed + found.known + found.held_back
    await record(temporal_client, SCAN_SCHEDULE, "LearningScan-looked")


async def test_the_schedule_is_as_the_settings_have_it(temporal_client: Client, settings: Settings) -> None:
    async def seen(**changes: Any) -> tuple[bool, list[timedelta], str]:
        await scan_schedule(temporal_client, settings.model_copy(update=changes))
        there = (await temporal_client.get_schedule_handle(SCAN_SCHEDULE).describe()).schedule
        assert there.state.note is not None
        return there.state.paused, [each.every for each in there.spec.intervals], there.state.note

    quarter, hour = [timedelta(minutes=15)], [timedelta(hours=1)]
    try:
        assert await seen() == (False, quarter, "GOLDEN_LEARNING_SCAN is on")
        assert await seen(learning_scan="paused") == (True, quarter, "GOLDEN_LEARNING_SCAN is paused")
        assert await seen(learning_scan_minutes=60) == (False, hour, "GOLDEN_LEARNING_SCAN is on")
        assert await seen(learning_scan_minutes=60) == (False, hour, "GOLDEN_LEARNING_SCAN is on")
    finally:
        await temporal_client.get_schedule_handle(SCAN_SCHEDULE).delete()


async def test_a_guideline_is_checked_against_the_tasks_behind_it(database: Database, tenant: str) -> None:
    behind = await plant(database, tenant, [[RULE]])
    copied = "Turn a headline into a slug without much ado."
    assert await check_guideline(database, tenant, "developer", copied, []) == []
    (fault,) = await check_guideline(database, tenant, "developer", copied, behind)
    assert fault.startswith("It repeats the words of a task")
