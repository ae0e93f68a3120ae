"""Steps that wait for their turn: for a circuit, or for what the other calls of their task hold."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.llm import LlmActivities
from schema.database import Database
from schema.errors import NotYet
from schema.messages.steps import AskRoleInput, StepRef
from schema.messages.task import TaskState
from schema.settings import Settings
from schema.tables import model_calls
from tests.support.budgets import admitted_task, rows_of, send
from tests.support.http import client, tenant_name
from workers.parts import compose

Token = Callable[..., str]


@pytest_asyncio.fixture
async def llm(settings: Settings, temporal_client: Client) -> AsyncIterator[LlmActivities]:
    """The activities as a worker has them; no model is called here."""
    parts = compose(settings, temporal_client)
    yield parts.llm
    await parts.database.close()


@pytest_asyncio.fixture
async def task(gateway_url: str, token: Token, database: Database) -> dict[str, Any]:
    """An admitted task of a tenant of its own."""
    async with client(gateway_url, token("developer", tenant_name())) as http:
        return await admitted_task(http, database)


async def wait_for_turn(llm: LlmActivities, task: dict[str, Any], step: str) -> None:
    """As the workflow does when a step has found its database, its budget or its provider away."""
    ref = StepRef(task_id=UUID(task["task_id"]), tenant=task["tenant"], step=step)
    ask = AskRoleInput(ref=ref, state=TaskState.DEVELOPING, role="developer")
    await ActivityEnvironment().run(llm.await_turn, ask)


async def states(database: Database, task: dict[str, Any]) -> dict[str, str]:
    """How the calls of a task ended, by step."""
    return {row["step"]: row["state"] for row in await rows_of(database, model_calls, task["tenant"])}


async def test_what_another_step_holds_is_waited_for(
    llm: LlmActivities, task: dict[str, Any], database: Database
) -> None:
    await send(database, task, "develop/1")
    with pytest.raises(NotYet):
        await wait_for_turn(llm, task, "develop/2")
    assert await states(database, task) == {"develop/1": "sent"}


async def test_a_step_does_not_wait_for_the_call_that_its_own_last_attempt_left_open(
    llm: LlmActivities, task: dict[str, Any], database: Database
) -> None:
    await send(database, task, "develop/1")
    await wait_for_turn(llm, task, "develop/1")
    assert await states(database, task) == {"develop/1": "uncertain"}


async def test_two_steps_that_left_calls_open_do_not_wait_for_each_other_for_ever(
    llm: LlmActivities, task: dict[str, Any], database: Database
) -> None:
    for step in ("develop/1", "develop/2"):
        await send(database, task, step)
    with pytest.raises(NotYet):
        await wait_for_turn(llm, task, "develop/1")
    await wait_for_turn(llm, task, "develop/2")
    await wait_for_turn(llm, task, "develop/1")
    assert await states(database, task) == {"develop/1": "uncertain", "develop/2": "uncertain"}
