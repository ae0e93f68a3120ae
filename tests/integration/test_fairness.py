"""One tenant's flood does not keep another waiting: workers, engine and database are real, the sandbox is played."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from temporalio.client import Client
from uuid_utils.compat import uuid7

from schema import engine
from schema.database import Database
from schema.messages.task import FINAL_STATES, TaskSpec
from schema.settings import Settings
from schema.tables import accounts, tasks
from schema.texts import canonical_json, put_text
from tests.support.parts import free_port, running_postgres, running_temporal
from tests.support.played import working
from tests.support.provider import Script, files, running_provider
from tests.support.specs import GOOD, spec

TITLE = "A flood of tasks"
FLOOD, OTHERS = 30, 3


async def submit(database: Database, tenant: str, number: int) -> list[UUID]:
    """The rows of so many tasks of a tenant that has a slot for each."""
    made = [uuid7() for _ in range(number)]
    body = TaskSpec.model_validate(spec(TITLE))
    async with database.tenant(tenant) as connection:
        await connection.execute(upsert(accounts).values(tenant=tenant, slots=number).on_conflict_do_nothing())
        reference = await put_text(connection, tenant, canonical_json(body.model_dump(mode="json")))
        same = {"tenant": tenant, "title": TITLE, "spec": reference, "submitted_by": "s", "budget_tokens": 50_000}
        await connection.execute(insert(tasks), [{"task_id": task_id, **same} for task_id in made])
    return made


async def start(client: Client, tenant: str, made: Sequence[UUID]) -> None:
    for task_id in made:
        await engine.start_task(client, task_id, tenant, TITLE)


async def over(database: Database, tenant: str) -> int:
    """How many tasks of a tenant are final."""
    ended = tasks.c.state.in_([state.value for state in FINAL_STATES])
    async with database.service() as connection:
        found = await connection.scalar(select(func.count()).select_from(tasks).where(tasks.c.tenant == tenant, ended))
    return int(found or 0)


@asynccontextmanager
async def alone(home: Path) -> AsyncIterator[tuple[Settings, Database, Client]]:
    """A PostgreSQL and a Temporal without other tests' tasks, which would stand in the queues too."""
    async with running_temporal(home) as address, running_postgres(home) as made:
        settings = made.model_copy(update={"temporal_address": address})
        database = Database.from_settings(settings)
        try:
            yield settings, database, await engine.connect(settings)
        finally:
            await database.close()


async def test_few_tasks_end_before_half_of_another_tenants_flood_that_came_first(tmp_path: Path) -> None:
    async with alone(tmp_path) as parts:
        await few_are_not_held_up(*parts)


async def few_are_not_held_up(settings: Settings, database: Database, temporal_client: Client) -> None:
    flood, few = await submit(database, "flood", FLOOD), await submit(database, "few", OTHERS)
    async with running_provider() as provider:
        provider.script(TITLE, Script(developer=[files(work=GOOD)]))
        environment = {
            "GOLDEN_HOME": str(settings.home),
            "GOLDEN_MODELS": provider.models,
            "GOLDEN_METRICS_PORT": str(free_port()),
            "GOLDEN_LOG_LEVEL": "error",
            "TEMPORAL_ADDRESS": settings.temporal_target,
        }
        # All of the flood is in the queues before anybody works on it.
        await start(temporal_client, "flood", flood)
        await start(temporal_client, "few", few)
        async with working(environment):
            await asyncio.gather(*(engine.task_handle(temporal_client, task_id).result() for task_id in few))
            ended_before = await over(database, "flood")
            # What is left of the flood is of no interest; those that have ended meanwhile can't be.
            ending = (engine.task_handle(temporal_client, task_id).terminate() for task_id in flood)
            await asyncio.gather(*ending, return_exceptions=True)
    assert await over(database, "few") == OTHERS
    assert ended_before < FLOOD / 2
