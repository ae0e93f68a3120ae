"""Brings rows and workflows together again after whatever came between them."""

from typing import TYPE_CHECKING, Any

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from schema.engine import RPC_TIMEOUT, start_task, task_handle
from schema.messages.steps import FinishInput, ReconcileResult
from schema.messages.task import TaskState

if TYPE_CHECKING:
    from temporalio.client import Client

    from activities.store import TaskStore
    from activities.verdicts import Verdicts

GRACE_SECONDS = 5
"""A row this young may just be on its way: its writer is left to finish."""

BATCH = 500

_RUNNING = (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)


class ReconcileActivities:
    """One pass over the open tasks."""

    def __init__(self, store: "TaskStore", verdicts: "Verdicts", client: "Client") -> None:
        self._store = store
        self._verdicts = verdicts
        self._client = client

    @activity.defn(name="reconcile")
    async def reconcile(self) -> ReconcileResult:
        """Start what was accepted and has no workflow, close what has lost its workflow, repeat lost wake-ups."""
        counts = {"started": 0, "closed": 0, "cancelled": 0, "woken": 0}
        for row in await self._store.open_tasks(older_than_seconds=GRACE_SECONDS, limit=BATCH):
            activity.heartbeat()
            done = await self._mend(row)
            if done is not None:
                counts[done] += 1
        return ReconcileResult(**counts)

    async def _mend(self, row: Any) -> str | None:
        handle = task_handle(self._client, row.task_id)
        try:
            status = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).status
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            if row.cancel_requested_by is not None and not row.admitted:
                return "cancelled" if await self._close(row, TaskState.CANCELLED, "cancelled on request") else None
            # Its steps that are done are stored: a workflow that starts again repeats none of them.
            await start_task(self._client, row.task_id, row.tenant, row.title)
            return "started"
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
