"""`POST /v1/tasks`: the rows first, in one transaction; then the engine is told."""

from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, bindparam, insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert
from starlette.responses import Response
from uuid_utils.compat import uuid7

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.operations import answer
from gateway.problems import invalid
from gateway.services import Call
from gateway.task_views import read_task, select_tasks, task_path, view_of
from schema import engine
from schema.audit import payload_digest
from schema.database import started_at
from schema.messages.task import TaskSpec, TaskState, TaskView
from schema.tables import accounts, task_events, tasks, texts
from schema.texts import canonical_json, digest_of

ROUTE = "POST /v1/tasks"
REPEATED = "repeated: the first request with this key did it"


async def submit_task(call: Call) -> Response:
    """Accept a task; the same key and body find the task of the first time."""
    spec = call.body(TaskSpec)
    check_image(call, spec.image)
    view = await _accept(call, spec)
    if view.state is TaskState.SUBMITTED:
        starting = engine.start_task(call.services.temporal, view.task_id, view.tenant, view.title)
        await call.services.messenger.tell("start", view.task_id, starting)
    return answer(view, 202, {"Location": task_path(view.task_id)})


def check_image(call: Call, image: str) -> None:
    """422 for a sandbox image that the settings don't list."""
    images = call.services.settings.sandbox_images
    if image not in images:
        raise invalid([("image", f"is not one of the images here: {', '.join(sorted(images))}")])


async def _accept(call: Call, spec: TaskSpec) -> TaskView:
    task_id, key = uuid7(), call.idempotency_key
    # Of what the client said, without our defaults, so that a release with new fields changes no digest.
    digest = payload_digest(spec.model_dump(mode="json", exclude_unset=True))
    async with call.services.database.tenant(call.tenant) as connection:
        first = None
        if key is not None:
            first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=task_id)
        if first is None:
            view = await _write(connection, call, spec, task_id)
        else:
            view = await read_task(connection, call, first)
        await record_act(connection, call, object=str(view.task_id), digest=digest, reason=REPEATED if first else None)
    return view


async def _write(connection: AsyncConnection, call: Call, spec: TaskSpec, task_id: UUID) -> TaskView:
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
        "submitted_by": call.principal.sub,
        "budget_tokens": spec.budget_tokens,
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
        submitted_by=bindparam("submitted_by"),
        budget_tokens=bindparam("budget_tokens"),
        event_sequence=1,
    )
    beside = (account.on_conflict_do_nothing(), text.on_conflict_do_nothing(), event)
    together = task.add_cte(*(statement.cte(f"beside_{n}") for n, statement in enumerate(beside)))
    return together.returning(*select_tasks().selected_columns)


_ACCEPT = _accept_statement()
"""Made once: to put it together takes longer than to send it."""
