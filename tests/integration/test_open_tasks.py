"""What Reconcile looks at: all of it, however many only wait."""

from sqlalchemy import func, update

from activities.open_tasks import open_tasks
from schema.database import Database
from schema.tables import tasks
from tests.integration.test_ledger import open_task


async def test_a_task_behind_many_that_only_wait_is_looked_at_too(database: Database) -> None:
    mine = {await open_task(database, "behind") for _ in range(5)}
    async with database.service() as connection:
        long_ago = func.now() - func.make_interval(0, 0, 0, 1)
        await connection.execute(update(tasks).where(tasks.c.task_id.in_(mine)).values(updated_at=long_ago))
    seen = [row.task_id async for row in open_tasks(database, older_than_seconds=3_600, page=2)]
    assert mine <= set(seen)
    assert len(seen) == len(set(seen))
