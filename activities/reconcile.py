"""Brings rows and workflows together again after whatever came between them."""

from typing import TYPE_CHECKING, Any

import structlog
from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from schema import telemetry
from schema.engine import (
    APPROVAL_DECIDED,
    LETTER_DECIDED,
    RPC_TIMEOUT,
    approval_workflow_id,
    start_approval,
    start_task,
    task_handle,
)
from schema.errors import KeyMissing, SealBroken
from schema.messages.learning import LearningApprovalInput
from schema.messages.steps import FinishInput, ReconcileResult
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from temporalio.client import Client

    from activities.verdicts import Verdicts
    from schema.database import Database

GRACE_SECONDS = 5
"""A row this young may just be on its way: its writer is left to finish."""

log = structlog.get_logger()

_RUNNING = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


class ReconcileActivities:
    """One pass over the open tasks."""

    def __init__(
        self, database: "Database", verdicts: "Verdicts", client: "Client", retention_days: int | None = None
    ) -> None:
        """`retention_days`: final tasks older than this are erased; None keeps them for ever."""
        self._database = database
        self._verdicts = verdicts
        self._client = client
        self._retention_days = retention_days

    @activity.defn(name="reconcile")
    async def reconcile(self) -> ReconcileResult:
        """Start what was accepted and has no workflow, close what has lost its workflow, repeat lost wake-ups; erase
        what is to be erased."""
        from activities.erasing import Erasures
        from activities.open_tasks import open_tasks, unheard_letters

        counts = {"started": 0, "closed": 0, "cancelled": 0, "woken": 0, "skipped": 0, "erased": 0}
        async for row in open_tasks(self._database, older_than_seconds=GRACE_SECONDS):
            activity.heartbeat()
            done = await self._mend(row)
            if done is not None:
                counts[done] += 1
        async for letter in unheard_letters(self._database, older_than_seconds=GRACE_SECONDS):
            activity.heartbeat()
            counts["woken"] += await self._wake(letter.workflow_id, LETTER_DECIDED)
        counts["woken"] += await self._see_updates_through()
        counts["erased"] = await Erasures(self._database, self._client, self._retention_days).go_on(activity.heartbeat)
        return ReconcileResult(**counts)

    async def _see_updates_through(self) -> int:
        """Each proposal that is not at its end has a workflow; returns how many were told of something new."""
        from activities.open_tasks import unclosed_updates, unsettled_updates

        told = 0
        for updates in (unsettled_updates, unclosed_updates):
            async for row in updates(self._database, older_than_seconds=GRACE_SECONDS):
                activity.heartbeat()
                await start_approval(self._client, LearningApprovalInput(update_id=row.id, tenant=row.tenant))
                if row.unheard:
                    told += await self._wake(approval_workflow_id(row.id), APPROVAL_DECIDED)
        return told

    async def _wake(self, workflow_id: str, name: str) -> bool:
        """Repeat the Signal of a decision; a workflow that is gone is its task's matter."""
        try:
            await self._client.get_workflow_handle(workflow_id).signal(name, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status in (RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED):
                raise
            if error.status != RPCStatusCode.NOT_FOUND:
                # One that Temporal will not signal must not be in the way of all others.
                log.error("a workflow can't be signalled", workflow_id=workflow_id, status=error.status.name)
            return False
        return True

    async def _start(self, row: Any) -> str:
        """Its steps that are done are stored: a workflow that starts again repeats none of them."""
        from activities.open_tasks import title_of

        try:
            title = await title_of(self._database, row.task_id)
        except (KeyMissing, SealBroken) as error:
            # One that can't be read must not be in the way of all others.
            log.error("a task can't be started", task_id=str(row.task_id), error=error.type)
            return "skipped"
        # In the trace of the request that it came with.
        with telemetry.within(row.traceparent):
            await start_task(self._client, row.task_id, row.tenant, title)
        return "started"

    async def _mend(self, row: Any) -> str | None:
        handle = task_handle(self._client, row.task_id)
        try:
            status = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).status
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            if row.cancel_requested_by is not None and not row.admitted:
                return "cancelled" if await self._close(row, TaskState.CANCELLED, "cancelled on request") else None
            return await self._start(row)
        if status not in _RUNNING:
            name = status.name.lower() if status is not None else "gone"
            cancelled = status == WorkflowExecutionStatus.CANCELED
            state = TaskState.CANCELLED if cancelled else TaskState.FAILED
            return "closed" if await self._close(row, state, f"workflow {name}") else None
        if row.cancel_requested_by is not None:
            await handle.cancel(rpc_timeout=RPC_TIMEOUT)
            return "cancelled"
        if row.state == TaskState.ESCALATED.value and row.decision is not None:
            await handle.signal("decision_recorded", rpc_timeout=RPC_TIMEOUT)
            return "woken"
        return None

    async def _close(self, row: Any, state: TaskState, reason: str) -> bool:
        return await self._verdicts.finish(
            FinishInput(task_id=row.task_id, tenant=row.tenant, state=state, reason=reason)
        )
