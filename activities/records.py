"""Writes down what a task came to: escalations, decisions, verdicts."""

from typing import TYPE_CHECKING

from temporalio import activity

from schema.messages.steps import EscalateInput, FinishInput, HumanDecision, ReadDecisionInput
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from activities.verdicts import Verdicts


class RecordActivities:
    """The book of record, as the workflows write it."""

    def __init__(self, verdicts: "Verdicts") -> None:
        self._verdicts = verdicts

    @activity.defn(name="escalate")
    async def escalate(self, question: EscalateInput) -> None:
        """Put a question to a person: the task waits for `golden decide`."""
        await self._verdicts.escalate(question)

    @activity.defn(name="read_decision")
    async def read_decision(self, task: ReadDecisionInput) -> HumanDecision:
        """A person's decision, if its row is there: a Signal alone decides nothing."""
        return await self._verdicts.decision(task)

    @activity.defn(name="finish")
    async def finish(self, finish: FinishInput) -> TaskState | None:
        """End a task: result, verdict, slot and hold in one transaction.

        Returns the state of a task that had ended before, as one whose workflow was reset: it is left as it is.
        """
        if await self._verdicts.finish(finish):
            return None
        return await self._verdicts.state(finish.task_id, finish.tenant)
