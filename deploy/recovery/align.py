"""Brings a restored book and a restored engine together, before anybody works: the book is right."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from activities.open_tasks import open_tasks, title_of
from schema.database import Database
from schema.engine import RPC_TIMEOUT, start_task, task_handle
from schema.messages.task import FINAL_STATES
from schema.tables import dead_letters, erasures, learning_updates, tasks

GONE = "the book that was restored has no such task"
FINAL = "the task is final in the book that was restored"
AHEAD = "the book that was restored is older than this workflow"
SETTLE_SECONDS = 1.0
"""A server that has just started still writes down for its lists what it did last."""

_TASK, _APPROVAL = "task/", "approval/"


class Alignment:
    """One pass over the engine's open workflows, and one over the book's open tasks."""

    def __init__(self, database: Database, client: Client, book_at: datetime) -> None:
        """`book_at` is the time of the last transaction that the book has."""
        self._database = database
        self._client = client
        self._book_at = book_at
        self.counts: Counter[str] = Counter()

    async def run(self) -> Counter[str]:
        """How many workflows were ended without a task, ended as final, started again, started, and kept."""
        await asyncio.sleep(SETTLE_SECONDS)
        # What was heard by a later history than the restored one is to be said again.
        decided = dead_letters.c.state != "open"
        async with self._database.service() as connection:
            await connection.execute(update(dead_letters).where(decided).values(heard_at=None))
            # An older engine's store has histories again that were erased: `Reconcile` erases them once more.
            await connection.execute(update(erasures).values(completed_at=None))
        async for workflow_id in self._running():
            await self._judge(workflow_id)
        async for row in open_tasks(self._database, older_than_seconds=-3600):
            await self._begin(row)
        return self.counts

    async def _running(self) -> AsyncIterator[str]:
        names = "WorkflowType IN ('AgentTask', 'LearningApproval')"
        async for found in self._client.list_workflows(f"ExecutionStatus = 'Running' AND {names}"):
            yield found.id

    async def _judge(self, workflow_id: str) -> None:
        """End a running workflow that the book does not know, or knows to have ended, or is behind of."""
        handle = self._client.get_workflow_handle(workflow_id)
        state = await self._state_of(workflow_id)
        if state is None:
            await self._end(handle, GONE, "without a task")
        elif state in {final.value for final in FINAL_STATES}:
            await self._end(handle, FINAL, "final already")
        elif workflow_id.startswith(_APPROVAL) and await self._is_ahead(handle):
            await self._end(handle, AHEAD, "started again")  # by Reconcile, from its row

    async def _state_of(self, workflow_id: str) -> str | None:
        task = workflow_id.startswith(_TASK)
        key = UUID(workflow_id.removeprefix(_TASK if task else _APPROVAL))
        async with self._database.service() as connection:
            if task:
                found = await connection.scalar(select(tasks.c.state).where(tasks.c.task_id == key))
            else:
                found = await connection.scalar(select(learning_updates.c.state).where(learning_updates.c.id == key))
        return None if found is None else str(found)

    async def _end(self, handle: WorkflowHandle[Any, Any], reason: str, counted: str) -> None:
        await handle.terminate(reason=reason, rpc_timeout=RPC_TIMEOUT)
        self.counts[counted] += 1

    async def _begin(self, row: Any) -> None:
        """Start an open task that has no workflow, or one whose history the book can't follow."""
        handle = task_handle(self._client, row.task_id)
        try:
            found = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            counted = "started"
        else:
            ended = found.close_time is not None and found.close_time > self._book_at
            if found.status != WorkflowExecutionStatus.RUNNING and not ended:
                return  # Ended by somebody before: Reconcile closes the row.
            if not ended and not await self._is_ahead(handle):
                self.counts["kept"] += 1
                return
            counted = "started again"
        await start_task(
            self._client, row.task_id, row.tenant, await title_of(self._database, row.task_id), afresh=True
        )
        self.counts[counted] += 1

    async def _is_ahead(self, handle: WorkflowHandle[Any, Any]) -> bool:
        """Whether an activity of it, or of its children, ended after the book's last transaction.

        What ended before had committed before, and so is in the book; both times are of one clock.
        """
        children = []
        try:
            async for event in handle.fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                    if event.event_time.ToDatetime(self._book_at.tzinfo) > self._book_at:
                        return True
                elif event.event_type == EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED:
                    child = event.child_workflow_execution_started_event_attributes.workflow_execution
                    children.append(self._client.get_workflow_handle(child.workflow_id, run_id=child.run_id))
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
        for each in children:
            if await self._is_ahead(each):
                return True
        return False
