"""The real parts for the integration tests, started once a session: PostgreSQL, Temporal and the gateway."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from temporalio.client import Client

from gateway.authorisation import Role
from gateway.connections import PATIENCE, Patience
from gateway.main import GatewayServer, make_server
from gateway.tokens import issue_token
from schema import engine
from schema.database import Database
from schema.settings import Settings
from tests.support.parts import free_port, running_postgres, running_temporal

Token = Callable[..., str]


class QuietServer(GatewayServer):
    """The gateway's server inside of a test, which keeps Ctrl-C for pytest."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


@contextlib.asynccontextmanager
async def running_gateway(
    settings: Settings, client: Client | None = None, patience: Patience = PATIENCE
) -> AsyncIterator[GatewayServer]:
    """The gateway on `settings.gateway_port`; drained at the end."""
    database = Database.from_settings(settings)
    made = make_server(settings, database, client or await engine.connect(settings, lazy=True), patience)
    server = QuietServer(made.config, made.config.app.state.services.feed)  # type: ignore[union-attr]
    serving = asyncio.create_task(server.serve())
    try:
        while not server.started:  # noqa: ASYNC110 (its own flag is all that uvicorn has)
            await asyncio.sleep(0.01)
        yield server
    finally:
        server.should_exit = True
        await serving
        await database.close()


@pytest_asyncio.fixture(scope="session")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """Settings of a running PostgreSQL with all tables, and of a running Temporal."""
    home, port = tmp_path_factory.mktemp("home"), free_port()
    async with (
        running_temporal(home, temporal_ui_port=port) as address,
        running_postgres(home, tenant_slots=100, temporal_ui_port=port) as settings,
    ):
        yield settings.model_copy(update={"temporal_address": address})


@pytest_asyncio.fixture(scope="session")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The ways into PostgreSQL."""
    database = Database.from_settings(settings)
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session")
async def owner(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The owner of the tables, who can turn back what they say of time; row-level security and triggers bind it too."""
    of_owner = create_async_engine(settings.database("migrator"))
    yield of_owner
    await of_owner.dispose()


@pytest_asyncio.fixture(scope="session")
async def temporal_client(settings: Settings) -> Client:
    """A connected client of Temporal."""
    return await engine.connect(settings)


@pytest_asyncio.fixture(scope="session")
async def gateway_url(settings: Settings, temporal_client: Client) -> AsyncIterator[str]:
    """A gateway over HTTP."""
    async with running_gateway(settings, temporal_client):
        yield settings.gateway_url


@pytest_asyncio.fixture(scope="session")
async def other_url(settings: Settings, gateway_url: str) -> AsyncIterator[str]:
    """A second replica of the gateway."""
    other = settings.model_copy(update={"gateway_port": free_port()})
    async with running_gateway(other):
        yield other.gateway_url


@pytest.fixture(scope="session")
def token(settings: Settings) -> Token:
    """`token(role, tenant)`: a token for `sub` (the role's name unless said otherwise)."""

    def issue(role: Role, tenant: str, sub: str | None = None) -> str:
        return issue_token(settings, sub=sub or role, role=role, tenant=tenant, ttl=timedelta(hours=1))

    return issue
