"""`POST /v1/sandbox/executions` with real parts behind it, but for the sandbox, which a test tells what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.worker import Worker

from activities.failures import FailureInterceptor
from activities.sandbox import SandboxActivities
from activities.store import TaskStore
from gateway.authorisation import Role
from schema import engine
from schema.audit import payload_digest
from schema.database import Database
from schema.errors import FinalError, IsolationRequired, SandboxBusy, SandboxUnavailable
from schema.messages.sandbox import SandboxJob, SandboxRun, TestOutcome
from schema.settings import Settings
from tests.integration.conftest import running_gateway
from tests.support.audit import acts_of
from tests.support.histories import record
from tests.support.http import client, problem, tenant_name
from tests.support.parts import free_port, running_temporal
from workers.main import HEARTBEAT_THROTTLE
from workflows.sandbox_execution import SandboxExecution

Token = Callable[..., str]
Behaviour = Callable[[SandboxJob], Awaitable[SandboxRun]]
ROUTE = "/v1/sandbox/executions"
HELLO = {"files": {"main.py": "print('hello')"}, "command": ["python", "main.py"]}
RUN = SandboxRun(exit_code=0, stdout="hello\n", isolation="gvisor")


class ScriptedPool:
    """A pool that does what a test says."""

    def __init__(self) -> None:
        self.jobs: list[SandboxJob] = []
        self.behaviour: Behaviour = self.answering(RUN)
        self.ended = asyncio.Event()
        self.began = asyncio.Event()

    @staticmethod
    def answering(run: SandboxRun) -> Behaviour:
        async def answer(_job: SandboxJob) -> SandboxRun:
            return run

        return answer

    @staticmethod
    def failing(error: Exception) -> Behaviour:
        async def fail(_job: SandboxJob) -> SandboxRun:
            raise error

        return fail

    async def hang(self, _job: SandboxJob) -> SandboxRun:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        return RUN

    async def start(self) -> None: ...

    async def run(self, job: SandboxJob) -> SandboxRun:
        self.jobs.append(job)
        return await self.behaviour(job)

    async def ready(self) -> None: ...

    async def close(self) -> None: ...


@pytest_asyncio.fixture(scope="module")
async def alone(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """A gateway with a Temporal of its own, since the worker here knows one workflow only."""
    async with running_temporal(tmp_path_factory.mktemp("temporal")) as address:
        values = {"gateway_port": free_port(), "temporal_address": address, "sandbox_per_minute": 10_000}
        alone = settings.model_copy(update=values)
        async with running_gateway(alone, await engine.connect(alone)):
            yield alone


@pytest_asyncio.fixture
async def temporal(alone: Settings) -> Client:
    return await engine.connect(alone)


@pytest_asyncio.fixture
async def pool(temporal: Client, database: Database) -> AsyncIterator[ScriptedPool]:
    """A worker over a scripted pool."""
    pool = ScriptedPool()
    activities = SandboxActivities(TaskStore(database), pool)
    async with (
        Worker(temporal, task_queue=engine.ORCHESTRATOR_QUEUE, workflows=[SandboxExecution]),
        Worker(
            temporal,
            task_queue=engine.SANDBOX_QUEUE,
            activities=[activities.run_in_sandbox],
            interceptors=[FailureInterceptor()],
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        ),
    ):
        yield pool


@pytest.fixture
def tenant() -> str:
    return tenant_name()


@pytest.fixture
def http(alone: Settings, token: Token, tenant: str) -> Callable[..., httpx.AsyncClient]:
    """`http(role, **headers)`: a client of the test's own tenant."""

    def make(role: Role = "developer", **headers: str) -> httpx.AsyncClient:
        return client(alone.gateway_url, token(role, tenant, "ann"), **headers)

    return make


async def post(http: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await http.post(ROUTE, json={**HELLO, **fields})


async def test_a_program_is_run_and_answered_with_its_run(http: Any, pool: ScriptedPool) -> None:
    async with http() as developer:
        answer = await post(developer, limits={"seconds": 7})

    assert answer.status_code == 200
    assert SandboxRun.model_validate(answer.json()) == RUN
    (job,) = pool.jobs
    assert (job.files, job.command, job.limits.seconds) == (HELLO["files"], ("python", "main.py"), 7)


async def test_both_the_act_and_the_run_are_in_the_audit_log_by_digest(
    http: Any, pool: ScriptedPool, tenant: str, database: Database
) -> None:
    async with http(**{"X-Request-Id": "r-1"}) as developer:
        answer = await post(developer)

    act, run = await acts_of(database, tenant)
    assert [(each.actor, each.role, each.request_id) for each in (act, run)] == [("ann", "developer", "r-1")] * 2
    assert (act.action, act.outcome) == ("sandbox.execute", "allowed")
    assert (run.action, run.outcome, run.reason) == ("sandbox.run", "ended", "exit code 0, isolation gvisor")
    assert act.object == run.object
    assert run.digest == payload_digest(answer.json())
    assert "hello" not in str((act, run))


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (RUN.model_copy(update={"tests": (TestOutcome(id="t", outcome="passed"),)}), "passed"),
        (RUN.model_copy(update={"exit_code": 1, "tests": (TestOutcome(id="t", outcome="failed"),)}), "failed"),
        (RUN.model_copy(update={"exit_code": 137, "limit": "timeout"}), "limit"),
        (RUN.model_copy(update={"exit_code": 3}), "ended"),
    ],
    ids=["passed", "failed", "limit", "ended"],
)
async def test_the_audit_log_tells_how_it_ended(
    run: SandboxRun, outcome: str, http: Any, pool: ScriptedPool, tenant: str, database: Database
) -> None:
    pool.behaviour = pool.answering(run)
    async with http() as developer:
        answer = await post(developer)

    assert SandboxRun.model_validate(answer.json()) == run
    assert (await acts_of(database, tenant))[-1].outcome == outcome


