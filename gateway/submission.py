"""`POST /v1/tasks` and `/v1/consensus`: the rows first, in one transaction; then the engine is told."""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.policies import check_policy
from gateway.problems import invalid
from gateway.services import Call
from gateway.task_views import read_task, select_tasks, task_path, view_of
from schema import engine, telemetry
from schema.audit import payload_digest
from schema.database import started_at
from schema.messages.candidate import VoteSpec
from schema.messages.task import TaskSpec, TaskState, TaskView
from schema.tables import accounts, task_events, tasks, texts
from schema.texts import canonical_json, digest_of

REPEATED = "repeated: the first request with this key did it"


@dataclass(frozen=True)
class Submission:
    """What is submitted, and by which route.

    Attributes:
        said: what the client sent, which the same key must bring again.
        spec: what is to be done, as the row of the task holds it.
    """

    route: str
    kind: Literal["task", "vote"]
    said: TaskSpec | VoteSpec
    spec: TaskSpec

    @property
    def digest(self) -> str:
        """Of what the client said, without our defaults, so that a release with new fields changes no digest."""
        return payload_digest(self.said.model_dump(mode="json", exclude_unset=True))


async def submit_task(call: Call) -> Response:
    """Accept a task; the same key and body find the task of the first time."""
    spec = call.body(TaskSpec)
    return await _submit(call, Submission("POST /v1/tasks", "task", spec, spec))


async def submit_vote(call: Call) -> Response:
    """Accept a candidate for a vote by itself; the same key and body find the vote of the first time."""
    vote = call.body(VoteSpec)
    return await _submit(call, Submission("POST /v1/consensus", "vote", vote, vote.as_task()))


def check_image(call: Call, image: str) -> None:
    """422 for a sandbox image that the settings don't list."""
    images = call.services.settings.sandbox_images
    if image not in images:
        raise invalid([("image", f"is not one of the images here: {', '.join(sorted(images))}")])


async def _submit(call: Call, submission: Submission) -> Response:
    check_image(call, submission.spec.image)
    try:
        view = await _accept(call, submission)
    except IntegrityError:
        # A text that it has in common with a task was erased with that meanwhile: now it is stored anew.
        view = await _accept(call, submission)
    return await start(call, view)


async def start(call: Call, view: TaskView) -> Response:
    """Tell the engine of a task that is accepted, and answer with it."""
    if view.state is TaskState.SUBMITTED:
        starting = engine.start_task(call.services.temporal, view.task_id, view.tenant, view.title)
        await call.services.messenger.tell("start", view.task_id, starting)
    return answer(view, 202, {"Location": task_path(view.task_id)})


async def _accept(call: Call, submission: Submission) -> TaskView:
    task_id, key, digest = uuid7(), call.idempotency_key, submission.digest
    async with call.services.database.tenant(call.tenant) as connection:
        first = None
        if key is not None:
            first = await claim_key(connection, call, route=submission.route, key=key, digest=digest, task_id=task_id)
        if first is None:
            await check_policy(connection, call.tenant, submission.spec.policy)
            view = await write_task(connection, call, submission.spec, task_id, kind=submission.kind)
        else:
            view = await read_task(connection, call, first)
        await record_act(connection, call, object=str(view.task_id), digest=digest, reason=REPEATED if first else None)
    return view


async def write_task(
    connection: AsyncConnection, call: Call, spec: TaskSpec, task_id: UUID, *, kind: str, parent: UUID | None = None
) -> TaskView:
    """The account, the text, the task and its first event, in one round trip."""
    # Of the policy what was said: the rest is the tenant's, as it is when the task is admitted.
    said = {"policy": spec.policy.model_dump(mode="json", exclude_unset=True)}
    body = canonical_json(spec.model_dump(mode="json") | said)
    values = {
        "task_id": task_id,
        "tenant": call.tenant,
        "slots": call.services.settings.tenant_slots,
        "digest": digest_of(body),
        "body": body,
        "title": spec.title,
        "kind": kind,
        "parent": parent,
        "submitted_by": call.principal.sub,
        "budget_tokens": spec.budget_tokens,
        "traceparent": telemetry.traceparent(),
        "data": {"at": started_at(connection).isoformat(), "state": TaskState.SUBMITTED.value},
    }
    found = await connection.execute(_ACCEPT, values)
    return view_of(found.one(), call.services.settings)


def _accept_statement() -> ReturningInsert[Any]:
    tenant, task_id = bindparam("tenant", type_=Text()), bindparam("task_id", type_=Uuid())
    digest, body = bindparam("digest", type_=Text()), bindparam("body", type_=texts.c.body.type)
    account = postgresql.insert(accounts).values(tenant=tenant, slots=bindparam("slots"))
    text = postgresql.insert(texts).values(tenant=tenant, digest=digest, body=body)
    data = bindparam("data", type_=task_events.c.data.type)
    event = insert(task_events).values(task_id=task_id, sequence=1, tenant=tenant, event="state", data=data)
    task = insert(tasks).values(
        task_id=task_id,
        tenant=tenant,
        title=bindparam("title", type_=tasks.c.title.type),
        spec=digest,
        kind=bindparam("kind", type_=Text()),
        parent=bindparam("parent", type_=Uuid()),
        submitted_by=bindparam("submitted_by"),
        budget_tokens=bindparam("budget_tokens"),
        traceparent=bindparam("traceparent", type_=Text()),
        event_sequence=1,
    )
    beside = (account.on_conflict_do_nothing(), text.on_conflict_do_nothing(), event)
    together = task.add_cte(*(statement.cte(f"beside_{n}") for n, statement in enumerate(beside)))
    return together.returning(*select_tasks().selected_columns)


_ACCEPT = _accept_statement()
"""Made once: to put it together takes longer than to send it."""
