"""One key, many requests, gateways that die: there is one task, and whoever asks again finds it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment

from activities.accounts import Accounts
from activities.reconcile import ReconcileActivities
from activities.verdicts import Verdicts
from deploy.local import temporal
from schema import engine
from schema.database import Database
from schema.settings import Settings
from schema.tables import audit_records, idempotency_keys, task_events, tasks
from tests.support.http import SPEC, client, count, set_task, submit, tenant_name
from tests.support.parts import GENEROUS, free_port, local_settings, running_part
from tests.support.processes import until

Token = Callable[..., str]
RACING = 200


@contextlib.asynccontextmanager
async def gateway_process(settings: Settings) -> AsyncIterator[asyncio.subprocess.Process]:
    """A gateway in a process of its own, on `settings.gateway_port`; killed at the end if it still runs."""
    environment = {
        "GOLDEN_HOME": str(settings.home),
        "GOLDEN_GATEWAY_PORT": str(settings.gateway_port),
        "GOLDEN_METRICS_PORT": str(settings.metrics_port),
        "TEMPORAL_ADDRESS": settings.temporal_target,
        "GOLDEN_RATE_LIMITS": GENEROUS,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "gateway"), env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: _answers(settings), 30)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(settings: Settings) -> bool:
    async with httpx.AsyncClient() as http:
        with contextlib.suppress(httpx.TransportError):
            return (await http.get(f"{settings.gateway_url}/healthz")).status_code == 200
    return False


def elsewhere(settings: Settings, **changes: object) -> Settings:
    """The same stack, with another gateway."""
    ports = {"gateway_port": free_port(), "metrics_port": free_port()}
    return settings.model_copy(update={**ports, **changes})


async def workflows_of(temporal_client: Client, tenant: str) -> list[str]:
    """The ids of a tenant's workflows."""
    return [found.id async for found in temporal_client.list_workflows(f"GoldenTenant = '{tenant}'")]


async def is_started(temporal_client: Client, task_id: str) -> bool:
    try:
        await engine.task_handle(temporal_client, UUID(task_id)).describe()
    except RPCError:
        return False
    return True


async def test_two_hundred_racing_requests_at_two_gateways_make_one_workflow_and_have_one_answer(
    settings: Settings, token: Token, database: Database, temporal_client: Client
) -> None:
    tenant, gateways = tenant_name(), [elsewhere(settings), elsewhere(settings)]
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for gateway in gateways:
            await stack.enter_async_context(gateway_process(gateway))
            http = client(gateway.gateway_url, token("developer", tenant), **{"Idempotency-Key": "race"})
            clients.append(await stack.enter_async_context(http))
        racing = [clients[n % 2].post("/v1/tasks", json=SPEC, timeout=60) for n in range(RACING)]
        answers = await asyncio.gather(*racing)

    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    for table in (tasks, idempotency_keys, task_events):
        assert await count(database, table, tenant) == 1, table.name
    task_id = answers[0].json()["task_id"]
    await until(lambda: _one_workflow(temporal_client, tenant, task_id))
    # Each request is told, and one of them alone did it.
    async with database.service() as connection:
        told = select(audit_records.c.reason).where(
            audit_records.c.tenant == tenant, audit_records.c.action == "tasks.submit"
        )
        reasons = (await connection.execute(told)).scalars().all()
    assert (len(reasons), reasons.count(None)) == (RACING, 1)


async def _one_workflow(temporal_client: Client, tenant: str, task_id: str) -> bool:
    return await workflows_of(temporal_client, tenant) == [f"task/{task_id}"]


async def test_a_gateway_killed_before_it_answers_leaves_one_task_and_the_retry_finds_it(
    settings: Settings, token: Token, database: Database, tmp_path: Path
) -> None:
    engine_settings, tenant = local_settings(tmp_path), tenant_name()
    headers = {"Idempotency-Key": "killed"}
    first = elsewhere(settings, temporal_address=engine_settings.temporal_target)
    second = elsewhere(first)
    async with running_part(temporal.part(engine_settings), tmp_path) as server:
        async with gateway_process(first) as gateway, client(first.gateway_url, token("developer", tenant)) as http:
            assert server.pid is not None
            os.kill(server.pid, signal.SIGSTOP)
            try:
                # The row is committed; the answer waits for an engine that says nothing.
                asking = asyncio.create_task(http.post("/v1/tasks", json=SPEC, headers=headers))
                await until(lambda: _is_accepted(database, tenant))
                gateway.send_signal(signal.SIGKILL)
                with pytest.raises(httpx.TransportError):
                    await asking
            finally:
                os.kill(server.pid, signal.SIGCONT)
        async with gateway_process(second), client(second.gateway_url, token("developer", tenant)) as http:
            found = await http.post("/v1/tasks", json=SPEC, headers=headers)
            listed = await http.get("/v1/tasks")
        temporal_client = await engine.connect(second)
        await until(lambda: _one_workflow(temporal_client, tenant, found.json()["task_id"]))

    assert found.status_code == 202
    assert [task["task_id"] for task in listed.json()["items"]] == [found.json()["task_id"]]
    assert await count(database, tasks, tenant) == await count(database, idempotency_keys, tenant) == 1


async def _is_accepted(database: Database, tenant: str) -> bool:
    return await count(database, tasks, tenant) == 1


async def test_a_key_answers_when_the_engine_has_forgotten_its_workflow(
    gateway_url: str, token: Token, database: Database, temporal_client: Client
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "old"}) as http:
        task = await submit(http)
        await until(lambda: is_started(temporal_client, task["task_id"]))
        await set_task(database, task, state="rejected", reason="no candidate passed")
        await temporal_client.workflow_service.delete_workflow_execution(
            DeleteWorkflowExecutionRequest(
                namespace=temporal_client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=f"task/{task['task_id']}"),
            )
        )
        await until(lambda: _is_forgotten(temporal_client, task["task_id"]))
        again = await submit(http)

    assert (again["task_id"], again["state"]) == (task["task_id"], "rejected")
    assert await count(database, tasks, tenant) == 1
    assert not await is_started(temporal_client, task["task_id"])


async def _is_forgotten(temporal_client: Client, task_id: str) -> bool:
    return not await is_started(temporal_client, task_id)


async def test_what_was_accepted_and_never_started_is_started_by_reconcile_once(
    settings: Settings, token: Token, database: Database, temporal_client: Client
) -> None:
    tenant, alone = tenant_name(), elsewhere(settings, temporal_address=f"127.0.0.1:{free_port()}")
    async with gateway_process(alone) as gateway, client(alone.gateway_url, token("developer", tenant)) as http:
        task = await submit(http)
        gateway.send_signal(signal.SIGKILL)
    assert not await is_started(temporal_client, task["task_id"])
    # Reconcile leaves what is young to its writer, and begins with the oldest.
    await set_task(database, task, updated_at=func.now() - func.make_interval(1))

    reconcile = ReconcileActivities(database, Verdicts(Accounts(database, lambda _: 0)), temporal_client).reconcile
    for _ in range(2):
        await ActivityEnvironment().run(reconcile)

    await until(lambda: _one_workflow(temporal_client, tenant, task["task_id"]))
