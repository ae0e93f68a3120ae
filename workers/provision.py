"""What has to exist before work begins: in Temporal, and of prompts. Idempotent: every supervisor sees to it first."""

from collections.abc import Sequence
from datetime import timedelta

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from activities.prompt_store import install_bases
from schema.database import Database
from schema.engine import SEARCH_ATTRIBUTES, SUPERVISOR_QUEUE
from schema.settings import Settings
from workflows.learning_scan import LearningScan
from workflows.reconcile import Reconcile

log = structlog.get_logger()

RECONCILE_SCHEDULE = "reconcile"
SCAN_SCHEDULE = "learning-scan"

BY_SETTING = "GOLDEN_LEARNING_SCAN is {}"
"""The note on the Schedule of the scan."""

ONE_AFTER_THE_OTHER = SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1))
"""What was missed while no supervisor was there is not made up for: the next run sees it all."""


async def provision(client: Client, database: Database, settings: Settings) -> None:
    """Create the search attributes, this release's base prompts and the Schedules where they are missing.

    Raises:
        RPCError, SQLAlchemyError: Temporal or the database is not ready yet.
    """
    await _search_attributes(client)
    await install_bases(database)
    await _reconcile_schedule(client, timedelta(seconds=settings.reconcile_seconds))
    await scan_schedule(client, settings)


async def _search_attributes(client: Client) -> None:
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [key.name for key in SEARCH_ATTRIBUTES if key.name not in listed.custom_attributes]
    if missing:
        await add_search_attributes(client, missing)
        log.info("search attributes added", names=missing)


async def add_search_attributes(client: Client, names: Sequence[str]) -> None:
    """Create Keyword search attributes; raises RPCError for one that exists."""
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes=dict.fromkeys(names, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
        )
    )


async def _reconcile_schedule(client: Client, every: timedelta) -> None:
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            Reconcile.run,
            id="reconcile",
            task_queue=SUPERVISOR_QUEUE,
            execution_timeout=timedelta(minutes=10),
            static_summary="rows and workflows, brought together",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=ONE_AFTER_THE_OTHER,
    )
    try:
        await client.create_schedule(RECONCILE_SCHEDULE, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        return


async def scan_schedule(client: Client, settings: Settings) -> None:
    """The Schedule of `LearningScan`, as the settings have it; one that is there is changed only where it differs."""
    every = timedelta(minutes=settings.learning_scan_minutes)
    paused, note = settings.learning_scan == "paused", BY_SETTING.format(settings.learning_scan)
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            LearningScan.run,
            id="learning-scan",
            task_queue=SUPERVISOR_QUEUE,
            execution_timeout=timedelta(hours=1),
            static_summary="what fails too often, and who might learn from it",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=ONE_AFTER_THE_OTHER,
        state=ScheduleState(paused=paused, note=note),
    )
    try:
        await client.create_schedule(SCAN_SCHEDULE, schedule)
        return
    except ScheduleAlreadyRunningError:
        pass
    handle = client.get_schedule_handle(SCAN_SCHEDULE)
    there = (await handle.describe()).schedule
    if there.state.paused == paused and [each.every for each in there.spec.intervals] == [every]:
        return

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate:
        there = found.description.schedule
        there.spec, there.state.paused, there.state.note = schedule.spec, paused, note
        return ScheduleUpdate(there)

    await handle.update(changed)
    log.info("the scan's schedule was changed", paused=paused, minutes=settings.learning_scan_minutes)
