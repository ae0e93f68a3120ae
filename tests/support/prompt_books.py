"""A proposed prompt's row as a test would have it, for its workflow under skipped time."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

from temporalio import activity, workflow
from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from schema.engine import ORCHESTRATOR_QUEUE, SUPERVISOR_QUEUE
from schema.messages.evaluation import EvaluationInput
from schema.messages.learning import LearningApprovalInput, UpdateStanding, UpdateState
from schema.messages.prompt_updates import WordUpdateInput
from schema.messages.steps import AskRoleInput, AskRoleResult
from workflows.learning_approval import LearningApproval

HOUR = 3_600.0
DAY = 24 * HOUR
SETTLED = ("adopted", "rejected", "expired", "rolled_back")


def standing(state: UpdateState, **values: Any) -> UpdateStanding:
    return UpdateStanding(state=state, settled=state in SETTLED, kind="prompt", role="developer", **values)


PENDING = standing("pending", expires_in_seconds=7 * DAY, remind_in_seconds=DAY, escalate_in_seconds=3 * DAY)


class PromptBook:
    """Each act moves the row to the next standing that is written for it; where none is left it stays as it is."""

    def __init__(self, first: UpdateStanding, **script: list[UpdateStanding]) -> None:
        self.now = first
        self.script = script
        self.acts: list[str] = []
        self.wordings: list[WordUpdateInput] = []
        self.asked: list[AskRoleInput] = []
        self.speechless = 0

    def act(self, name: str) -> UpdateStanding:
        self.acts.append(name)
        if self.script.get(name):
            self.now = self.script[name].pop(0)
        return self.now

    @activity.defn(name="open_update")
    async def open_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return self.now

    @activity.defn(name="look_update")
    async def look_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return self.act("look")

    @activity.defn(name="word_update")
    async def word_update(self, wanted: WordUpdateInput) -> UpdateStanding:
        self.wordings.append(wanted)
        return self.act("word")

    @activity.defn(name="admit_update")
    async def admit_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return self.act("admit")

    @activity.defn(name="judge_update")
    async def judge_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return self.act("judge")

    @activity.defn(name="remind_update")
    async def remind_update(self, wanted: LearningApprovalInput) -> None:
        self.act("remind")

    @activity.defn(name="escalate_update")
    async def escalate_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return self.act("escalate")

    @activity.defn(name="watch_canary")
    async def watch_canary(self, wanted: LearningApprovalInput) -> UpdateStanding:
        return self.act("watch")

    @activity.defn(name="close_update")
    async def close_update(self, wanted: LearningApprovalInput) -> None:
        self.act("close")

    @activity.defn(name="ask_role")
    async def ask_role(self, ask: AskRoleInput) -> AskRoleResult:
        self.asked.append(ask)
        if self.speechless:
            self.speechless -= 1
            raise ApplicationError("no", type="InvalidModelOutput", non_retryable=True)
        return AskRoleResult(response="0" * 64)

    @activity.defn(name="abandon")
    async def abandon(self, ref: Any) -> None:
        return None

    @activity.defn(name="evaluate")
    async def evaluate(self, evaluation: EvaluationInput) -> None:
        self.act(f"evaluation {evaluation.number}")

    @property
    def activities(self) -> list[Callable[..., Any]]:
        rows = ("open", "look", "word", "admit", "judge", "remind", "escalate", "close")
        acts = [getattr(self, f"{name}_update") for name in rows]
        return [*acts, self.watch_canary, self.ask_role, self.abandon, self.evaluate]


@workflow.defn(name="PromptEvaluation")
class PlayedEvaluation:
    """Tells the book that it was held, and takes an hour."""

    @workflow.run
    async def run(self, evaluation: EvaluationInput) -> None:
        from datetime import timedelta

        await workflow.execute_activity("evaluate", evaluation, start_to_close_timeout=timedelta(seconds=10))
        await workflow.sleep(HOUR)


@workflow.defn(name="PromptEvaluation")
class FailingEvaluation:
    @workflow.run
    async def run(self, evaluation: EvaluationInput) -> None:
        raise ApplicationError("it has no tasks", type="Broken", non_retryable=True)


@asynccontextmanager
async def seen_through(
    environment: WorkflowEnvironment, book: PromptBook, evaluation: type = PlayedEvaluation
) -> AsyncIterator[WorkflowHandle[Any, str]]:
    """`LearningApproval` of a proposal whose row is the book."""
    async with AsyncExitStack() as workers:
        for queue, workflows in ((SUPERVISOR_QUEUE, [LearningApproval]), (ORCHESTRATOR_QUEUE, [evaluation])):
            worker = Worker(
                environment.client,
                task_queue=queue,
                workflows=workflows,
                activities=book.activities,
                workflow_runner=UnsandboxedWorkflowRunner(),
            )
            await workers.enter_async_context(worker)
        wanted = LearningApprovalInput(update_id=uuid4(), tenant="t")
        yield await environment.client.start_workflow(
            LearningApproval.run, wanted, id=f"approval/{wanted.update_id}", task_queue=SUPERVISOR_QUEUE
        )
