"""The composition root of the exporter: `golden exporter` shows the fleet's numbers, and does nothing else."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import NoReturn

import structlog
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, start_http_server
from temporalio.runtime import Runtime, TelemetryConfig

from gateway.fleet import BOARD, Fleet
from schema import engine
from schema.database import Database
from schema.errors import SettingsError
from schema.logs import configure_logs
from schema.settings import Settings

CONNECTIONS = 2

log = structlog.get_logger(__name__)


def run(settings: Settings) -> NoReturn:
    """Show the fleet's numbers until SIGTERM or Ctrl-C, and end the process.

    Raises:
        SettingsError: the port is taken, or a setting can't be used.
    """
    configure_logs(settings.log_level, "exporter")
    # Of the fleet and of this process only: what gateways count for themselves is none of it.
    registry = CollectorRegistry()
    for collector in (BOARD, PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    try:
        server, serving = start_http_server(settings.metrics_port, addr=settings.metrics_host, registry=registry)
    except OSError as error:
        raise SettingsError(f"port {settings.metrics_port} is taken: set GOLDEN_METRICS_PORT to another") from error
    asyncio.run(_export(settings))
    server.shutdown()
    serving.join()
    logging.shutdown()
    sys.stdout.flush()
    # Temporal's client keeps threads that can crash the interpreter's exit.
    os._exit(0)


async def _export(settings: Settings) -> None:
    """Read until told to stop. Neither PostgreSQL nor Temporal need be there."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = Database.from_settings(settings, pool_size=CONNECTIONS)
    client = await engine.connect(settings, lazy=True, runtime=Runtime(telemetry=TelemetryConfig(logging=None)))
    reading = asyncio.create_task(Fleet.of(settings, database, client).run())
    log.info("exporter runs", port=settings.metrics_port)
    await asyncio.wait([reading, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    await database.close()
    log.info("stopped")
