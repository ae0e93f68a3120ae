"""The composition root of the gateway."""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Generator
from typing import Any, NoReturn

import uvicorn
from prometheus_client import start_http_server
from temporalio.client import Client
from temporalio.runtime import Runtime, TelemetryConfig

from gateway.app import create_app
from gateway.connections import PATIENCE, Connection, Patience
from gateway.feed import EventFeed
from gateway.request_line import MAX_HEADER_BYTES
from schema import engine
from schema.database import Database
from schema.errors import SettingsError
from schema.logs import configure_logs
from schema.settings import Settings
from schema.telemetry import start_tracing

DRAIN_SECONDS = 10
KEEP_ALIVE_SECONDS = 15


class GatewayServer(uvicorn.Server):
    """uvicorn, which at shutdown first tells the event streams to end, so that they don't hold it up."""

    def __init__(self, config: uvicorn.Config, feed: EventFeed) -> None:
        super().__init__(config)
        self._feed = feed

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals end the server and are then spent: uvicorn would raise them again, and cut the clean-up short."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then let the other requests finish."""
        self._feed.stop()
        await super().shutdown(sockets)


def run(settings: Settings) -> NoReturn:
    """Serve until SIGTERM or Ctrl-C, and end the process."""
    configure_logs(settings.log_level, "gateway")
    tracing = start_tracing(settings, "gateway")
    _serve_metrics(settings)
    code = 0
    try:
        asyncio.run(serve(settings))
    except SystemExit as error:  # uvicorn's word for a port that is taken
        code = error.code if isinstance(error.code, int) else 1
    tracing.stop()
    logging.shutdown()
    sys.stdout.flush()
    # Temporal's client keeps threads that can crash the interpreter's exit.
    os._exit(code)


def _serve_metrics(settings: Settings) -> None:
    try:
        start_http_server(settings.metrics_port, addr=settings.metrics_host)
    except OSError as error:
        raise SettingsError(f"port {settings.metrics_port} is taken: set GOLDEN_METRICS_PORT to another") from error


async def serve(settings: Settings) -> None:
    """Serve on the running event loop. Neither PostgreSQL nor Temporal need be there yet."""
    database = Database.from_settings(settings)
    try:
        # The SDK's own lines on standard output would stand among our JSON.
        runtime = Runtime(telemetry=TelemetryConfig(logging=None))
        client = await engine.connect(settings, lazy=True, runtime=runtime)
        server = make_server(settings, database, client)
        await server.serve()
    finally:
        await database.close()


def make_server(
    settings: Settings, database: Database, temporal_client: Client, patience: Patience = PATIENCE
) -> GatewayServer:
    """The server with its limits; nothing that a client sends is in its logs."""
    app = create_app(settings, database, temporal_client)
    protocol: Any = functools.partial(Connection, patience=patience, max_connections=settings.max_connections)
    config = uvicorn.Config(
        app,
        host=settings.gateway_host,
        port=settings.gateway_port,
        loop="asyncio",
        http=protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    _load_certificate(config)
    return GatewayServer(config, app.state.services.feed)


def _load_certificate(config: uvicorn.Config) -> None:
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        raise SettingsError(f"GOLDEN_TLS_CERT, GOLDEN_TLS_KEY: can't be used: {error}") from None
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
