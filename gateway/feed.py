"""Wakes whoever follows a task's events: one connection that listens, for the whole process."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import make_url

from schema.settings import Settings

CHANNEL = b"golden_task_events"
POLL_SECONDS = 10.0
"""A notification may be lost with its connection; this is how late a follower may then be."""
RECONNECT_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Follower:
    """Waits for news of one task."""

    def __init__(self, feed: "EventFeed") -> None:
        self._feed = feed
        self._news = asyncio.Event()

    @property
    def stopping(self) -> bool:
        """Whether the gateway is about to stop, and streams should end."""
        return self._feed.stopping

    def wake(self) -> None:
        """There may be news."""
        self._news.set()

    async def wait(self) -> None:
        """Return at the next news, or after a while without any; call it again only after looking for news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._news.wait()
        self._news.clear()


class EventFeed:
    """Turns PostgreSQL's notifications into wake-ups; the payload is the task's id."""

    def __init__(self, settings: Settings) -> None:
        url = make_url(settings.database("tenant")).set(drivername="postgresql")
        self._conninfo = url.render_as_string(hide_password=False)
        self._followers: defaultdict[str, set[Follower]] = defaultdict(set)
        self.stopping = False

    @contextlib.contextmanager
    def follow(self, task_id: UUID) -> Iterator[Follower]:
        """A follower of one task, for as long as the context lasts."""
        follower = Follower(self)
        key = str(task_id)
        self._followers[key].add(follower)
        try:
            yield follower
        finally:
            self._followers[key].discard(follower)
            if not self._followers[key]:
                del self._followers[key]

    def stop(self) -> None:
        """Tell every follower that the gateway stops."""
        self.stopping = True
        self.wake_all()

    def wake_all(self) -> None:
        """Have every follower look whether it goes on."""
        for followers in self._followers.values():
            for follower in followers:
                follower.wake()

    async def run(self) -> None:
        """Listen until cancelled; connect again for as long as it takes."""
        while True:
            try:
                await self._listen()
            except psycopg.Error as error:
                log.warning("event feed lost its connection", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, connect_timeout=5)
        async with connection:
            await connection.execute(b"LISTEN " + CHANNEL)
            # What was told while nobody listened is told by this.
            self.wake_all()
            async for notification in connection.notifies():
                for follower in self._followers.get(notification.payload, ()):
                    follower.wake()
