"""The life of a proposed prompt: worded, in line, evaluated, decided on, tried. Its row says where it is.

Nothing is remembered that the row does not say: a run that begins anew, for whatever reason, finds its place there.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ChildWorkflowError,
    FailureError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from activities.canary import CanaryActivities
    from activities.learning import LearningActivities
    from activities.llm import LlmActivities
    from activities.prompt_updates import PromptUpdateActivities
    from schema.engine import ORCHESTRATOR_QUEUE
    from schema.messages.evaluation import EvaluationInput
    from schema.messages.learning import LearningApprovalInput, UpdateStanding
    from schema.messages.prompt_updates import WordUpdateInput
    from schema.messages.steps import AgentTaskInput, AskRoleInput
    from schema.messages.task import TaskState

from workflows.asking import Wakes
from workflows.kinds import MODEL, RECORD
from workflows.parking import Steps, never
from workflows.prompt_evaluation import PromptEvaluation
from workflows.steps import StepFailed, durable_step, woken

WORDINGS = 3
LOOKS = 200
"""After so many acts the run is continued as a new one, so that no history grows without end."""

QUIET_SECONDS = 900.0
"""The longest pause between two looks at a trial of which nothing new is known."""

Output = TypeVar("Output")
Stage = Callable[[UpdateStanding], Awaitable[UpdateStanding]]


class PromptUpdate:
    """Does what the state of the row asks for, until the proposal is settled."""

    def __init__(self, wanted: LearningApprovalInput, wakes: Wakes) -> None:
        self._wanted = wanted
        self._wakes = wakes
        self._seen = 0
        self._acts = 0
        self._reminded = False
        self._pause = 0.0
        self._steps = Steps(AgentTaskInput(task_id=wanted.update_id, tenant=wanted.tenant))
        self._stages: dict[str, Stage] = {
            "proposed": self._propose,
            "waiting": self._wait,
            "evaluating": self._evaluate,
            "pending": self._ask_people,
            "approved": self._try,
            "canary": self._try,
        }

    async def run(self) -> str:
        """The state in which the proposal ended. Cancelled, it gives back what it holds; the row stays as it is."""
        try:
            standing = await self._look()
            while not standing.settled:
                if self._acts >= LOOKS or workflow.info().is_continue_as_new_suggested():
                    workflow.continue_as_new(self._wanted)
                standing = await self._stages[standing.state](standing)
        except (asyncio.CancelledError, FailureError) as error:
            if is_cancelled_exception(error):
                await asyncio.shield(self._close())
            raise
        await self._close()
        workflow.set_current_details(f"{standing.state.capitalize()}.")
        return standing.state

    async def _propose(self, standing: UpdateStanding) -> UpdateStanding:
        return await (self._admit() if standing.worded else self._word())

    async def _wait(self, standing: UpdateStanding) -> UpdateStanding:
        workflow.set_current_details(f"Waits: {standing.waits_for}.")
        await self._woken(standing.wait_seconds)
        return await self._admit()

    async def _evaluate(self, standing: UpdateStanding) -> UpdateStanding:
        """What is settled meanwhile needs no evaluation any more."""
        self._reminded = False
        if not standing.evaluated:
            workflow.set_current_details("Is tried on past tasks, beside the prompt that it would change.")
            evaluation = asyncio.create_task(self._hold_evaluation(standing))
            try:
                while not evaluation.done():
                    await workflow.wait_condition(lambda: evaluation.done() or self._wakes.count > self._seen)
                    if not evaluation.done() and (standing := await self._look()).settled:
                        return standing
                await evaluation
            finally:
                if evaluation.cancel():
                    await workflow.wait([evaluation])
        return await self._act(PromptUpdateActivities.judge_update, "judge", "do what the evaluation says")

    async def _ask_people(self, standing: UpdateStanding) -> UpdateStanding:
        """People decide in the row. They are reminded once; then it is shown as overdue; silence is never a yes."""
        workflow.set_current_details("Waits for a person: `golden approvals list`.")
        remind = None if self._reminded else standing.remind_in_seconds
        escalate = standing.escalate_in_seconds
        # The database's clock says when it is over; ours may be a moment ahead of it.
        due = min(each for each in (remind, escalate, max(1.0, standing.expires_in_seconds)) if each is not None)
        if await self._woken(due):
            return await self._look()
        if due == remind:
            self._reminded = True
            await self._act(LearningActivities.remind_update, "remind", "remind")
        elif due == escalate:
            return await self._act(PromptUpdateActivities.escalate_update, "escalate", "nobody has decided yet")
        return await self._look()

    async def _try(self, standing: UpdateStanding) -> UpdateStanding:
        """Look at the tasks of a trial from time to time, more seldom while none are new."""
        if standing.state == "canary":
            workflow.set_current_details("Is tried on a share of the new tasks.")
            self._pause = self._pause or standing.wait_seconds
            await self._woken(min(self._pause, max(1.0, standing.expires_in_seconds)))
        looked = await self._act(CanaryActivities.watch_canary, "watch", "what the trial has come to")
        quiet = standing.state == "canary" and looked.judged == standing.judged
        self._pause = min(QUIET_SECONDS, 2 * self._pause) if quiet else looked.wait_seconds
        return looked

    async def _word(self) -> UpdateStanding:
        workflow.set_current_details("Is worded.")
        for number in range(1, WORDINGS + 1):
            worded = await self._act(
                PromptUpdateActivities.word_update,
                "worded",
                "check the wording",
                await self._ask_supervisor(number, last=number == WORDINGS),
            )
            if worded.worded or worded.settled:
                break
        return worded

    async def _ask_supervisor(self, number: int, *, last: bool) -> WordUpdateInput:
        step = f"word/{number}"
        ask = AskRoleInput(ref=self._steps.ref(step), state=TaskState.PLANNING, role="supervisor", variant=number - 1)
        response, fault = None, ""
        try:
            answer = await self._steps.run(
                MODEL,
                LlmActivities.ask_role,
                ask,
                step=step,
                summary="supervisor: word the guideline",
                parks=never,
                task_queue=ORCHESTRATOR_QUEUE,
            )
            response = answer.response
        except StepFailed as failed:
            fault = f"the supervisor's model gave none ({failed.error_type})"
        return WordUpdateInput(**self._wanted.model_dump(), response=response, fault=fault, last=last)

    async def _hold_evaluation(self, standing: UpdateStanding) -> None:
        """Under the first free number: what was changed meanwhile is evaluated anew. Its report is in the row; where
        it came to none a person decides."""
        evaluation = EvaluationInput.model_validate({**self._wanted.model_dump(), "role": standing.role, "number": 1})
        while True:
            try:
                await workflow.execute_child_workflow(
                    PromptEvaluation.run,
                    evaluation,
                    id=f"evaluation/{evaluation.update_id}/{evaluation.number}",
                    task_queue=ORCHESTRATOR_QUEUE,
                    cancellation_type=workflow.ChildWorkflowCancellationType.WAIT_CANCELLATION_COMPLETED,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    search_attributes=workflow.info().typed_search_attributes,
                    static_summary="a proposed prompt, tried on past tasks",
                )
                return
            except WorkflowAlreadyStartedError:
                evaluation = evaluation.model_copy(update={"number": evaluation.number + 1})
            except ChildWorkflowError as error:
                if is_cancelled_exception(error):
                    raise
                return

    async def _admit(self) -> UpdateStanding:
        return await self._act(PromptUpdateActivities.admit_update, "admit", "may it be changed now?")

    async def _look(self) -> UpdateStanding:
        return await self._act(PromptUpdateActivities.look_update, "look", "read where it stands")

    async def _close(self) -> None:
        await self._act(PromptUpdateActivities.close_update, "close", "give back what it holds")

    async def _act(
        self,
        activity: Callable[[Any, Any], Awaitable[Output]],
        name: str,
        summary: str,
        argument: WordUpdateInput | None = None,
    ) -> Output:
        """One step. What is said while it runs is not lost: the next wait ends at once."""
        self._acts += 1
        self._seen = self._wakes.count
        step = f"{name}/{self._acts}"
        return await durable_step(RECORD, activity, argument or self._wanted, step=step, summary=summary)

    async def _woken(self, seconds: float) -> bool:
        return await woken(lambda: self._wakes.count > self._seen, seconds)
