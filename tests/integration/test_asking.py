"""A person is asked where a vote did not decide: with days of time, one reminder, and an end that rejects."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert
from temporalio.testing import WorkflowEnvironment

from activities.escalations import EXPIRED, NOBODY, REMINDER, EscalationActivities
from schema.database import Database
from schema.messages.steps import HumanDecision, ReadDecisionInput
from schema.messages.task import TaskState
from schema.tables import decisions, task_events, tasks
from tests.integration.test_ledger import open_task
from tests.support.audit import acts_of
from tests.support.world import World, environment, started

__all__ = ["environment"]


async def test_a_person_may_take_days_to_decide_and_is_reminded_once(environment: WorkflowEnvironment) -> None:
    world = World(choice="abstain")
    async with started(environment, world) as handle:
        await environment.sleep(timedelta(days=2, hours=23))
        world.decision = HumanDecision(decision="accept", actor="ann", reason="fine")
        await handle.signal("decision_recorded")
        assert await handle.result() == "accepted"
    assert world.finished[0].reason == "accepted by ann: fine"
    assert world.reminded == 1


async def test_silence_rejects(environment: WorkflowEnvironment) -> None:
    world = World(choice="abstain")
    async with started(environment, world) as handle:
        # A Signal without a row decides nothing, and moves no clock.
        await environment.sleep(timedelta(days=1, hours=12))
        await handle.signal("decision_recorded")
        assert await handle.result() == "rejected"
    assert world.finished[0].reason == f"rejected: {EXPIRED}"
    described = await handle.describe()
    assert described.close_time is not None
    assert timedelta(days=3) <= described.close_time - described.start_time < timedelta(days=3, minutes=1)


async def test_a_decision_whose_signal_was_lost_counts_at_the_end(environment: WorkflowEnvironment) -> None:
    world = World(choice="abstain")
    async with started(environment, world) as handle:
        await environment.sleep(timedelta(days=2))
        world.decision = HumanDecision(decision="accept", actor="ann")
        assert await handle.result() == "accepted"
    assert world.finished[0].reason == "accepted by ann"


async def escalated(database: Database, tenant: str) -> ReadDecisionInput:
    task_id = await open_task(database, tenant)
    async with database.service() as connection:
        await connection.execute(tasks.update().where(tasks.c.task_id == task_id).values(state="escalated"))
    return ReadDecisionInput(task_id=task_id, tenant=tenant)


@pytest.mark.parametrize("person", ["ann", None])
async def test_the_end_decides_only_where_nobody_did_and_is_audited(database: Database, person: str | None) -> None:
    tenant = f"silence-{person or 'nobody'}"
    task, activities = await escalated(database, tenant), EscalationActivities(database)
    if person is not None:
        row = {"task_id": task.task_id, "tenant": tenant, "decision": "accept", "reason": "fine", "actor": person}
        async with database.service() as connection:
            await connection.execute(insert(decisions).values(row))
    told = [await activities.expire_decision(task) for _ in range(2)]

    by_ann = HumanDecision(decision="accept", actor="ann", reason="fine")
    wanted = by_ann if person else HumanDecision(decision="reject", actor=NOBODY, reason=EXPIRED)
    assert told == [wanted] * 2
    acts = [(act.actor, act.object, act.reason) for act in await acts_of(database, tenant)]
    assert acts == ([] if person else [(NOBODY, str(task.task_id), f"reject: {EXPIRED}")])


async def test_a_reminder_is_an_event_of_a_task_that_still_waits(database: Database) -> None:
    task, activities = await escalated(database, "reminded"), EscalationActivities(database)
    await activities.remind(task)
    async with database.service() as connection:
        await connection.execute(tasks.update().where(tasks.c.task_id == task.task_id).values(state="accepted"))
    await activities.remind(task)

    (event,) = [row for row in await events_of(database, task.task_id) if row["data"].get("reason") == REMINDER]
    assert event["data"]["state"] == TaskState.ESCALATED.value


async def events_of(database: Database, task_id: UUID) -> list[dict[str, Any]]:
    async with database.service() as connection:
        found = await connection.execute(task_events.select().where(task_events.c.task_id == task_id))
        return [dict(row._mapping) for row in found]
