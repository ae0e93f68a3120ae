"""Parks steps whose attempts are spent, and reads what was decided on them. Nothing of a parked step is lost."""

from typing import TYPE_CHECKING

from temporalio import activity

from schema.messages.letters import LetterDecision, ParkInput
from schema.messages.steps import AgentTaskInput, StepRef

if TYPE_CHECKING:
    from activities.accounts import Accounts


class ParkingActivities:
    """The dead letters, as the workflows write and read them."""

    def __init__(self, accounts: "Accounts") -> None:
        self._accounts = accounts
        self._database = accounts.database

    @activity.defn(name="park")
    async def park(self, step: ParkInput) -> None:
        """Write the dead letter of a step, once; the task is `parked` from here on."""
        from activities.letters import write_letter

        async with self._database.tenant(step.ref.tenant) as connection:
            await write_letter(connection, step)

    @activity.defn(name="abandon")
    async def abandon(self, ref: StepRef) -> None:
        """Close a step that failed and is not parked, as one candidate of several: nothing of it stays held."""
        from activities.ledger import expire_calls
        from activities.store import close_step

        async with self._database.tenant(ref.tenant) as connection:
            await expire_calls(connection, ref.tenant, ref.task_id, ref.step)
            await close_step(connection, ref, "failed", "Abandoned", None)

    @activity.defn(name="read_letter")
    async def read_letter(self, ref: StepRef) -> LetterDecision:
        """What was decided on a step's dead letter: a Signal alone decides nothing."""
        from activities.letters import read_decision

        async with self._database.tenant(ref.tenant) as connection:
            return await read_decision(connection, ref)

    @activity.defn(name="yield_slot")
    async def yield_slot(self, task: AgentTaskInput) -> None:
        """Give a parked task's slot and hold to those who wait: it may stay parked for days."""
        from activities.accounts import lock_account
        from activities.letters import is_parked

        async with self._database.tenant(task.tenant) as connection:
            await lock_account(connection, task.tenant)
            if await is_parked(connection, task.task_id):
                await self._accounts.give_back(connection, task.task_id)
