"""What a task is measured against: the same course on bare Temporal, without ledger, database, roles or encryption.

As many activities as `AgentTask` has for the same task, and as its vote; the same requests to the provider, by the same
client; the same time in the sandbox. Texts go by value, as there is nowhere else to put them.
`python -m bench.bare_task` is its worker.
"""

import asyncio
import os
import signal
from datetime import timedelta
from typing import Any

from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

QUEUES = ("bare-tasks", "bare-votes", "bare-sandbox")
CANDIDATES, VOTERS = 3, ("reviewer", "security", "tester", "architect")


class Asked(BaseModel):
    """A question, or what was answered: a role and the texts that it is told."""

    role: str
    texts: list[str] = []


class Said(BaseModel):
    """One text."""

    text: str


@workflow.defn(name="BareTask")
class BareTask:
    """Admit, plan, develop and prove three candidates, vote, finish."""

    @workflow.run
    async def run(self, task: Said) -> str:
        """Returns what the vote came to."""
        await _step("bare_note", task, "admit")
        plan = await _step("bare_ask", Asked(role="architect", texts=[task.text]), "plan")
        proven = await asyncio.gather(*(self._candidate(task, plan, n) for n in range(CANDIDATES)))
        vote: Said = await workflow.execute_child_workflow(
            BareVote.run, Asked(role="voter", texts=[task.text, *proven[0]]), task_queue=QUEUES[1]
        )
        await _step("bare_note", vote, "finish")
        return vote.text

    async def _candidate(self, task: Said, plan: Said, number: int) -> list[str]:
        code = await _step("bare_ask", Asked(role="developer", texts=[task.text, plan.text]), f"develop/{number}")
        report = await _step("bare_prove", code, f"prove/{number}", queue=QUEUES[2])
        return [code.text, report.text]


@workflow.defn(name="BareVote")
class BareVote:
    """Four ballots at once, and their count."""

    @workflow.run
    async def run(self, vote: Asked) -> Said:
        """Returns `accepted`."""
        asked = [Asked(role=role, texts=["Vote:", *vote.texts]) for role in VOTERS]
        ballots = await asyncio.gather(*(_step("bare_ask", each, f"ballot/{each.role}") for each in asked))
        await _step("bare_note", Said(text="\n".join(each.text for each in ballots)), "record")
        return Said(text="accepted")


async def _step(name: str, argument: BaseModel, step: str, queue: str | None = None) -> Said:
    said: Said = await workflow.execute_activity(
        name,
        argument,
        result_type=Said,
        activity_id=step,
        task_queue=queue,
        start_to_close_timeout=timedelta(minutes=15),
        heartbeat_timeout=timedelta(seconds=5),
        retry_policy=RetryPolicy(maximum_attempts=5),
    )
    return said


class BareActivities:
    """What each step does."""

    def __init__(self, models: Any, target: Any) -> None:
        self._models, self._target = models, target

    @activity.defn(name="bare_ask")
    async def ask(self, asked: Asked) -> Said:
        """One question to the provider, with the role's own prompt and schema."""
        from activities.answer_types import answer_type
        from activities.models import Question
        from activities.prompts import base_prompt
        from schema.messages.vote import Evidence

        role: Any = asked.role
        evidence = Evidence(tests_passed=2, tests_failed=0) if asked.texts[0] == "Vote:" else None
        schema = answer_type(role, evidence, lean=False).model_json_schema()
        reply = await self._models.call(
            self._target, Question(base_prompt(role), "\n\n".join(asked.texts), schema, 0.0, 1, 800)
        )
        return Said(text=reply.text)

    @activity.defn(name="bare_prove")
    async def prove(self, code: Said) -> Said:
        """As long as two runs of the sandbox."""
        from activities.judging import judge
        from bench.played import TASK
        from schema.messages.sandbox import SandboxJob
        from tests.support.played import PlayedPool

        job = SandboxJob(files={"work.py": code.text}, tests=TASK["tests"], command=("python", "-m", "pytest", "-q"))
        return Said(text=(await judge(PlayedPool(), job)).model_dump_json())

    @activity.defn(name="bare_note")
    async def note(self, said: Said) -> Said:
        """What would be written down."""
        return said


async def main() -> None:
    """Serve until SIGTERM, with the settings of our workers."""
    from activities.models import Models
    from activities.routes import read_routes
    from bench.played import SANDBOXES
    from schema.settings import Settings
    from workers.main import GRACE, HEARTBEAT_THROTTLE, STICKY_TIMEOUT

    stop, settings = asyncio.Event(), Settings()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await Client.connect(settings.temporal_target, data_converter=pydantic_data_converter)
    models = Models(read_routes(settings), timeout_seconds=settings.model_timeout_seconds)
    bare = BareActivities(models, models.route("developer")[0])
    served: tuple[tuple[list[type], list[Any], int], ...] = (
        ([BareTask], [bare.ask, bare.note], 50),
        ([BareVote], [bare.ask, bare.note], 50),
        ([], [bare.prove], SANDBOXES),
    )
    workers = [
        Worker(
            client,
            task_queue=queue,
            workflows=workflows,
            activities=activities,
            # As ours: imported once.
            workflow_runner=SandboxedWorkflowRunner(
                restrictions=SandboxRestrictions.default.with_passthrough_modules("bench")
            ),
            max_concurrent_activities=at_once,
            max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
            sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
            graceful_shutdown_timeout=GRACE,
        )
        for queue, (workflows, activities, at_once) in zip(QUEUES, served, strict=True)
    ]
    running = [asyncio.create_task(each.run()) for each in workers]
    await stop.wait()
    await asyncio.gather(*(each.shutdown() for each in workers))
    await asyncio.gather(*running)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
