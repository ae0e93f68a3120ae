"""Admits tasks: a slot of the tenant and the task's budget on the tenant's account, in order of arrival."""

import random
from typing import TYPE_CHECKING

from temporalio import activity

from schema.errors import NotAdmitted
from schema.messages.candidate import CandidateSpec
from schema.messages.steps import Admission, AgentTaskInput
from schema.messages.vote import VotePolicy

if TYPE_CHECKING:
    from activities.accounts import Accounts
    from activities.store import TaskStore

RETRY_SECONDS = (0.5, 1.5)
"""Between two looks at a full tenant, drawn at random so that the queued don't all look at once."""

FAR_BACK = 20
"""Who stands further back in the queue looks as much less often: a long queue costs no more than a short one."""

LONGEST_SECONDS = 15.0


async def stand_in_line(accounts: "Accounts", task: AgentTaskInput) -> None:
    """Take a slot and hold the budget.

    Raises:
        NotAdmitted: there is no room yet, with how long to wait before the next look.
        PriceUnknown, TaskGone: as `Accounts.admit`.
    """
    place = await accounts.admit(task)
    if place:
        wait = random.uniform(*RETRY_SECONDS) * max(1.0, place / FAR_BACK)  # noqa: S311
        raise NotAdmitted("the tenant has no room yet", retry_after=min(wait, LONGEST_SECONDS))


class AdmissionActivities:
    """The door of every task. `policy` is what holds where neither a tenant nor a task says otherwise."""

    def __init__(self, store: "TaskStore", accounts: "Accounts", policy: VotePolicy | None = None) -> None:
        self._store = store
        self._accounts = accounts
        self._policy = policy or VotePolicy()

    @activity.defn(name="admit")
    async def admit(self, task: AgentTaskInput) -> Admission:
        """Take a slot and hold the budget, or queue.

        Raises:
            NotAdmitted: the tenant is full, or an earlier task waits; tried again without limit.
            PriceUnknown: the tenant's money is limited, and a model has no price.
            TaskGone: the task is unknown, final, or was cancelled while it waited.
        """
        await stand_in_line(self._accounts, task)
        spec = await self._store.spec(task.task_id, task.tenant)
        return Admission(
            title=spec.title,
            candidates=spec.candidates,
            repair_rounds=spec.repair_rounds,
            deadline_seconds=spec.deadline_seconds,
            policy=await self._pinned(task, spec.policy),
            given=isinstance(spec, CandidateSpec),
            auto_fix=spec.auto_fix,
        )

    async def _pinned(self, task: AgentTaskInput, own: VotePolicy) -> VotePolicy:
        """The policy that holds; the prompts too are from here on what they are now."""
        from activities.prompt_store import pin
        from schema.policies import merged, read_tenant_policy

        async with self._store.database.tenant(task.tenant) as connection:
            await pin(connection, task.tenant, task.task_id)
            return merged(self._policy, await read_tenant_policy(connection, task.tenant), own)
