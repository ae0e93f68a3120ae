"""Workflows that an operator resets: the task ends as before, and nothing that was done is asked or paid again."""

import asyncio
import subprocess
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHistory

from deploy.local.temporal import binary
from schema.database import Database
from schema.engine import GOLDEN_STATE
from tests.endtoend.test_ends import closed, nothing_is_held, step_runs
from tests.endtoend.test_parking import NONSENSE, budget_holds, decide, parked, parked_again
from tests.support.books import Books, books_of
from tests.support.golden import Golden
from tests.support.processes import until
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec

USED = 120


async def reset(golden: Golden, temporal: Client, task_id: str, after: Callable[[HistoryEvent], bool]) -> None:
    """Reset a task's workflow to the workflow task that follows the first event of this sort."""
    history = await temporal.get_workflow_handle(f"task/{task_id}").fetch_history()
    first = next(event.event_id for event in history.events if after(event))
    ended = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    point = next(event.event_id for event in history.events if event.event_id > first and event.event_type == ended)
    command = [str(binary()), "workflow", "reset", "--address", golden.settings.temporal_target]
    target = ["--workflow-id", f"task/{task_id}", "--event-id", str(point), "--reason", "test"]
    await asyncio.to_thread(subprocess.run, [*command, *target], check=True, capture_output=True)


def started(event: HistoryEvent) -> bool:
    """The workflow's own start: a reset there begins all of it again."""
    return event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED


def done(step: str) -> Callable[[HistoryEvent], bool]:
    """The completion of the activity of this step. Remembers what was scheduled: to be asked event by event."""
    scheduled: dict[int, str] = {}

    def is_it(event: HistoryEvent) -> bool:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
        completed = event.activity_task_completed_event_attributes
        return scheduled.get(completed.scheduled_event_id) == step

    return is_it


async def books(golden: Golden) -> Books:
    database = Database.from_settings(golden.settings)
    try:
        return await books_of(database, "default")
    finally:
        await database.close()


async def is_paid_once(golden: Golden, provider: Provider, title: str, task_id: str, *, lost: int = 0) -> None:
    """Each request that the provider got is one charge; so many of them are of calls whose end nobody knows."""
    found = await books(golden)
    calls = found.calls_of(UUID(task_id))
    unknown = [call["reserved_tokens"] for call in calls if call["state"] == "uncertain"]
    assert len(unknown) == lost
    assert len(calls) == len(provider.asked_about(title))
    expected = sum(unknown) + USED * (len(calls) - lost)
    assert found.tasks[UUID(task_id)]["spent_tokens"] == expected
    await budget_holds(golden)
    await nothing_is_held(golden, [task_id])


def asked_for_work(provider: Provider, title: str) -> list[str]:
    return [asked.role for asked in provider.asked_about(title) if not asked.voting]


