"""Waiting for conditions, and asking after processes that others started."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path


async def until(condition: Callable[[], object | Awaitable[object]], limit: float = 20.0) -> None:
    """Wait until a condition, plain or asynchronous, holds; fails after `limit` seconds."""
    async with asyncio.timeout(limit):
        while True:
            answer = condition()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that only waits to be reaped has."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] in ("Z", "X")
