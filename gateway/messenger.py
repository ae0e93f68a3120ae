"""Tells Temporal what a row already says. Whatever goes wrong here, `Reconcile` repeats it from the row."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import structlog
from temporalio.service import RPCError

PATIENCE_SECONDS = 1.0
"""How long an answer waits for Temporal. The call itself goes on a little longer, without the answer."""

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
