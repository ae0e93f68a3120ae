"""`LearningApproval`: one proposed change, from its proposal to adopted, rejected or expired.

A person decides in PostgreSQL; the Signal only wakes. Without a row it does nothing, whoever sent it. What is here is
the way of weights; that of prompts is longer (prompt_update.py).
"""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.learning import LearningActivities
    from schema.messages.learning import LearningApprovalInput, UpdateStanding

from workflows.asking import Wakes
from workflows.kinds import RECORD
from workflows.prompt_update import PromptUpdate
from workflows.steps import durable_step, woken


@workflow.defn(name="LearningApproval")
class LearningApproval:
    """Puts a proposal to people, reminds them, and does what they decide."""

    @workflow.init
    def __init__(self, wanted: LearningApprovalInput) -> None:
        self._wanted = wanted
        self._wakes = Wakes()
        self._looks = 0

    @workflow.run
    async def run(self, wanted: LearningApprovalInput) -> str:  # noqa: ARG002 (the init has it)
        """Returns the state in which the proposal ended."""
        standing = await durable_step(
            RECORD, LearningActivities.open_update, self._wanted, step="open", summary="put it to people"
        )
        if standing.kind == "prompt":
            return await PromptUpdate(self._wanted, self._wakes).run()
        workflow.set_current_details("Waits for a person: `golden approvals list`.")
        ends = workflow.now() + timedelta(seconds=standing.expires_in_seconds)
        reminds = standing.remind_in_seconds
        due = ends if reminds is None else workflow.now() + timedelta(seconds=reminds)
        while True:
            seen = self._wakes.count
            standing = await self._settle()
            if standing.settled:
                workflow.set_current_details(f"{standing.state.capitalize()}.")
                return standing.state
            left = (due - workflow.now()).total_seconds()
            if not await woken(lambda: self._wakes.count > seen, left):  # noqa: B023 (read at once)
                if due < ends:
                    await durable_step(
                        RECORD, LearningActivities.remind_update, self._wanted, step="remind", summary="remind"
                    )
                # The database's clock says when it is over; ours may be a moment ahead of it.
                due = max(ends, workflow.now() + timedelta(seconds=5))

    @workflow.signal(name="approval_decided")
    def approval_decided(self) -> None:
        """A decision may be there: the row says, not the Signal."""
        self._wakes.count += 1

    async def _settle(self) -> UpdateStanding:
        self._looks += 1
        return await durable_step(
            RECORD,
            LearningActivities.settle_update,
            self._wanted,
            step=f"settle/{self._looks}",
            summary="do what was decided",
        )
