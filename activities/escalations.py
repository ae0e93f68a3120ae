"""Votes that only a person can decide: who may is reminded, and silence is a rejection."""

from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from schema.audit import AuditRecord, append
from schema.messages.steps import HumanDecision, ReadDecisionInput
from schema.messages.task import TaskState
from schema.story import append_event
from schema.tables import decisions, tasks

if TYPE_CHECKING:
    from schema.database import Database

NOBODY = "golden"
"""Who decides where no person did."""

EXPIRED = "nobody decided in time"
REMINDER = "still waits for a person's decision"

log = structlog.get_logger()


class EscalationActivities:
    """What happens while a person is asked."""

    def __init__(self, database: "Database") -> None:
        self._database = database

    @activity.defn(name="remind")
    async def remind(self, task: ReadDecisionInput) -> None:
        """Say once more that a decision is waited for: an event of the task, and a line in the log."""
        async with self._database.tenant(task.tenant) as connection:
            if await _escalated(connection, task):
                told = {"state": TaskState.ESCALATED.value, "reason": REMINDER}
                await append_event(connection, task.task_id, task.tenant, "state", told)
                log.warning("decision is due", task_id=str(task.task_id), tenant=task.tenant)

    @activity.defn(name="expire_decision")
    async def expire_decision(self, task: ReadDecisionInput) -> HumanDecision:
        """Reject, unless a person has decided: whoever came first counts. The audit log says which it was."""
        async with self._database.tenant(task.tenant) as connection:
            if await _escalated(connection, task):
                row = {"decision": "reject", "reason": EXPIRED, "actor": NOBODY}
                written = await connection.execute(
                    insert(decisions)
                    .values(task_id=task.task_id, tenant=task.tenant, **row)
                    .on_conflict_do_nothing()
                    .returning(decisions.c.task_id)
                )
                if written.scalar_one_or_none() is not None:
                    act = AuditRecord(actor=NOBODY, action="tasks.decide", object=str(task.task_id), outcome="allowed")
                    act = act.model_copy(update={"reason": f"reject: {EXPIRED}"})
                    await append(connection, task.tenant, [act])
            found = (
                await connection.execute(select(decisions).where(decisions.c.task_id == task.task_id))
            ).one_or_none()
        if found is None:
            return HumanDecision()
        return HumanDecision(decision=found.decision, actor=found.actor, reason=found.reason)


async def _escalated(connection: AsyncConnection, task: ReadDecisionInput) -> bool:
    """Whether the task waits for a decision; its row's lock lets one decision in at a time."""
    state = await connection.scalar(
        select(tasks.c.state).where(tasks.c.task_id == task.task_id, tasks.c.tenant == task.tenant).with_for_update()
    )
    return state == TaskState.ESCALATED.value
