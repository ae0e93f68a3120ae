"""What the gateway is measured against: the same work on bare Starlette, without authentication, limits or audit.

`python -m bench.bare_gateway`, with the gateway's settings, on GOLDEN_GATEWAY_PORT.
"""

from uuid import UUID

import uvicorn
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.client import Client
from uuid_utils.compat import uuid7

from gateway.task_views import select_tasks
from schema import engine
from schema.columns import use_ring
from schema.keyring import KeyRing
from schema.settings import Settings
from schema.tables import task_steps, tasks

settings = Settings()
database = create_async_engine(settings.database("service"))
use_ring(database.dialect, KeyRing.from_settings(settings))
clients: list[Client] = []


async def submit(request: Request) -> Response:
    """Insert one row, start the same workflow."""
    body = await request.json()
    task_id = uuid7()
    async with database.begin() as connection:
        await connection.execute(
            insert(tasks).values(
                task_id=task_id,
                tenant="default",
                title=body["title"],
                spec="bare",
                submitted_by="bare",
                budget_tokens=body["budget_tokens"],
            )
        )
    if not clients:
        clients.append(await engine.connect(settings))
    await engine.start_task(clients[0], task_id, "default", body["title"])
    return JSONResponse({"task_id": str(task_id)}, 202)


async def show(request: Request) -> Response:
    """The same SELECTs as the gateway's."""
    task_id = UUID(request.path_params["task_id"])
    async with database.connect() as connection:
        row = (await connection.execute(select_tasks().where(tasks.c.task_id == task_id))).one()
        steps = select(task_steps.c.step, task_steps.c.state, task_steps.c.detail).where(
            task_steps.c.task_id == task_id
        )
        progress = (await connection.execute(steps.order_by(text("started_at")))).all()
    return JSONResponse(
        {**{key: str(value) for key, value in row._mapping.items()}, "progress": [list(step) for step in progress]}
    )


app = Starlette(
    routes=[
        Route("/v1/tasks", submit, methods=["POST"]),
        Route("/v1/tasks/{task_id}", show),
        Route("/readyz", lambda _request: Response("ready")),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, port=settings.gateway_port, loop="asyncio", http="h11", log_level="error", access_log=False)
