"""A workflow that is cancelled while its sandbox runs: the container is gone within two seconds."""

import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import CancelledError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from activities import answers
from activities.failures import FailureInterceptor
from activities.sandbox import SandboxActivities
from activities.store import OpenedProof, TaskStore
from schema.messages.steps import Proof, ProveInput, StepRef
from schema.messages.task import TaskSpec, TaskState
from schema.messages.vote import VotePolicy
from tests.support.parts import running_temporal
from tests.support.sandbox import OWNER, PYTEST, TESTS, containers_of, make_pool, until
from workers.main import HEARTBEAT_THROTTLE
from workflows.kinds import SANDBOX
from workflows.steps import durable_step

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

QUEUE = "cancelling"
NOISE = 2.0
"""How much longer than the two seconds that are promised it may take here: other tests may have this machine."""
LOOP = "def double(x):\n    while True:\n        pass\n"


@workflow.defn(name="ProveOnce")
class ProveOnce:
    """One step of the kind that a task has."""

    @workflow.run
    async def run(self, prove: ProveInput) -> Proof:
        return await durable_step(SANDBOX, SandboxActivities.prove, prove, step="prove/1", summary="proves")


class Store:
    """What the activity needs of the records: a task whose candidate never ends."""

    async def begin_proof(self, *_: Any) -> OpenedProof:
        """Not done yet."""
        spec = SimpleNamespace(tests=TESTS, command=PYTEST, image="default", files={}, policy=VotePolicy())
        return OpenedProof(None, cast(TaskSpec, spec))


async def test_the_container_of_a_cancelled_workflow_is_gone_within_two_seconds(
    sandboxed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "read_candidate", lambda _: {"double.py": LOOP})
    owner = f"{OWNER}-cancelled"
    pool = make_pool(owner, size=1)
    await pool.start()
    await pool.settle()
    idle = set(containers_of(owner))
    async with running_temporal(tmp_path) as address:
        client = await Client.connect(address, data_converter=pydantic_data_converter)
        async with Worker(
            client,
            task_queue=QUEUE,
            workflows=[ProveOnce],
            activities=[SandboxActivities(cast(TaskStore, Store()), pool).prove],
            interceptors=[FailureInterceptor()],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            graceful_shutdown_timeout=timedelta(seconds=5),
        ):
            ref = StepRef(task_id=uuid4(), tenant="default", step="prove/1")
            prove = ProveInput(ref=ref, state=TaskState.PROVING, candidate="0" * 64)
            handle = await client.start_workflow(ProveOnce.run, prove, id="prove-once", task_queue=QUEUE)
            # The one that was idle runs it, and another is made in its place.
            assert await until(lambda: len(containers_of(owner)) == 2, 30)
            cancelled = time.monotonic()
            await handle.cancel()
            assert await until(lambda: not idle & set(containers_of(owner)), 2 * NOISE)
            print(f"gone after {time.monotonic() - cancelled:.2f} s")
            with pytest.raises(WorkflowFailureError) as failure:
                await handle.result()
            assert isinstance(failure.value.cause, CancelledError)
    await pool.close()
    assert await until(lambda: not containers_of(owner))
