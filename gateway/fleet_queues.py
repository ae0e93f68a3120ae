"""What waits on Temporal's Task Queues, and who polls them."""

import asyncio
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client

from gateway.board import Board
from schema import metrics
from schema.engine import ORCHESTRATOR_QUEUE, PEER_HUB_QUEUE, RPC_TIMEOUT, SANDBOX_QUEUE, SUPERVISOR_QUEUE

QUEUES = (ORCHESTRATOR_QUEUE, PEER_HUB_QUEUE, SANDBOX_QUEUE, SUPERVISOR_QUEUE)
KINDS = {
    "workflow": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activity": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}
POLLED_WITHIN = timedelta(minutes=2)
"""A poll takes a minute at most; Temporal itself names a poller for five. One without a free slot does not poll."""

NO_WORKFLOWS = {(SANDBOX_QUEUE, "workflow")}
"""Queues that no worker polls, and nothing is put on."""


class FleetQueues:
    """Reads the four Task Queues."""

    def __init__(self, temporal: Client, board: Board) -> None:
        self._temporal = temporal
        self._board = board
        self.sandbox_backlog = 0.0

    async def read(self) -> None:
        """Read backlog, its age and pollers of each once, and show them."""
        asked = [(queue, kind) for queue in QUEUES for kind in KINDS if (queue, kind) not in NO_WORKFLOWS]
        found = dict(zip(asked, await asyncio.gather(*(self._describe(*each) for each in asked)), strict=True))
        now = datetime.now(UTC)
        backlog: dict[tuple[str, ...], float] = {
            each: float(said.stats.approximate_backlog_count) for each, said in found.items()
        }
        # Temporal tells an age of an empty backlog too.
        ages: dict[tuple[str, ...], float] = {
            each: said.stats.approximate_backlog_age.ToTimedelta().total_seconds() if backlog[each] else 0.0
            for each, said in found.items()
        }
        self._board.show(metrics.QUEUE_DEPTH, backlog)
        self._board.show(metrics.QUEUE_AGE, ages)
        self._board.show(metrics.QUEUE_POLLERS, {each: _pollers(said, now) for each, said in found.items()})
        self.sandbox_backlog = backlog[SANDBOX_QUEUE, "activity"]

    async def _describe(self, queue: str, kind: str) -> DescribeTaskQueueResponse:
        request = DescribeTaskQueueRequest(
            namespace=self._temporal.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=KINDS[kind],
            report_stats=True,
        )
        return await self._temporal.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)


def _pollers(said: DescribeTaskQueueResponse, now: datetime) -> int:
    recent = (each for each in said.pollers if now - each.last_access_time.ToDatetime(UTC) < POLLED_WITHIN)
    return len({each.identity for each in recent})