@pytest.mark.parametrize("role", ["operator", "approver", "viewer"])
async def test_who_may_not_is_refused_and_nothing_runs(
    role: Role, http: Any, pool: ScriptedPool, tenant: str, database: Database
) -> None:
    async with http(role) as other:
        answer = await post(other)

    assert (answer.status_code, problem(answer)) == (403, "forbidden")
    assert pool.jobs == []
    (told,) = await acts_of(database, tenant)
    assert (told.action, told.outcome, told.object) == ("sandbox.execute", "denied", None)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"command": ["python", "-m", "pytest", "-p", "x"], "tests": {"test_a.py": ""}}, "command"),
        ({"limits": {"seconds": 301}}, "limits.seconds"),
        ({"files": {"../x": ""}}, "files.../x"),
        ({"image": "other"}, "image"),
        ({"control": "x"}, "control"),
    ],
)
async def test_what_cannot_be_run_is_refused_naming_the_field(fields: Any, field: str, http: Any) -> None:
    async with http() as developer:
        answer = await post(developer, **fields)

    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    ("error", "words", "tries"),
    [
        (IsolationRequired("no gVisor"), "isolation", 1),
        (FinalError("no such image"), "GOLDEN_SANDBOX_IMAGES", 1),
        (SandboxUnavailable("no docker", retry_after=0.01), "container engine", 3),
        (SandboxBusy("full", retry_after=0.01), "taken", 3),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_keeps_the_sandbox_from_running_is_503_and_says_what(
    error: Exception, words: str, tries: int, http: Any, pool: ScriptedPool
) -> None:
    pool.behaviour = pool.failing(error)
    async with http() as developer:
        answer = await post(developer)

    assert (answer.status_code, problem(answer)) == (503, "sandbox-unavailable")
    assert words in answer.json()["detail"]
    assert answer.headers["retry-after"] == "2"
    assert len(pool.jobs) == tries


async def test_a_sandbox_that_nobody_runs_is_503_in_time(
    http: Any, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.messages.execution.MARGIN_SECONDS", 0)
    async with (
        Worker(temporal, task_queue=engine.ORCHESTRATOR_QUEUE, workflows=[SandboxExecution]),
        http() as developer,
    ):
        answer = await post(developer, limits={"seconds": 1})

    assert (answer.status_code, problem(answer)) == (503, "sandbox-unavailable")


async def test_without_temporal_nothing_runs_and_that_is_said(settings: Settings, token: Token, tenant: str) -> None:
    lost = {"gateway_port": free_port(), "temporal_address": f"127.0.0.1:{free_port()}", "sandbox_per_minute": 10_000}
    away = settings.model_copy(update=lost)
    async with running_gateway(away), client(away.gateway_url, token("developer", tenant)) as developer:
        answer = await post(developer)

    assert (answer.status_code, problem(answer)) == (503, "temporal-unavailable")


async def test_an_act_that_cannot_be_recorded_does_not_happen(
    http: Any, pool: ScriptedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("gateway.audit.append", refuse)
    async with http() as developer:
        answer = await post(developer)

    assert answer.status_code == 500
    assert pool.jobs == []


async def test_a_client_that_leaves_ends_its_program(
    http: Any, pool: ScriptedPool, temporal: Client, tenant: str, database: Database
) -> None:
    pool.behaviour = pool.hang
    async with http() as developer:
        asking = asyncio.create_task(post(developer))
        await pool.began.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(20):
        await pool.ended.wait()

    (act,) = await acts_of(database, tenant)
    handle = temporal.get_workflow_handle(f"execution/{act.object}")
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert (await handle.describe()).status == WorkflowExecutionStatus.CANCELED
    await record(temporal, handle.id, "SandboxExecution-cancelled")


async def test_racing_requests_with_one_key_are_one_run_and_one_answer(
    http: Any, pool: ScriptedPool, tenant: str, database: Database
) -> None:
    async with http(**{"Idempotency-Key": str(uuid4())}) as developer:
        answers = await asyncio.gather(*(post(developer) for _ in range(10)))
        again = await post(developer)
        other = await post(developer, command=["env"])

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.text for answer in (*answers, again)} == {answers[0].text}
    assert (other.status_code, problem(other)) == (409, "idempotency-key-reused")
    assert len(pool.jobs) == 1
    chain = await acts_of(database, tenant)
    assert len(chain) == 13
    assert {record.object for record in chain[:-1]} == {chain[0].object}
    assert [record.action for record in chain if record.reason is None] == ["sandbox.execute"]
    assert [record.action for record in chain if record.action != "sandbox.execute"] == ["sandbox.run"]
    assert (chain[-1].outcome, chain[-1].reason) == ("denied", "idempotency-key-reused")


async def test_what_failed_is_run_again_for_the_same_key(http: Any, pool: ScriptedPool) -> None:
    async with http(**{"Idempotency-Key": str(uuid4())}) as developer:
        pool.behaviour = pool.failing(IsolationRequired("no gVisor"))
        first = await post(developer)
        pool.behaviour = pool.answering(RUN)
        second = await post(developer)

    assert [answer.status_code for answer in (first, second)] == [503, 200]


async def test_a_report_is_of_the_tenant_alone(alone: Settings, token: Token, pool: ScriptedPool) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    for _ in range(2):
        async with client(alone.gateway_url, token("developer", tenant_name(), "ann"), **key) as developer:
            assert (await post(developer)).status_code == 200

    assert len(pool.jobs) == 2
