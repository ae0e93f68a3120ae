"""Two builds of the workers at once: tasks end where they began, what may move on does, and nothing waits for ever."""

import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from gateway import rollout
from gateway.rollout import NotReady
from gateway.tokens import issue_token
from schema import engine
from schema.database import Database
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support.approvals import pending
from tests.support.http import client as http_client
from tests.support.http import tenant_name
from tests.support.parts import free_port, running_postgres, running_temporal
from tests.support.played import working
from tests.support.processes import until
from tests.support.provider import Provider, Script, files, running_provider
from tests.support.specs import GOOD, spec
from workers.kinds import KINDS

TENANT = "default"
PATIENCE = 60.0


@dataclass
class Fleet:
    """A stack of its own, since whichever build is current is so for all of its workers."""

    settings: Settings
    client: Client
    database: Database
    http: httpx.AsyncClient
    provider: Provider
    workers: AsyncExitStack
    pids: dict[str | None, int] = field(default_factory=dict)

    async def start(self, build: str | None) -> int:
        """Workers of every kind in one process, where they don't run yet; its id, once Temporal knows them."""
        if build in self.pids:
            return self.pids[build]
        environment = {
            "GOLDEN_HOME": str(self.settings.home),
            "GOLDEN_MODELS": self.provider.models,
            "GOLDEN_METRICS_PORT": str(free_port()),
            "GOLDEN_LOG_LEVEL": "error",
            "TEMPORAL_ADDRESS": self.settings.temporal_target,
            **({} if build is None else {"GOLDEN_BUILD_ID": build}),
        }
        self.pids[build] = await self.workers.enter_async_context(working(environment, *KINDS))
        if build is not None:
            await until(lambda: self._polls(build), PATIENCE)
        return self.pids[build]

    async def _polls(self, build: str) -> bool:
        found = [each for each in await rollout.list_builds(self.client) if each.build_id == build]
        return bool(found) and set(found[0].queues) == set(engine.QUEUES)

    async def begin(self, title: str) -> tuple[UUID, threading.Event]:
        """A task that waits for its developer's model, and what lets it go on."""
        gate = threading.Event()
        self.provider.script(title, Script(developer=[files(work=GOOD)], gates={"developer": gate}))
        answer = await self.http.post("/v1/tasks", json=spec(title))
        assert answer.status_code == 202, answer.text
        await until(lambda: self.provider.asked_about(title, lambda asked: asked.role == "developer"), PATIENCE)
        return UUID(answer.json()["task_id"]), gate

    async def end(self, task_id: UUID, gate: threading.Event) -> str:
        gate.set()
        return str(await engine.task_handle(self.client, task_id).result())

    async def ran_on(self, workflow_id: str) -> tuple[set[str], set[int]]:
        """The builds that moved a workflow, and the processes that ran its activities."""
        builds, pids = set(), set()
        async for event in self.client.get_workflow_handle(workflow_id).fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                builds.add(event.workflow_task_completed_event_attributes.deployment_version.build_id)
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                pids.add(int(event.activity_task_started_event_attributes.identity.split("@")[0]))
        return builds, pids

    async def is_removable(self, build: str) -> bool:
        return next(each.removable for each in await rollout.list_builds(self.client) if each.build_id == build)


@pytest_asyncio.fixture(scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    home = tmp_path_factory.mktemp("versions")
    async with AsyncExitStack() as parts:
        address = await parts.enter_async_context(running_temporal(home))
        prepared = await parts.enter_async_context(running_postgres(home))
        settings = prepared.model_copy(update={"temporal_address": address})
        client, database = await engine.connect(settings), Database.from_settings(settings)
        parts.push_async_callback(database.close)
        await parts.enter_async_context(running_gateway(settings, client))
        token = issue_token(settings, sub="tester", role="developer", tenant=TENANT, ttl=timedelta(hours=1))
        http = await parts.enter_async_context(http_client(settings.gateway_url, token))
        provider = await parts.enter_async_context(running_provider())
        workers = await parts.enter_async_context(AsyncExitStack())
        yield Fleet(settings, client, database, http, provider, workers)


async def test_a_task_that_began_without_a_build_goes_on_when_builds_begin(fleet: Fleet) -> None:
    await fleet.start(None)
    task_id, gate = await fleet.begin("Before builds")
    await fleet.start("one")
    await rollout.promote(fleet.client, "one")
    assert await fleet.end(task_id, gate) == "accepted"
    assert (await fleet.ran_on(f"task/{task_id}"))[0] == {"", "one"}


async def test_a_build_without_workers_on_every_queue_is_not_promoted(fleet: Fleet) -> None:
    with pytest.raises(NotReady, match="orchestrator, peer-hub, sandbox, supervisor"):
        await rollout.promote(fleet.client, "nobody")


async def test_running_tasks_end_on_the_old_build_and_new_ones_begin_on_the_new(fleet: Fleet) -> None:
    old = await fleet.start("one")
    await rollout.promote(fleet.client, "one")
    began, gate = await fleet.begin("Began on one")
    new = await fleet.start("two")
    await rollout.promote(fleet.client, "two")
    later, later_gate = await fleet.begin("Began on two")
    assert not await fleet.is_removable("one")

    assert await fleet.end(began, gate) == await fleet.end(later, later_gate) == "accepted"
    for task_id, build, pid in ((began, "one", old), (later, "two", new)):
        for workflow_id in (f"task/{task_id}", f"vote/{task_id}/1"):
            assert await fleet.ran_on(workflow_id) == ({build}, {pid})

    await until(lambda: fleet.is_removable("one"), PATIENCE)


async def test_a_proposal_that_waits_for_a_person_moves_to_the_new_build(fleet: Fleet) -> None:
    for build in ("two", "one"):
        await fleet.start(build)
    await rollout.promote(fleet.client, "one")
    wanted = await pending(fleet.database, tenant_name())
    await engine.start_approval(fleet.client, wanted)
    workflow_id = engine.approval_workflow_id(wanted.update_id)
    await until(lambda: has_run_on(fleet, workflow_id, {"one"}), PATIENCE)
    await rollout.promote(fleet.client, "two")
    await fleet.client.get_workflow_handle(workflow_id).signal(engine.APPROVAL_DECIDED)
    await until(lambda: has_run_on(fleet, workflow_id, {"one", "two"}), PATIENCE)


async def has_run_on(fleet: Fleet, workflow_id: str, builds: set[str]) -> bool:
    return (await fleet.ran_on(workflow_id))[0] == builds
