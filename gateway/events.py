"""`GET /v1/tasks/{id}/events`: a task's story as server-sent events, resumable at any event."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from gateway.feed import Follower
from gateway.problems import is_database_failure, not_found
from gateway.services import Call
from gateway.task_views import is_task
from gateway.values import read_sequence
from schema.messages.base import Message
from schema.messages.task import TaskEvent, TaskState
from schema.tables import task_events, tasks

BATCH = 200
PING_SECONDS = 15
SEND_SECONDS = 30.0
"""A client that takes nothing for so long is given up; it can resume."""
COME_BACK_MS = 1_000


class EventsQuery(Message):
    """Where to resume: after which event. `Last-Event-ID` says the same and goes before."""

    after: str = "0"


class StreamedEvent(Message):
    """One event of the stream. `id` is for `Last-Event-ID`; `data` is JSON; `retry` is in milliseconds.

    A comment says why a stream ends before the task has.
    """

    id: str | None = None
    event: str | None = None
    data: str | None = None
    retry: int | None = None


@dataclass(frozen=True)
class _Batch:
    events: tuple[TaskEvent, ...]
    complete: bool
    """There is nothing after these, and never will be."""


async def stream_events(call: Call) -> Response:
    """Every event after the one that the client saw last, then each as it comes, to the verdict."""
    last_seen = call.request.headers.get("last-event-id")
    if last_seen is not None:
        after = read_sequence("Last-Event-ID", last_seen)
    else:
        after = read_sequence("after", call.query(EventsQuery).after)
    task_id = call.task_id
    await _read_batch(call, task_id, after)  # so that a wrong task or a database that is away has its status
    if call.request.method == "HEAD":
        return EventSourceResponse(_nothing())
    return EventSourceResponse(_tell(call, task_id, after), ping=PING_SECONDS, send_timeout=SEND_SECONDS, sep="\n")


async def _tell(call: Call, task_id: UUID, after: int) -> AsyncIterator[ServerSentEvent]:
    with call.services.feed.follow(task_id) as follower:
        try:
            async for event in _follow(call, task_id, after, follower):
                yield ServerSentEvent(id=str(event.sequence), event=event.event, data=json.dumps(event.data))
        except Exception as error:
            if not is_database_failure(error):
                raise
            yield ServerSentEvent(comment="the database does not answer", retry=COME_BACK_MS)
        if follower.stopping:
            yield ServerSentEvent(comment="this gateway stops", retry=COME_BACK_MS)
        elif not _allowed(call):
            yield ServerSentEvent(comment="the token is not valid any more", retry=COME_BACK_MS)


async def _nothing() -> AsyncIterator[ServerSentEvent]:
    """No event: a stream's headers alone, for those who ask for these."""
    return
    yield


async def _follow(call: Call, task_id: UUID, after: int, follower: Follower) -> AsyncIterator[TaskEvent]:
    """The events from `after` on. No connection to the database is held while waiting or sending."""
    while not follower.stopping and _allowed(call):
        batch = await _read_batch(call, task_id, after)
        for event in batch.events:
            yield event
            after = event.sequence
        if batch.complete:
            return
        if len(batch.events) < BATCH:
            await follower.wait()


def _allowed(call: Call) -> bool:
    """Whether the stream's token has neither expired nor been revoked since."""
    return call.services.verifier.still_good(call.principal)


async def _read_batch(call: Call, task_id: UUID, after: int) -> _Batch:
    async with call.services.database.tenant(call.tenant) as connection:
        # The state first: what is told between the two reads is then at worst read once more, never missed.
        found = await connection.execute(
            select(tasks.c.state, tasks.c.event_sequence).where(is_task(call.tenant, task_id))
        )
        row = found.one_or_none()
        if row is None:
            raise not_found("task")
        events = await _read_events(connection, task_id, after)
    last = events[-1].sequence if events else after
    told = TaskState(row.state).final and last >= row.event_sequence
    return _Batch(events, complete=told or any(event.event == "verdict" for event in events))


async def _read_events(connection: AsyncConnection, task_id: UUID, after: int) -> tuple[TaskEvent, ...]:
    rows = await connection.execute(
        select(task_events.c.sequence, task_events.c.event, task_events.c.data)
        .where(task_events.c.task_id == task_id, task_events.c.sequence > after)
        .order_by(task_events.c.sequence)
        .limit(BATCH)
    )
    return tuple(TaskEvent(sequence=row.sequence, event=row.event, data=row.data) for row in rows)
