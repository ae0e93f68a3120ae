"""A top-up and a step that is about to be parked: whichever comes first, the step goes on."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from activities.letters import read_decision, write_letter
from activities.store import TaskStore
from schema.database import Database
from schema.messages.letters import ParkInput
from schema.messages.steps import StepRef
from schema.messages.task import TaskState
from tests.support.budgets import admitted_task
from tests.support.http import client, tenant_name

Token = Callable[..., str]


async def parked(database: Database, task: dict[str, Any], step: str, kind: Any) -> str:
    """Park a step whose attempt has failed before; the state of its letter."""
    ref = StepRef(task_id=UUID(task["task_id"]), tenant=task["tenant"], step=step)
    letter = ParkInput(ref=ref, kind=kind, cause="BudgetExhausted", attempts=1, workflow_id="vote")
    async with database.tenant(ref.tenant) as connection:
        await write_letter(connection, letter)
        return (await read_decision(connection, ref)).state


async def test_a_step_that_found_too_little_before_a_top_up_is_not_left_parked_after_it(
    gateway_url: str, token: Token, database: Database
) -> None:
    store = TaskStore(database)
    async with client(gateway_url, token("admin", tenant_name())) as http:
        task = await admitted_task(http, database)
        ref = StepRef(task_id=UUID(task["task_id"]), tenant=task["tenant"], step="ballot/reviewer/1")
        for step in ("ballot/reviewer/1", "ballot/tester/1"):
            await store.begin_step(ref.model_copy(update={"step": step}), TaskState.VOTING)
        assert (await http.post(f"/v1/tasks/{task['task_id']}/top-up", json={"tokens": 1_000})).status_code == 200
        await store.begin_step(ref.model_copy(update={"step": "ballot/security/1"}), TaskState.VOTING)

        assert await parked(database, task, "ballot/reviewer/1", "budget") == "redriven"
        assert (await http.get(f"/v1/tasks/{task['task_id']}")).json()["state"] == "voting"
        # More would have to come for these.
        assert await parked(database, task, "ballot/tester/1", "model") == "open"
        assert await parked(database, task, "ballot/security/1", "budget") == "open"
