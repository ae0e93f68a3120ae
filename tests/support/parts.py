"""The embedded parts for tests, each by itself, on free ports, gone at the end."""

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from deploy.local import model_server, postgres, temporal
from deploy.local.process import Part, Process
from schema.settings import DEFAULT_RATE_LIMITS, Settings

GENEROUS = ",".join(f"{name}=5000" for name in DEFAULT_RATE_LIMITS)
"""For tests that are not about limits, and ask a gateway more often than anybody may."""

_PORTS = ("gateway_port", "temporal_port", "temporal_ui_port", "model_port", "metrics_port")


def free_port() -> int:
    """A port that nobody listens on, outside the range from which the kernel and Temporal take theirs."""
    while True:
        port = random.randrange(12_000, 30_000)  # noqa: S311 - not a secret
        with socket.socket() as probe, socket.socket() as next_probe:
            try:
                probe.bind(("127.0.0.1", port))
                # The worker's metrics are on the port after the gateway's.
                next_probe.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def local_settings(home: Path, **values: Any) -> Settings:
    """Settings of a stack in `home` on free ports."""
    return Settings(home=home, **{**{name: free_port() for name in _PORTS}, "rate_limits": GENEROUS, **values})


@asynccontextmanager
async def running_part(part: Part, home: Path) -> AsyncIterator[Process]:
    """Any part, supervised; its log is in `home`."""
    process = Process(part, home / "logs", report=_silent)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


@asynccontextmanager
async def running_postgres(home: Path, **values: Any) -> AsyncIterator[Settings]:
    """PostgreSQL with the migrated database; `settings.database(role)` are the URLs of its roles."""
    settings = local_settings(home, **values)
    await postgres.prepare(settings)
    async with running_part(postgres.part(settings), home):
        await postgres.set_up(settings)
        yield settings


@asynccontextmanager
async def running_temporal(home: Path, **values: Any) -> AsyncIterator[str]:
    """The Temporal server with our search attributes; yields its `host:port`. Use the namespace `default`."""
    settings = local_settings(home, **values)
    async with running_part(temporal.part(settings), home):
        yield settings.temporal_target


@asynccontextmanager
async def running_model(home: Path, **values: Any) -> AsyncIterator[str]:
    """The embedded model; yields the base URL of its OpenAI-compatible API, `…/v1`."""
    settings = local_settings(home, **values)
    async with running_part(model_server.part(settings), home):
        yield settings.model_url


def _silent(name: str, text: str) -> None:
    """Parts of tests say nothing on the terminal."""
