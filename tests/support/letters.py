"""Dead letters for tests, as a worker leaves them."""

from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import Row, func, insert, select
from temporalio.client import Client
from uuid_utils.compat import uuid7

from schema import engine
from schema.database import Database
from schema.tables import dead_letters
from tests.support.http import set_task, submit

SIGNAL = "dead_letter_decided"


async def park(
    database: Database, task: dict[str, Any], step: str = "plan", *, workflow_id: str | None = None, **values: Any
) -> UUID:
    """An open letter of a task's step; returns its id."""
    letter = uuid7()
    row = {
        "id": letter,
        "tenant": task["tenant"],
        "task_id": UUID(task["task_id"]),
        "workflow_id": workflow_id or f"task/{task['task_id']}",
        "step": step,
        "epoch": 0,
        "kind": "model",
        "cause": "ModelUnavailable",
        "attempts": 5,
        "input": {"plan": "0" * 64},
        **values,
    }
    async with database.service() as connection:
        await connection.execute(insert(dead_letters).values(row))
    return letter


async def park_many(database: Database, task: dict[str, Any], count: int) -> None:
    """So many open letters of a task, `step/1` the oldest."""
    row = {"tenant": task["tenant"], "task_id": UUID(task["task_id"]), "workflow_id": f"task/{task['task_id']}"}
    told = {"epoch": 0, "kind": "model", "cause": "ModelUnavailable", "attempts": 5, "input": {}}
    letters = [{**row, **told, "id": uuid7(), "step": f"step/{number}"} for number in range(1, count + 1)]
    async with database.service() as connection:
        await connection.execute(insert(dead_letters), letters)


async def parked_task(
    http: httpx.AsyncClient, database: Database, letters: int = 1
) -> tuple[dict[str, Any], list[UUID]]:
    """A task of the client's tenant with so many open letters, oldest first."""
    task = await submit(http)
    await set_task(database, task, state="parked")
    return task, [await park(database, task, f"develop/{number}") for number in range(1, letters + 1)]


async def read(database: Database, letter: UUID) -> Row[Any]:
    """A letter's row."""
    async with database.service() as connection:
        return (await connection.execute(select(dead_letters).where(dead_letters.c.id == letter))).one()


async def now_in(database: Database) -> datetime:
    """What time it is by PostgreSQL's clock."""
    async with database.service() as connection:
        moment: datetime = (await connection.execute(select(func.now()))).scalar_one()
    return moment


async def signals_of(client: Client, task: dict[str, Any]) -> list[str]:
    """The names of the signals that a task's workflow has got."""
    history = await engine.task_handle(client, UUID(task["task_id"])).fetch_history()
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
