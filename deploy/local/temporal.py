"""Temporal of the one-machine stack: the development server, durable in SQLite and tuned as measured."""

import os
import sys
from pathlib import Path

from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError

from deploy.local.process import Part
from schema.settings import Settings

SEARCH_ATTRIBUTES = ("GoldenTenant", "GoldenState", "GoldenRole", "GoldenVerdict")

PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")

# The development server's defaults poll for a busy cluster of many shards; it has one.
DYNAMIC = (
    "history.transferProcessorMaxPollRPS=1000",
    "history.timerProcessorMaxPollRPS=1000",
    "history.visibilityProcessorMaxPollRPS=200",
    'history.timerProcessorMaxTimeShift="1ms"',
    "matching.enableFairness=true",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    'matching.TaskQueueInfoByBuildIdTTL="500ms"',
    # How soon a build is called drained: this server's list of open workflows is a fifth of a second behind.
    'matching.wv.VersionDrainageStatusVisibilityGracePeriod="2s"',
    'matching.wv.VersionDrainageStatusRefreshInterval="1s"',
)


def binary() -> Path:
    """The `temporal` command of this environment; the link to the interpreter is not followed out of it."""
    return Path(sys.executable).parent / "temporal"


def part(settings: Settings) -> Part:
    """The server as a part of the stack."""
    folder = settings.home / "temporal"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Part(
        name="temporal",
        command=(str(binary()), "server", "start-dev", *_flags(settings, folder / "temporal.db")),
        ready=lambda: _answers(settings),
        # Without TEMPORAL_*, which are for clients of a server.
        environment={name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
    )


def _flags(settings: Settings, database: Path) -> list[str]:
    return [
        *("--ip", "127.0.0.1", "--port", str(settings.temporal_port), "--ui-port", str(settings.temporal_ui_port)),
        *("--db-filename", str(database), "--namespace", settings.temporal_namespace, "--log-level", "warn"),
        # The gateway shows the UI under this path, on the origin that has the codec.
        *("--ui-public-path", "/ui", "--ui-codec-endpoint", f"{settings.gateway_url}/codec"),
        "--ui-disable-news-fetch",
        *(text for pragma in PRAGMAS for text in ("--sqlite-pragma", pragma)),
        *(text for value in DYNAMIC for text in ("--dynamic-config-value", value)),
        *(text for name in SEARCH_ATTRIBUTES for text in ("--search-attribute", f"{name}=Keyword")),
    ]


async def _answers(settings: Settings) -> bool:
    """Whether the namespace is there with every search attribute; the server makes these last."""
    try:
        client = await Client.connect(settings.temporal_target, namespace=settings.temporal_namespace)
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=settings.temporal_namespace)
        )
    except (RPCError, RuntimeError):  # the SDK says RuntimeError where nobody listens
        return False
    return set(SEARCH_ATTRIBUTES) <= set(known.custom_attributes)
