"""A connection of a pool comes back whoever gave up waiting for it, and whenever."""

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Iterator

from sqlalchemy import text

from schema.database import Database
from schema.settings import Settings

PAUSES = [tenths / 10_000 for tenths in range(0, 300, 3)]
"""Seconds after which a user gives up: from before a connection is made until after it was used."""


async def _use(database: Database) -> None:
    async with database.statement() as connection:
        await connection.execute(text("SELECT 1"))


async def _give_up(settings: Settings, after: float) -> None:
    database = Database.from_settings(settings)
    using = [asyncio.create_task(_use(database)) for _ in range(3)]
    await asyncio.sleep(after)
    for task in using:
        task.cancel()
    for task in using:
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await database.close()


@contextlib.contextmanager
def none_left_open() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(one.message) for one in told if "while still open" in str(one.message)] == []


async def test_who_gives_up_while_a_connection_is_made_leaves_none_open(settings: Settings) -> None:
    with none_left_open():
        for pause in PAUSES:
            await _give_up(settings, pause)


async def test_what_comes_back_after_the_pool_was_closed_is_closed(settings: Settings) -> None:
    with none_left_open():
        database = Database.from_settings(settings)
        async with database.statement() as connection:
            await connection.execute(text("SELECT 1"))
            await database.close()
        async with database.service() as connection:
            await connection.execute(text("SELECT 1"))
        del database, connection


async def test_a_pool_is_whole_again_after_many_gave_up(settings: Settings) -> None:
    database = Database.from_settings(settings)
    for pause in PAUSES:
        using = [asyncio.create_task(_use(database)) for _ in range(8)]
        await asyncio.sleep(pause / 10)
        for task in using:
            task.cancel()
        await asyncio.gather(*using, return_exceptions=True)
    async with contextlib.AsyncExitStack() as held:
        for _ in range(4):  # all that the pool of services has
            await asyncio.wait_for(held.enter_async_context(database.statement()), 5)
    await database.close()
