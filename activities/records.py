"""Writes down what a task came to: votes, escalations, decisions, verdicts."""

from typing import TYPE_CHECKING

from temporalio import activity

from schema.messages.steps import (
    EscalateInput,
    FinishInput,
    HumanDecision,
    ReadDecisionInput,
    RecordVoteInput,
    StepRef,
    StoredText,
    StoreObjectionsInput,
)
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from activities.store import TaskStore
    from activities.verdicts import Verdicts


class RecordActivities:
    """The book of record, as the workflows write it."""

    def __init__(self, store: "TaskStore", verdicts: "Verdicts") -> None:
        self._store = store
        self._verdicts = verdicts

    @activity.defn(name="record_vote")
    async def record_vote(self, vote: RecordVoteInput) -> StoredText:
        """Store the explanation of a vote."""
        return await self._store_text(vote.ref, vote.explanation.model_dump_json())

    @activity.defn(name="store_objections")
    async def store_objections(self, objections: StoreObjectionsInput) -> StoredText:
        """Store what the first round held against the candidate, for the second."""
        return await self._store_text(objections.ref, "\n".join(objections.lines))

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

    async def _store_text(self, ref: StepRef, body: str) -> StoredText:
        from schema.texts import digest_of

        done = await self._store.begin_step(ref, TaskState.VOTING)
        if done is not None:
            return StoredText.model_validate(done)
        stored = StoredText(text=digest_of(body))
        await self._store.finish_step(ref, stored, texts=[body])
        return stored