async def test_a_task_reset_after_its_plan_asks_for_no_plan_again(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    title = "reset after the plan"
    provider.script(title, Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    task_id = await golden.submit(spec(title))
    await step_runs(golden, task_id, "develop/1")
    await until(lambda: asked_for_work(provider, title) == ["architect", "developer"])
    await reset(golden, temporal, task_id, done("plan"))
    # The run before was stopped in mid-call: its developer is asked once more, and both dispatches are charged.
    await until(lambda: asked_for_work(provider, title) == ["architect", "developer", "developer"])
    gate.set()
    assert (await golden.result(task_id))["state"] == "accepted"
    assert asked_for_work(provider, title) == ["architect", "developer", "developer"]
    await is_paid_once(golden, provider, title, task_id, lost=1)


async def test_a_task_reset_while_it_is_parked_is_parked_again_and_goes_on_when_redriven(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    title = "reset while parked"
    provider.script(title, Script(developer=[*NONSENSE, files(work=GOOD)]))
    task_id = await golden.submit(spec(title))
    letter = await parked(golden, task_id)
    await reset(golden, temporal, task_id, started)
    # The same letter is the new run's: nobody is asked for what was answered three times.
    handle = temporal.get_workflow_handle(f"task/{task_id}")
    await until(lambda: waits_for_its_letter(handle.fetch_history))
    assert (await parked(golden, task_id))["id"] == letter["id"]
    assert asked_for_work(provider, title) == ["architect", *["developer"] * 3]
    await decide(golden, letter, "redrive")
    assert (await golden.result(task_id))["state"] == "accepted"
    assert asked_for_work(provider, title) == ["architect", *["developer"] * 4]
    await is_paid_once(golden, provider, title, task_id)


async def waits_for_its_letter(fetch: Callable[[], Awaitable[WorkflowHistory]]) -> bool:
    """Whether the present run has read its letter, found it open, and given its slot back."""
    history = await fetch()
    return any(map(done("yield/develop/1/1"), history.events))


async def test_a_step_done_after_its_redrive_is_not_asked_again_by_a_reset_to_before_it_was_parked(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    title = "reset to before the parking"
    gate = threading.Event()
    provider.script(title, Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    task_id = await golden.submit(spec(title, budget_tokens=1_000))
    await parked_again(golden, task_id, "BudgetExhausted")
    async with golden.client("admin") as client:
        assert (await client.post(f"/v1/tasks/{task_id}/top-up", json={"tokens": 49_000})).status_code == 200
    await until(lambda: asked_for_work(provider, title) == ["architect", "developer"])
    # What the plan lacked in its first epoch is there now: only its row keeps it from being asked once more.
    await reset(golden, temporal, task_id, started)
    await until(lambda: len(asked_for_work(provider, title)) == 3)
    gate.set()
    assert (await golden.result(task_id))["state"] == "accepted"
    assert asked_for_work(provider, title) == ["architect", "developer", "developer"]
    await is_paid_once(golden, provider, title, task_id, lost=1)


async def test_a_task_reset_while_it_votes_asks_no_voter_again_who_has_voted(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    title = "reset while voting"
    provider.script(title, Script(developer=[files(work=GOOD)], gates={"security": gate}))
    task_id = await golden.submit(spec(title))
    await step_runs(golden, task_id, "ballot/security/1")
    for voter in ("reviewer", "tester", "architect"):
        await golden.until(task_id, partial(is_done, step=f"ballot/{voter}/1"))
    await until(lambda: voters(provider, title).count("security") == 1)
    await reset(golden, temporal, task_id, done("prove/1"))
    await until(lambda: voters(provider, title).count("security") == 2)
    gate.set()
    assert (await golden.result(task_id))["state"] == "accepted"
    assert asked_for_work(provider, title) == ["architect", "developer"]
    assert sorted(voters(provider, title)) == ["architect", "reviewer", "security", "security", "tester"]
    await is_paid_once(golden, provider, title, task_id, lost=1)


def is_done(task: dict[str, Any], step: str) -> bool:
    return any(row["step"] == step and row["state"] == "done" for row in task["progress"])


def voters(provider: Provider, title: str) -> list[str]:
    return [asked.role for asked in provider.asked_about(title) if asked.voting]


async def test_a_task_reset_after_its_end_stays_as_it_ended(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    title = "reset after the end"
    provider.script(title, Script(developer=[files(work=GOOD)]))
    task_id = await golden.submit(spec(title))
    result = await golden.result(task_id)
    assert await closed(temporal, f"task/{task_id}") == WorkflowExecutionStatus.COMPLETED
    asked = len(provider.asked_about(title))
    await reset(golden, temporal, task_id, done("plan"))
    assert await closed(temporal, f"task/{task_id}") == WorkflowExecutionStatus.COMPLETED
    described = await temporal.get_workflow_handle(f"task/{task_id}").describe()
    assert described.typed_search_attributes.get(GOLDEN_STATE) == "accepted"
    assert await golden.result(task_id) == result
    assert len(provider.asked_about(title)) == asked
    await is_paid_once(golden, provider, title, task_id)
