"""TLS on every way: clients to the gateway, and Golden to Temporal and to PostgreSQL."""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from temporalio.client import Client

from gateway.client import ExitCode
from gateway.main import make_server
from schema import engine, migrate
from schema.database import Database
from schema.errors import SettingsError
from schema.settings import Settings
from tests.integration.conftest import Token, running_gateway
from tests.support.certificates import Authority, Pair
from tests.support.http import submit, tenant_name
from tests.support.parts import free_port

SSL_REQUEST, GSS_REQUEST = bytes.fromhex("0000000804d2162f"), bytes.fromhex("0000000804d21630")
"""How a client of PostgreSQL begins that wants the connection encrypted."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Pair:
    return authority.issue("server")


@pytest.fixture
def over_tls(settings: Settings, server: Pair) -> Settings:
    changes = {"gateway_port": free_port(), "tls_cert": server.cert, "tls_key": server.key}
    return settings.model_copy(update=changes)


class TestTheGateway:
    async def test_it_serves_https_and_nothing_else(
        self, over_tls: Settings, authority: Authority, token: Token
    ) -> None:
        trusted = ssl.create_default_context(cafile=authority.cert)
        headers = {"Authorization": f"Bearer {token('developer', tenant_name())}"}
        assert over_tls.gateway_url.startswith("https://")
        async with running_gateway(over_tls):
            async with httpx.AsyncClient(base_url=over_tls.gateway_url, verify=trusted, headers=headers) as http:
                assert (await submit(http))["state"] == "submitted"
            async with httpx.AsyncClient(base_url=over_tls.gateway_url) as stranger:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    await stranger.get("/healthz")
                with pytest.raises(httpx.TransportError):
                    await stranger.get(over_tls.gateway_url.replace("https", "http") + "/healthz")

    async def test_old_versions_of_tls_are_refused(
        self, over_tls: Settings, database: Database, temporal_client: Client
    ) -> None:
        context = make_server(over_tls, database, temporal_client).config.ssl
        assert context is not None
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2

    async def test_the_command_line_believes_the_authority_that_it_is_told(
        self, over_tls: Settings, authority: Authority, token: Token
    ) -> None:
        said = {"GOLDEN_URL": over_tls.gateway_url, "GOLDEN_TOKEN": token("developer", tenant_name())}
        async with running_gateway(over_tls):
            refused = await asyncio.to_thread(golden_tasks, said)
            listed = await asyncio.to_thread(golden_tasks, {**said, "GOLDEN_TLS_CA": str(authority.cert)})
        assert refused.returncode == ExitCode.UNREACHABLE
        assert (listed.returncode, json.loads(listed.stdout)["items"]) == (0, []), listed.stderr

    async def test_a_certificate_that_can_not_be_used_ends_the_start(
        self, over_tls: Settings, temporal_client: Client, database: Database, tmp_path: Path, authority: Authority
    ) -> None:
        other = authority.issue("other")
        for cert, key in ((tmp_path / "gone.pem", other.key), (over_tls.tls_cert, other.key)):
            broken = over_tls.model_copy(update={"tls_cert": cert, "tls_key": key})
            with pytest.raises(SettingsError, match="GOLDEN_TLS_CERT"):
                make_server(broken, database, temporal_client)


class TestTemporal:
    async def test_it_is_reached_with_a_certificate_of_ours_and_not_without(
        self, settings: Settings, authority: Authority, server: Pair, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = authority.issue("client")
        async with tls_proxy(settings.temporal_target, server, authority) as address:
            monkeypatch.setenv("TEMPORAL_ADDRESS", address)
            monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(authority.cert))
            monkeypatch.setenv("TEMPORAL_TLS_SERVER_NAME", "localhost")
            with pytest.raises(RuntimeError):
                await engine.connect(Settings(home=settings.home))
            monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(client.cert))
            monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(client.key))
            connected = await engine.connect(Settings(home=settings.home))
            assert await connected.service_client.check_health()

    async def test_one_with_another_authority_is_not_believed(
        self, settings: Settings, authority: Authority, server: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        client, stranger = authority.issue("client"), Authority(tmp_path, "stranger")
        async with tls_proxy(settings.temporal_target, server, authority) as address:
            monkeypatch.setenv("TEMPORAL_ADDRESS", address)
            monkeypatch.setenv("TEMPORAL_TLS_SERVER_CA_CERT_PATH", str(stranger.cert))
            monkeypatch.setenv("TEMPORAL_TLS_CLIENT_CERT_PATH", str(client.cert))
            monkeypatch.setenv("TEMPORAL_TLS_CLIENT_KEY_PATH", str(client.key))
            with pytest.raises(RuntimeError):
                await engine.connect(Settings(home=settings.home))


class TestPostgres:
    async def test_the_url_says_how_much_is_checked(
        self, settings: Settings, authority: Authority, server: Pair, tmp_path: Path
    ) -> None:
        stranger = Authority(tmp_path, "stranger")
        async with tls_postgres(settings, server) as port:
            checked = _over_tcp(settings, port, f"sslmode=verify-full&sslrootcert={quote(str(authority.cert))}")
            assert await _works(checked)
            await migrate.upgrade_async(checked.database("migrator"))
            wrong = f"sslmode=verify-full&sslrootcert={quote(str(stranger.cert))}"
            for options, told in ((wrong, "certificate verify failed"), ("sslmode=disable", "closed the connection")):
                with pytest.raises(OperationalError, match=told):
                    await _works(_over_tcp(settings, port, options))


async def _works(settings: Settings) -> bool:
    database = Database.from_settings(settings)
    try:
        async with database.tenant("t") as connection, database.service() as other:
            return bool(await connection.scalar(text("SELECT 1")) and await other.scalar(text("SELECT 1")))
    finally:
        await database.close()


def golden_tasks(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "gateway.cli", "tasks", "--json")
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def _over_tcp(settings: Settings, port: int, options: str) -> Settings:
    def url(role: str) -> str:
        return f"postgresql+psycopg://golden_{role}:pw@127.0.0.1:{port}/golden?{options}"

    return Settings(
        home=settings.home,
        database_url=url("service"),
        database_tenant_url=url("tenant"),
        database_migrator_url=url("migrator"),
    )


@contextlib.asynccontextmanager
async def tls_postgres(settings: Settings, server: Pair) -> AsyncIterator[int]:
    """PostgreSQL over TCP as a server with `hostssl` only has it: the embedded one is built without TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(server.cert, server.key)
    socket = settings.postgres_socket / ".s.PGSQL.5432"

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while (asked := await reader.readexactly(8)) == GSS_REQUEST:
                writer.write(b"N")
            if asked == SSL_REQUEST:
                writer.write(b"S")
                await writer.drain()
                await writer.start_tls(context)
                behind_reader, behind_writer = await asyncio.open_unix_connection(socket)
                await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))
        writer.close()

    async with _listening(forward) as port:
        yield port


@contextlib.asynccontextmanager
async def tls_proxy(target: str, server: Pair, authority: Authority) -> AsyncIterator[str]:
    """Ends TLS in front of a server that has none, and wants a certificate of the authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.cert)
    context.load_cert_chain(server.cert, server.key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2"])
    host, behind = target.rsplit(":", 1)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(host, int(behind))
        with contextlib.suppress(OSError):
            await asyncio.gather(_copy(reader, behind_writer), _copy(behind_reader, writer))

    async with _listening(forward, ssl=context) as port:
        yield f"127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def _listening(
    forward: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], **options: Any
) -> AsyncIterator[int]:
    server = await asyncio.start_server(forward, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while content := await reader.read(65_536):
            writer.write(content)
            await writer.drain()
    writer.close()
