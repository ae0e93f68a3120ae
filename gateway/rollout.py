"""Builds of the workers: which is current, which may be removed, and how another takes its place.

A thin view of Temporal's worker deployments (https://docs.temporal.io/worker-versioning) for the one deployment that
all kinds of workers make up. Whoever may reach Temporal's frontend may roll out: no token of ours is asked for.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import RoutingConfigUpdateState, TaskQueueType, WorkerDeploymentVersionStatus
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeWorkerDeploymentRequest,
    DescribeWorkerDeploymentResponse,
    SetWorkerDeploymentCurrentVersionRequest,
    SetWorkerDeploymentRampingVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from schema.engine import DEPLOYMENT, QUEUES, RPC_TIMEOUT

BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

FRESH = timedelta(seconds=75)
"""A poll waits a minute at most, and is told at its beginning: who has not been heard of for longer is gone."""


IN_FORCE_SECONDS = 60.0


class NotReady(Exception):
    """Nothing was changed: the build could not do the work."""


@dataclass(frozen=True)
class Build:
    """One build of the workers.

    Attributes:
        state: `current`, `ramping`, `draining`, `drained`, or `inactive`: it has never had any work.
        percent: of new tasks, where it is ramping; 100 where it is current.
        queues: those that its workers ask for work.
        pinned: open workflows that can only end on it.
    """

    build_id: str
    state: str
    percent: float
    queues: tuple[str, ...]
    pinned: int

    @property
    def removable(self) -> bool:
        """Whether its workers may be stopped. Temporal waits some minutes before it says `drained`: what has just
        begun may not be listed yet, so that no open workflow is no proof."""
        return self.state in ("drained", "inactive")


async def list_builds(client: Client) -> list[Build]:
    """Every build that Temporal knows, the newest first; none where no worker has ever had a build."""
    described = await _describe(client)
    if described is None:
        return []
    pollers = await _queues_by_build(client)
    info = described.worker_deployment_info
    found = sorted(info.version_summaries, key=lambda each: each.create_time.ToNanoseconds(), reverse=True)
    builds = []
    for summary in found:
        build_id = summary.deployment_version.build_id
        state = _state(summary.status)
        percent = {"current": 100.0, "ramping": info.routing_config.ramping_version_percentage}.get(state, 0.0)
        pinned = await _pinned(client, build_id)
        builds.append(Build(build_id, state, percent, tuple(sorted(pollers.get(build_id, ()))), pinned))
    return builds


async def promote(client: Client, build_id: str | None) -> None:
    """Make a build current: new tasks begin on it, and what is not pinned moves to it. None is the workers without one.

    Raises:
        NotReady: it has no workers on some Task Queue.
        TimeoutError: it was done, and a Task Queue has not heard of it within IN_FORCE_SECONDS.
    """
    if build_id is not None:
        await _require_workers(client, build_id)
    token = await _token(client)
    await client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace,
            deployment_name=DEPLOYMENT,
            build_id=build_id or "",
            conflict_token=token,
            identity=client.identity,
            # Workers without a build poll no queue of the deployment; a build's queues were looked at just now.
            ignore_missing_task_queues=True,
            allow_no_pollers=build_id is None,
        ),
        timeout=RPC_TIMEOUT,
    )
    await _until_in_force(client)


async def ramp(client: Client, build_id: str, percent: float) -> None:
    """Give a build a share of the new tasks; 0 takes it back. A task goes by the hash of its id.

    Raises:
        NotReady: it has no workers on some Task Queue.
    """
    if percent > 0:
        await _require_workers(client, build_id)
    token = await _token(client)
    await client.workflow_service.set_worker_deployment_ramping_version(
        SetWorkerDeploymentRampingVersionRequest(
            namespace=client.namespace,
            deployment_name=DEPLOYMENT,
            # Without a build and at 0 per cent nothing ramps any more.
            build_id=build_id if percent > 0 else "",
            percentage=percent,
            conflict_token=token,
            identity=client.identity,
            ignore_missing_task_queues=True,
            allow_no_pollers=percent == 0,
        ),
        timeout=RPC_TIMEOUT,
    )
    await _until_in_force(client)


async def _until_in_force(client: Client) -> None:
    """Until every Task Queue goes by what was said; a server that does not tell is believed at once."""
    under_way = RoutingConfigUpdateState.ROUTING_CONFIG_UPDATE_STATE_IN_PROGRESS
    async with asyncio.timeout(IN_FORCE_SECONDS):
        while (told := await _describe(client)) is not None:
            if told.worker_deployment_info.routing_config_update_state != under_way:
                return
            await asyncio.sleep(0.1)


async def _require_workers(client: Client, build_id: str) -> None:
    missing = set(QUEUES) - (await _queues_by_build(client)).get(build_id, set())
    if missing:
        raise NotReady(f"no worker of build {build_id} asks for work of: {', '.join(sorted(missing))}")


async def _token(client: Client) -> bytes:
    """What changes only if nobody else rolls out at the same time."""
    described = await _describe(client)
    if described is None:
        raise NotReady("no worker has ever had a build: set GOLDEN_BUILD_ID for workers")
    return described.conflict_token


async def _describe(client: Client) -> DescribeWorkerDeploymentResponse | None:
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=DEPLOYMENT)
    try:
        return await client.workflow_service.describe_worker_deployment(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def _queues_by_build(client: Client) -> Mapping[str, set[str]]:
    """The Task Queues that workers of each build ask for activities: every kind of worker has some."""
    found: dict[str, set[str]] = {}
    for queue in QUEUES:
        described = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=client.namespace,
                task_queue=TaskQueue(name=queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            ),
            timeout=RPC_TIMEOUT,
        )
        for poller in described.pollers:
            if poller.deployment_options.deployment_name == DEPLOYMENT and _is_fresh(poller.last_access_time):
                found.setdefault(poller.deployment_options.build_id, set()).add(queue)
    return found


def _is_fresh(told: Timestamp) -> bool:
    return datetime.now(UTC) - told.ToDatetime(UTC) < FRESH


async def _pinned(client: Client, build_id: str) -> int:
    query = (
        f"TemporalWorkerDeploymentVersion = '{DEPLOYMENT}:{build_id}' "
        "AND TemporalWorkflowVersioningBehavior = 'Pinned' AND ExecutionStatus = 'Running'"
    )
    return (await client.count_workflows(query, rpc_timeout=RPC_TIMEOUT)).count


def _state(status: "WorkerDeploymentVersionStatus.ValueType") -> str:
    name = WorkerDeploymentVersionStatus.Name(status).removeprefix("WORKER_DEPLOYMENT_VERSION_STATUS_").lower()
    return name if name in ("current", "ramping", "draining", "drained") else "inactive"
