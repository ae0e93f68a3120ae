"""Whether the gateway lives and is ready, and the keys that its tokens are signed with."""

from datetime import timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from temporalio.service import RPCError

from gateway.operations import answer
from gateway.problems import NOT_MIGRATED, RETRY_SECONDS, Problem
from gateway.services import Services
from schema import migrate
from schema.keys import public_jwk
from schema.messages.base import Message

TEMPORAL_TIMEOUT = timedelta(seconds=1)


class Readiness(Message):
    """Ready to accept tasks. They start when Temporal is there too."""

    status: Literal["ready"] = "ready"
    database: Literal["ready"] = "ready"
    temporal: Literal["ready", "away"]


async def live(_request: Request, _services: Services) -> Response:
    """The process answers."""
    return JSONResponse({"status": "alive"})


async def ready(_request: Request, services: Services) -> Response:
    """The database answers and has this release's tables; Temporal is told, but tasks are accepted without it."""
    if not has_tables(await _version(services), migrate.newest()):
        headers = {"Retry-After": str(RETRY_SECONDS)}
        raise Problem(NOT_MIGRATED, "run `golden db upgrade` of this release", headers=headers)
    return answer(Readiness(temporal="ready" if await _temporal_answers(services) else "away"))


async def show_keys(_request: Request, services: Services) -> Response:
    """The public keys as a JWK set."""
    keys = [public_jwk(kid, key) for kid, key in services.keys.keys.items()]
    return JSONResponse({"keys": keys}, headers={"Cache-Control": "public, max-age=60"})


def has_tables(version: str | None, needed: str | None) -> bool:
    """Whether a database of that version has what this release needs; a later release's has it too.

    Versions are four digits that only go up, and migrations only add: while a fleet is upgraded, the gateways of the
    release before go on serving on the newer tables.
    """
    return version is not None and needed is not None and version >= needed


async def _version(services: Services) -> str | None:
    try:
        async with services.database.service() as connection:
            found = await connection.execute(text("SELECT version_num FROM alembic_version"))
            return found.scalar_one_or_none()
    except ProgrammingError:  # no such table yet
        return None


async def _temporal_answers(services: Services) -> bool:
    try:
        return await services.temporal.service_client.check_health(timeout=TEMPORAL_TIMEOUT)
    except (RPCError, RuntimeError):  # the SDK says RuntimeError where it can't connect
        return False
