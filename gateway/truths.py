"""`POST /v1/tasks/{task_id}/truth`: what turned out later about what was voted on. It makes the voters' records."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints
from sqlalchemy import select, update
from starlette.responses import Response

from gateway.audit import record_act
from gateway.operations import answer
from gateway.problems import TASK_NOT_FINAL, Problem, not_found
from gateway.services import Call
from gateway.task_views import is_task, read_task
from schema.audit import payload_digest
from schema.messages.base import Message
from schema.messages.task import TaskState, Text
from schema.tables import tasks, truths
from schema.truths import record_truth

Reason = Annotated[Text, StringConstraints(min_length=1, pattern=r"\S"), Field(max_length=2_000)]


class TruthRequest(Message):
    """What is known now: tests that were added later, or that what was accepted had to be rolled back.

    Attributes:
        good: whether the candidate that was voted on is good.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    source: Literal["tests", "rollback"]
    good: bool
    reason: Reason


async def tell_truth(call: Call) -> Response:
    """Record it; the last word of each source stands, so that it can be said again and taken back."""
    request = call.body(TruthRequest)
    mine = is_task(call.tenant, call.task_id)
    async with call.services.database.tenant(call.tenant) as connection:
        # Behind the task's lock, as what people decide on it.
        state = await connection.scalar(select(tasks.c.state).where(mine).with_for_update())
        if state is None:
            raise not_found("task")
        if not TaskState(state).final:
            raise Problem(TASK_NOT_FINAL, f"the task is {state}", state=state)
        good, actor = request.good, call.principal.sub
        await record_truth(connection, call.task_id, call.tenant, request.source, good=good, actor=actor)
        this = (truths.c.task_id == call.task_id, truths.c.tenant == call.tenant, truths.c.source == request.source)
        await connection.execute(update(truths).where(*this).values(reason=request.reason))
        view = await read_task(connection, call, call.task_id)
        reason = f"{request.source}: {'good' if good else 'bad'}"
        digest = payload_digest(request.model_dump())
        await record_act(connection, call, object=str(call.task_id), digest=digest, reason=reason)
    return answer(view)
