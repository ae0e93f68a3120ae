"""`GET /v1/circuits…`: the circuits of the model providers, which are the platform's, and what happened to them."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field
from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response

from activities.circuits import circuit_of
from gateway.authorisation import Permission
from gateway.operations import Operation, answer
from gateway.services import Call
from schema.messages.base import Message
from schema.messages.circuit import CircuitChange, CircuitChangePage, CircuitPage, CircuitState, CircuitView
from schema.tables import circuit_changes, circuits
from schema.texts import storable

MAX_NAME = 500
MAX_ID = 2**63 - 1

Name = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(storable)]
Limit = Annotated[int, Field(ge=1, le=1_000)]


class CircuitQuery(Message):
    """Which circuits to list, by name. `cursor` is the `next_cursor` of the page before."""

    cursor: Name | None = None
    limit: Limit = 100


class ChangeQuery(Message):
    """Which changes to list, newest first. `cursor` is the `next_cursor` of the page before."""

    circuit: Name | None = None
    cursor: Annotated[int, Field(ge=1, le=MAX_ID)] | None = None
    limit: Limit = 100


async def read_circuits(connection: AsyncConnection, limit: int, after: str | None = None) -> list[CircuitView]:
    """Circuits by name, as they act at PostgreSQL's time."""
    wanted = select(circuits, func.now().label("now")).order_by(circuits.c.circuit).limit(limit)
    if after is not None:
        wanted = wanted.where(circuits.c.circuit > after)
    return [_view(row) for row in await connection.execute(wanted)]


async def list_circuits(call: Call) -> Response:
    """All circuits, whichever tenant asks: they are nobody's, so only the service role sees them."""
    query = call.query(CircuitQuery)
    async with call.services.database.statement() as connection:
        found = await read_circuits(connection, query.limit + 1, query.cursor)
    items = tuple(found[: query.limit])
    return answer(CircuitPage(items=items, next_cursor=items[-1].circuit if len(found) > query.limit else None))


async def list_changes(call: Call) -> Response:
    """What happened to the circuits."""
    query, columns = call.query(ChangeQuery), circuit_changes.c
    wanted = select(circuit_changes).order_by(columns.id.desc()).limit(query.limit + 1)
    if query.circuit is not None:
        wanted = wanted.where(columns.circuit == query.circuit)
    if query.cursor is not None:
        wanted = wanted.where(columns.id < query.cursor)
    async with call.services.database.statement() as connection:
        rows = (await connection.execute(wanted)).all()
    page = rows[: query.limit]
    items = tuple(_change(row) for row in page)
    return answer(CircuitChangePage(items=items, next_cursor=page[-1].id if len(rows) > query.limit else None))


def _view(row: Row[Any]) -> CircuitView:
    shown = circuit_of(row).shown(row.now)
    return CircuitView(
        circuit=row.circuit,
        state=shown.state,
        since=shown.since,
        calls=shown.calls,
        failures=shown.failures,
        slow=shown.slow,
        opened_total=shown.opened_total,
        retry_at=shown.retry_at if shown.state in (CircuitState.OPEN, CircuitState.PAUSED) else None,
        worker=row.worker,
    )


def _change(row: Row[Any]) -> CircuitChange:
    return CircuitChange(**{name: getattr(row, name) for name in CircuitChange.model_fields})


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/v1/circuits",
        permission=Permission.CIRCUITS_READ,
        handler=list_circuits,
        action="circuits.list",
        summary="List the circuits of the model providers",
        query=CircuitQuery,
        returns=CircuitPage,
        platform=True,
    ),
    Operation(
        method="GET",
        path="/v1/circuits/changes",
        permission=Permission.CIRCUITS_READ,
        handler=list_changes,
        action="circuits.changes",
        summary="List what happened to the circuits, newest first",
        query=ChangeQuery,
        returns=CircuitChangePage,
        platform=True,
    ),
)
