"""Many small writes as few: what comes in while one group is under way goes with the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gateway.problems import OVERLOADED, RETRY_SECONDS, Problem

MOST = 200
"""The largest group."""
PENDING = 5_000
"""Who comes when so many wait is sent away: they would wait longer than they care to."""
SECONDS = 5.0
"""How long a group may take; something holds it up that is not going to let go."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def _too_slow() -> Problem:
    return Problem(OVERLOADED, "try again in a moment", headers={"Retry-After": str(RETRY_SECONDS)})


class Groups(Generic[Item, Result]):
    """Does the work of many callers together, without making the first one wait for others.

    Args:
        work: does it for a group; one result for each item, in their order. What it raises, all of the group get.
    """

    def __init__(self, work: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]) -> None:
        self._work = work
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def do(self, item: Item) -> Result:
        """The result of this item, when its group is done.

        Raises:
            Problem: 503, too many are waiting.
        """
        if len(self._waiting) >= PENDING:
            raise _too_slow()
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await done

    async def close(self) -> None:
        """Finish what was asked for."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                await self._do_group(group)
        finally:
            self._running = None

    async def _do_group(self, group: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                results = await self._work([item for item, _ in group])
        except Exception as failure:
            error = _too_slow() if isinstance(failure, TimeoutError) else failure
            for _, done in group:
                # Whoever stopped waiting has cancelled theirs.
                if not done.done():
                    done.set_exception(error)
            return
        for (_, done), result in zip(group, results, strict=True):
            if not done.done():
                done.set_result(result)
