"""Puts the gateway together: one Starlette application out of the route table."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from temporalio.client import Client

from gateway import metrics
from gateway.anchoring import Anchoring
from gateway.audit import ALLOWED, DENIED, FAILED, AuditLog
from gateway.authentication import Verifier
from gateway.envelope import Envelope
from gateway.feed import EventFeed
from gateway.fleet import Fleet
from gateway.guard import serve
from gateway.jwks_cache import JwksCache
from gateway.messenger import Messenger
from gateway.operations import Operation, PublicOperation
from gateway.rate_limits import FAILURES, PRINCIPAL, Turnstile
from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS
from gateway.services import Services
from gateway.token_keys import KeyFolder
from gateway.ui_front import UiFront
from schema.database import Database
from schema.errors import SettingsError
from schema.identity_settings import is_loopback
from schema.settings import Settings

UI_SECONDS = 30

AnyOperation = Operation | PublicOperation


def create_app(settings: Settings, database: Database, temporal_client: Client) -> Starlette:
    """The gateway as an ASGI application; `app.state.services` is what its handlers work with."""
    check_exposure(settings)
    keys = KeyFolder(settings)
    feed = EventFeed(settings)
    verifier = Verifier(settings, keys, database, jwks=JwksCache(settings) if settings.jwks_url else None)
    # A stream ends with the token that it was asked for with.
    verifier.revocations.on_change(feed.wake_all)
    services = Services(
        settings=settings,
        database=database,
        temporal=temporal_client,
        keys=keys,
        verifier=verifier,
        feed=feed,
        messenger=Messenger(),
        temporal_ui=httpx.AsyncClient(base_url=settings.temporal_ui_target, timeout=UI_SECONDS, trust_env=False),
        turnstile=Turnstile(settings, database),
        audit=AuditLog(database),
    )
    app = Starlette(
        routes=_routes(services),
        middleware=[Middleware(Envelope), Middleware(UiFront, services=services)],
        exception_handlers={HTTPException: _to_envelope},
        lifespan=_lifespan,
    )
    app.router.redirect_slashes = False
    app.state.services = services
    app.state.anchoring = Anchoring(settings, database, services.audit)
    app.state.fleet = Fleet.of(settings, database, temporal_client)
    table: tuple[AnyOperation, ...] = (*OPERATIONS, *PUBLIC_OPERATIONS)
    metrics.begin(
        {each.path for each in table} | {metrics.UNKNOWN_ROUTE}, (PRINCIPAL, FAILURES.name), (ALLOWED, DENIED, FAILED)
    )
    return app


def check_exposure(settings: Settings) -> None:
    """Raises SettingsError where debug logs, which tell more than is meant for many, would be of a public gateway."""
    if settings.log_level == "debug" and not is_loopback(settings.gateway_host):
        raise SettingsError("GOLDEN_LOG_LEVEL: debug is for a gateway on 127.0.0.1 only: GOLDEN_GATEWAY_HOST is not")


@contextlib.asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    services: Services = app.state.services
    verifier = services.verifier
    anchoring: Anchoring = app.state.anchoring
    fleet: Fleet = app.state.fleet
    running = [anchoring.run(), services.feed.run(), verifier.run()]
    if services.settings.fleet_metrics:
        running.append(fleet.run())
    listening = [asyncio.create_task(each) for each in running]
    try:
        yield
    finally:
        services.feed.stop()
        await services.messenger.close()
        await services.temporal_ui.aclose()
        await services.turnstile.close()
        await services.audit.close()
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
        await anchoring.finish()


def _routes(services: Services) -> list[Route]:
    """One route a path, so that 405 and OPTIONS know every method of it."""
    by_path: defaultdict[str, dict[str, AnyOperation]] = defaultdict(dict)
    table: tuple[AnyOperation, ...] = (*OPERATIONS, *PUBLIC_OPERATIONS)
    for operation in table:
        by_path[operation.path][operation.method] = operation
    return [_route(path, operations, services) for path, operations in by_path.items()]


def _route(path: str, operations: dict[str, AnyOperation], services: Services) -> Route:
    methods = {*operations, "OPTIONS", *({"HEAD"} if "GET" in operations else ())}

    async def endpoint(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": ", ".join(sorted(methods))})
        operation = operations["GET" if request.method == "HEAD" else request.method]
        if isinstance(operation, Operation):
            return await serve(operation, request, services)
        return await operation.handler(request, services)

    return Route(path, endpoint, methods=sorted(methods))


async def _to_envelope(_request: Request, error: Exception) -> Response:
    raise error
