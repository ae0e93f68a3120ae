"""`GET /v1/tasks/{task_id}/consensus`: why a vote came out as it did, as JSON or as a picture."""

import json
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.consensus_svg import POLICY, draw
from gateway.negotiation import JSON, wanted
from gateway.operations import answer
from gateway.problems import NO_VOTE, RETRY_SECONDS, TASK_NOT_FINAL, Problem, not_found
from gateway.services import Call
from gateway.task_views import is_task
from schema.messages.task import TaskState
from schema.messages.vote import Explanation, LateBallot
from schema.tables import ballots, task_steps, tasks
from schema.texts import get_text

SVG = "image/svg+xml"
FORMS = (JSON, SVG)


async def show_consensus(call: Call) -> Response:
    """The explanation of the vote on a task that has ended, or that waits for a person to decide."""
    form = wanted(call.request, FORMS)
    vote = await _read(call)
    headers = {"Vary": "Accept"}
    if form == JSON:
        return answer(vote, headers=headers)
    return Response(draw(vote), headers={**headers, "Content-Security-Policy": POLICY}, media_type=SVG)


async def _read(call: Call) -> Explanation:
    """The explanation, with the ballots that came after it was made."""
    async with call.services.database.tenant(call.tenant) as connection:
        found = await connection.execute(
            select(tasks.c.state, tasks.c.reason, tasks.c.result).where(is_task(call.tenant, call.task_id))
        )
        row = found.one_or_none()
        if row is None:
            raise not_found("task")
        state = TaskState(row.state)
        if not state.final and state is not TaskState.ESCALATED:
            headers = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem(TASK_NOT_FINAL, f"the task is {state.value}", headers=headers, state=state.value)
        vote = await _of_result(connection, call.tenant, row.result) if row.result is not None else None
        vote = vote or await _of_step(connection, call.tenant, call.task_id)
        if vote is None:
            how = "ended" if state.final else "is escalated"
            raise Problem(NO_VOTE, f"the task {how} without a vote: {row.reason or state.value}", state=state.value)
        late = await _late(connection, call.tenant, call.task_id)
    known = {(ballot.voter, ballot.round) for ballot in vote.late}
    return vote.model_copy(
        update={"late": (*vote.late, *(each for each in late if (each.voter, each.round) not in known))}
    )


async def _of_result(connection: AsyncConnection, tenant: str, reference: str) -> Explanation | None:
    result = json.loads(await get_text(connection, tenant, reference))
    given = result.get("consensus")
    return None if given is None else Explanation.model_validate_json(json.dumps(given))


async def _of_step(connection: AsyncConnection, tenant: str, task_id: UUID) -> Explanation | None:
    """What the last vote on a task stored of itself: the task's result has it only once the task has ended."""
    step = task_steps.c
    last = (
        select(step.result)
        .where(step.task_id == task_id, step.tenant == tenant, step.state == "done")
        .where(func.starts_with(step.step, "vote/"))
        .order_by(step.ended_at.desc())
        .limit(1)
    )
    result = await connection.scalar(last)
    if result is None:
        return None
    return Explanation.model_validate_json(await get_text(connection, tenant, result["text"]))


async def _late(connection: AsyncConnection, tenant: str, task_id: UUID) -> list[LateBallot]:
    """The ballots of the last vote that came after its count."""
    ballot = ballots.c
    mine = (ballot.task_id == task_id, ballot.tenant == tenant)
    last = select(func.max(ballot.vote)).where(*mine).scalar_subquery()
    rows = await connection.execute(
        select(ballot.voter, ballot.round, ballot.choice, ballot.confidence)
        .where(*mine, ballot.vote == last, ballot.late, ballot.confidence.is_not(None))
        .order_by(ballot.round, ballot.voter)
    )
    return [LateBallot.model_validate(dict(row._mapping)) for row in rows]
