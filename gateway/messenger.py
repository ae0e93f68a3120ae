"""Tells Temporal what a row already says. Whatever goes wrong here, `Reconcile` repeats it from the row."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

import structlog
from temporalio.service import RPCError, RPCStatusCode

PATIENCE_SECONDS = 1.0
"""How long an answer waits for Temporal. The call itself goes on a little longer, without the answer."""

PACE_SECONDS = 0.01
"""Between two of many messages, so that those who wake together are not the engine's only load."""

Message = Callable[[], Coroutine[Any, Any, object]]

log = structlog.get_logger(__name__)


class Messenger:
    """Calls to Temporal that may outlive the request that made them."""

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[None]] = set()

    async def tell(self, what: str, task_id: UUID, message: Coroutine[Any, Any, object]) -> None:
        """Send a message; returns when it is sent, has failed, or takes too long to wait for."""
        sending = asyncio.create_task(_send(what, task_id, message))
        self._under_way.add(sending)
        sending.add_done_callback(self._under_way.discard)
        await asyncio.wait({sending}, timeout=PATIENCE_SECONDS)

    def tell_later(self, what: str, messages: Sequence[tuple[UUID, Message]]) -> None:
        """Send messages one after the other, without anybody waiting for it; `Reconcile` sends what isn't sent."""
        sending = asyncio.create_task(_send_each(what, messages))
        self._under_way.add(sending)
        sending.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is still under way."""
        for sending in self._under_way:
            sending.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)


async def _send(what: str, task_id: UUID, message: Coroutine[Any, Any, object]) -> None:
    try:
        await message
    except (RPCError, RuntimeError) as error:  # the SDK says RuntimeError where it can't connect
        log.warning("temporal not told yet", what=what, task_id=str(task_id), error=type(error).__name__)


async def _send_each(what: str, messages: Sequence[tuple[UUID, Message]]) -> None:
    for sent, (task_id, message) in enumerate(messages):
        try:
            await message()
        except (RPCError, RuntimeError) as error:
            log.warning("temporal not told yet", what=what, task_id=str(task_id), error=type(error).__name__)
            if not (isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND):
                # Temporal itself is away: each of the others would only wait for that too.
                log.warning("temporal is told later", what=what, messages=len(messages) - sent)
                return
        await asyncio.sleep(PACE_SECONDS)
