"""A connection that breaks in a transaction says that it broke: whoever hears that waits, and tries again."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from schema.database import Database
from schema.tables import tasks


async def lose_the_connection(database: Database) -> None:
    """A transaction whose backend is ended by another one before it asks again."""
    async with database.tenant("lost") as connection:
        pid = await connection.scalar(text("SELECT pg_backend_pid()"))
        async with database.tenant("lost") as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        await connection.execute(select(tasks.c.task_id))


async def test_a_transaction_whose_connection_is_ended_tells_of_that_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(OperationalError):
        await lose_the_connection(database)
    async with database.tenant("lost") as connection:
        assert (await connection.execute(select(tasks.c.task_id))).all() == []
