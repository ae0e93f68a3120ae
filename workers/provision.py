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
)

from activities.prompt_store import install_bases
from schema.database import Database
from schema.engine import SEARCH_ATTRIBUTES, SUPERVISOR_QUEUE
from workflows.reconcile import Reconcile

log = structlog.get_logger()

RECONCILE_SCHEDULE = "reconcile"


async def provision(client: Client, database: Database, *, reconcile_every: timedelta) -> None:
    """Create the search attributes, this release's base prompts and the Schedule of `Reconcile` where they are missing.

    Raises:
        RPCError, SQLAlchemyError: Temporal or the database is not ready yet.
    """
    await _search_attributes(client)
    await install_bases(database)
    await _reconcile_schedule(client, reconcile_every)


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
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )
    try:
        await client.create_schedule(RECONCILE_SCHEDULE, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        return
