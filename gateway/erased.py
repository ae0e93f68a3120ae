"""What is answered of a task whose content was erased: 410, whatever is asked about it."""

from sqlalchemy import select

from gateway.problems import ERASED, Problem
from gateway.services import Call
from schema.proposals import LEARNING
from schema.tables import tasks


async def refuse_erased(call: Call) -> None:
    """Return where the task that the path names was not erased, or is another tenant's.

    Raises:
        Problem: 410, with the time.
    """
    erased = select(tasks.c.erased_at).where(
        tasks.c.task_id == call.task_id, tasks.c.tenant == call.tenant, tasks.c.kind != LEARNING
    )
    async with call.services.database.tenant(call.tenant) as connection:
        at = await connection.scalar(erased)
    if at is not None:
        told = (
            f"the task was erased at {at.isoformat(timespec='seconds')}: what it cost and who did what stays on record"
        )
        raise Problem(ERASED, told, erased_at=at)
