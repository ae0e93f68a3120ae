"""The composition root of the workers: `golden worker KIND`."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities import meters
from activities.context import ContextInterceptor
from activities.failures import FailureInterceptor
from activities.routes import read_routes
from schema.engine import DEPLOYMENT, SANDBOX_QUEUE, SUPERVISOR_QUEUE, connect
from schema.errors import GoldenError, SettingsError
from schema.logs import configure_logs
from schema.policies import default_policy
from schema.settings import Settings
from schema.telemetry import start_tracing
from workers.kinds import ALL, KINDS, Kind, kinds_of
from workers.parts import Parts, compose
from workers.provision import provision

log = structlog.get_logger()

RETRY_SECONDS = 2.0
GRACE = timedelta(seconds=5)
"""Activities get this long to end by themselves at a shutdown; then they are cancelled, and tried elsewhere."""

# Our workflows are imported once, not once a run, which is two thirds of what a workflow costs. That they are
# deterministic is checked where nobody waits: the tests run and replay them with every import restricted.
RUNNER = SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows"))

# A worker that was killed is noticed after its heartbeat and its sticky queue time out: both are kept short.
STICKY_TIMEOUT = timedelta(seconds=2)
HEARTBEAT_THROTTLE = timedelta(seconds=1)


def run(kind: str, settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT; does not return.

    Raises:
        SettingsError: `kind` is no kind of worker, or a setting can't be used.
    """
    if kind != ALL and kind not in KINDS:
        raise SettingsError(f"{kind!r} is no kind of worker: use {', '.join(KINDS)} or {ALL}")
    # Before anything answers, so that a setting that can't be used ends the start and not the first task.
    read_routes(settings)
    default_policy(settings)
    configure_logs(settings.log_level, f"worker-{kind}")
    tracing = start_tracing(settings, f"worker-{kind}")
    code = asyncio.run(_main(kind, settings))
    tracing.stop()
    # The SDK's threads may crash the interpreter on its way out: there is nothing left to do but to leave.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


async def _main(kind: str, settings: Settings) -> int:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    runtime = _runtime(settings)
    client = await _connect(settings, runtime, stop)
    if client is None:
        return 0
    parts = compose(settings, client)
    models = {target.model for route in read_routes(settings).values() for target in route}
    meters.start(runtime.metric_meter, models)
    for each in kinds_of(kind).values():
        _start_sdk_meters(runtime, settings, each, parts)
    workers = [_serve(name, each, parts, client, settings, stop) for name, each in kinds_of(kind).items()]
    try:
        await asyncio.gather(*workers)
    finally:
        await parts.pool.close()
        await parts.circuits.flush()
        await parts.database.close()
    log.info("stopped", kind=kind)
    return 0


async def _serve(name: str, kind: Kind, parts: Parts, client: Client, settings: Settings, stop: asyncio.Event) -> None:
    """Run one kind until `stop`; it begins once what it needs is there, and says what it waits for."""
    if kind.queue == SANDBOX_QUEUE and not await _until_ready(parts.pool.start, "the sandbox", stop):
        return
    worker = Worker(
        client,
        task_queue=kind.queue,
        workflows=kind.workflows,
        activities=kind.activities(parts),
        workflow_runner=RUNNER,
        interceptors=[ContextInterceptor(), FailureInterceptor()],
        max_concurrent_activities=kind.concurrent_activities or settings.sandbox_pool,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        deployment_config=_deployment(settings, kind),
    )
    async with worker:
        log.info("worker runs", kind=name, queue=kind.queue)
        if kind.queue == SUPERVISOR_QUEUE:
            await _until_ready(lambda: provision(client, parts.database, settings), "the set-up", stop)
        await stop.wait()


def _deployment(settings: Settings, kind: Kind) -> WorkerDeploymentConfig | None:
    """The build of these workers; None where one process after the other does all the work, as on one machine: a pinned
    task would wait for ever for a build that its successor has replaced."""
    if settings.build_id is None:
        return None
    version = WorkerDeploymentVersion(deployment_name=DEPLOYMENT, build_id=settings.build_id)
    return WorkerDeploymentConfig(version, use_worker_versioning=True, default_versioning_behavior=kind.behavior)


async def _until_ready(start: Callable[[], Awaitable[None]], what: str, stop: asyncio.Event) -> bool:
    """Try until it works or the process is told to stop; False if stopped."""
    while not stop.is_set():
        try:
            await start()
            return True
        except (GoldenError, RPCError, SQLAlchemyError) as error:
            log.warning("waiting", what=what, error=str(error))
        await _pause(stop)
    return False


async def _connect(settings: Settings, runtime: Runtime, stop: asyncio.Event) -> Client | None:
    """A connected client, however long Temporal takes to come up; None if stopped before."""
    while not stop.is_set():
        try:
            return await connect(settings, runtime=runtime)
        except RuntimeError as error:
            log.warning("waiting", what="Temporal", error=str(error))
        await _pause(stop)
    return None


async def _pause(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), RETRY_SECONDS)
    except TimeoutError:
        return


def _runtime(settings: Settings) -> Runtime:
    """The SDK's runtime, with its metrics and ours on a port of their own."""
    metrics = PrometheusConfig(
        bind_address=f"{settings.metrics_host}:{settings.metrics_port}",
        durations_as_seconds=True,
        counters_total_suffix=True,
        unit_suffix=True,
        histogram_bucket_overrides=meters.buckets(),
    )
    # Which process it is, whoever scrapes it says.
    return Runtime(telemetry=TelemetryConfig(metrics=metrics, attach_service_name=False, logging=_CORE_LOGS))


_CORE_LOGS = LoggingConfig(
    filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
    forwarding=LogForwardingConfig(logger=logging.getLogger("temporalio.core"), prepend_target_on_message=False),
)
"""The SDK's own lines are lines of our JSON too."""


def _start_sdk_meters(runtime: Runtime, settings: Settings, kind: Kind, parts: Parts) -> None:
    """The failures that a kind of worker may come to, by the names that Temporal has for what it runs."""
    # The SDK has no public way to ask for them.
    workflows = [
        workflow._Definition.must_from_class(each).name or "" for of in KINDS.values() for each in of.workflows
    ]
    activities = [activity._Definition.must_from_callable(each).name or "" for each in kind.activities(parts)]
    meters.start_sdk(runtime.metric_meter, settings.temporal_namespace, kind.queue, workflows, activities)
