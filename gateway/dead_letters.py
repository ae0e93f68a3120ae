"""`GET /v1/dead-letters…`: the steps that were given up and wait for a person, as the API shows them."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, Integer, Row, Select, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from gateway.authorisation import EVERY_TENANT
from gateway.operations import answer
from gateway.problems import invalid, not_found
from gateway.services import Call
from gateway.task_views import task_path
from gateway.values import read_id
from schema.messages.base import Message, Tenant
from schema.messages.letters import LetterKind
from schema.messages.task import Text
from schema.settings import Settings
from schema.tables import dead_letters as letters

LetterState = Literal["open", "redriven", "discarded"]
Name = Annotated[Text, Field(min_length=1, max_length=200)]
"""A cause or a step, exactly as the letter has it."""


def check_not_empty(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Apart from `min_length`, which doesn't count what is wrong by itself and would complain again."""
    if not values:
        raise ValueError("must not be empty")
    return values


class DeadLetterQuery(Message):
    """Which letters to list. `cursor` is the `next_cursor` of the page before."""

    state: LetterState | None = None
    tenant: Tenant | None = None
    kind: LetterKind | None = None
    cause: Name | None = None
    task: UUID | None = None
    cursor: UUID | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class DeadLetter(Message):
    """A step that was given up.

    Attributes:
        epoch: which life of the step it was; a redrive begins the next.
        cause: the stable type of the error; `attempts` ended with it. `detail` is what it said.
        age_seconds: how long nobody has decided on it, or had not until somebody did.
    """

    id: UUID
    task_id: UUID
    tenant: str
    step: str
    epoch: int
    kind: LetterKind
    cause: str
    detail: str | None = None
    attempts: int
    state: LetterState
    parked_at: datetime
    age_seconds: int
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


class DeadLetterView(DeadLetter):
    """A letter with what it takes to judge it.

    Attributes:
        input: what the step was given, by reference; never a text.
        route: the models that a redrive asks, in their order; none are the role's own.
        resume_at: not before then does a decision take effect; at once where it isn't said.
    """

    input: dict[str, Any]
    route: tuple[str, ...] | None
    resume_at: datetime | None
    workflow_id: str
    links: dict[str, str]


class DeadLetterPage(Message):
    """One page of letters, newest first."""

    items: tuple[DeadLetter, ...]
    next_cursor: UUID | None


async def list_dead_letters(call: Call) -> Response:
    """The tenant's letters, newest first; those of every tenant for the platform."""
    query = call.query(DeadLetterQuery)
    wanted = _select().where(*_scope(call), *_conditions(query))
    async with _connection(call) as connection:
        if query.cursor is not None:
            wanted = wanted.where(letters.c.arrival < await _arrival(connection, call, query.cursor))
        found = await connection.execute(wanted.order_by(letters.c.arrival.desc()).limit(query.limit + 1))
        rows = found.all()
    items = tuple(_item_of(row) for row in rows[: query.limit])
    return answer(DeadLetterPage(items=items, next_cursor=items[-1].id if len(rows) > query.limit else None))


async def show_dead_letter(call: Call) -> Response:
    """One letter."""
    async with call.services.database.tenant(call.tenant) as connection:
        return answer(await read_letter(connection, call, letter_id(call)))


def letter_id(call: Call) -> UUID:
    """The letter that the path names; 404 for what can't be one."""
    return read_id(call.request.path_params["letter_id"], "dead letter")


async def read_letter(connection: AsyncConnection, call: Call, letter: UUID) -> DeadLetterView:
    """A letter's view; 404 where the tenant has no such letter."""
    found = await connection.execute(_select().where(letters.c.id == letter, letters.c.tenant == call.tenant))
    row = found.one_or_none()
    if row is None:
        raise not_found("dead letter")
    return DeadLetterView(
        **_item_of(row).model_dump(),
        input=row.input,
        route=row.route,
        resume_at=row.resume_at,
        workflow_id=row.workflow_id,
        links=_links(row, call.services.settings),
    )


def _connection(call: Call) -> AbstractAsyncContextManager[AsyncConnection]:
    """The tenant's own way in; only the service sees the letters of all."""
    database = call.services.database
    return database.service() if call.tenant == EVERY_TENANT else database.tenant(call.tenant)


def _scope(call: Call) -> list[ColumnElement[bool]]:
    return [] if call.tenant == EVERY_TENANT else [letters.c.tenant == call.tenant]


def _conditions(query: DeadLetterQuery) -> list[ColumnElement[bool]]:
    columns = {"state": "state", "tenant": "tenant", "kind": "kind", "cause": "cause", "task": "task_id"}
    given = {columns[name]: getattr(query, name) for name in columns}
    return [letters.c[name] == value for name, value in given.items() if value is not None]


def _select() -> Select[Any]:
    waited = func.coalesce(letters.c.decided_at, func.now()) - letters.c.parked_at
    age = cast(func.greatest(func.floor(func.extract("epoch", waited)), 0), Integer)
    return select(letters, age.label("age_seconds"))


def _item_of(row: Row[Any]) -> DeadLetter:
    return DeadLetter(**{name: row._mapping[name] for name in DeadLetter.model_fields})


def _links(row: Row[Any], settings: Settings) -> dict[str, str]:
    path = f"/v1/dead-letters/{row.id}"
    workflow = quote(row.workflow_id, safe="")
    ui = f"{settings.temporal_ui_target}/ui/namespaces/{settings.temporal_namespace}/workflows/{workflow}"
    return {"self": path, "task": task_path(row.task_id), "temporal": ui}


async def _arrival(connection: AsyncConnection, call: Call, cursor: UUID) -> int:
    found = await connection.execute(select(letters.c.arrival).where(letters.c.id == cursor, *_scope(call)))
    arrival = found.scalar_one_or_none()
    if arrival is None:
        raise invalid([("cursor", "must be the next_cursor of another page")])
    return int(arrival)
