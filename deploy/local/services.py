"""Golden's own processes as parts of the stack: the worker and the gateway."""

import os
import sys
from pathlib import Path

import httpx

from deploy.local.process import Part
from schema.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
REFUSAL = 2
"""The exit code of `golden` where a setting can't be used."""


def worker(settings: Settings) -> Part:
    """One process with every kind of worker: on one machine more processes only cost more memory."""
    port = worker_metrics_port(settings)
    return Part(
        name="worker",
        command=python("gateway.cli", "worker", "all"),
        ready=lambda: answers(f"http://127.0.0.1:{port}/metrics"),
        environment=environment(settings, GOLDEN_METRICS_PORT=str(port)),
        ready_within=120.0,
        grace=20.0,
        refusal=REFUSAL,
    )


def gateway(settings: Settings) -> Part:
    return Part(
        name="gateway",
        command=python("gateway.cli", "gateway"),
        ready=lambda: answers(f"{settings.scheme}://127.0.0.1:{settings.gateway_port}/readyz"),
        environment=environment(settings),
        grace=15.0,  # longer than it lets requests finish
        refusal=REFUSAL,
    )


def worker_metrics_port(settings: Settings) -> int:
    return settings.metrics_port + 1


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our modules; -P, since the current folder may hold modules of the same name."""
    return (sys.executable, "-P", "-m", module, *arguments)


def environment(settings: Settings, **changes: str) -> dict[str, str]:
    """Our environment with the resolved settings, and the repository first on the path (its names are generic)."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "GOLDEN_HOME": str(settings.home),
        "GOLDEN_GATEWAY_PORT": str(settings.gateway_port),
        "GOLDEN_TEMPORAL_PORT": str(settings.temporal_port),
        "GOLDEN_TEMPORAL_UI_PORT": str(settings.temporal_ui_port),
        "GOLDEN_MODEL_PORT": str(settings.model_port),
        "GOLDEN_MODEL_SLOTS": str(settings.model_slots),
        "GOLDEN_METRICS_PORT": str(settings.metrics_port),
        **changes,
    }


async def answers(url: str) -> bool:
    """Whether an HTTP endpoint of this machine says 200."""
    try:
        # Whether it answers, not who it is: its certificate may be for another name than this machine's.
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:  # noqa: S501
            answer = await client.get(url)
    except httpx.TransportError:
        return False
    return answer.status_code == httpx.codes.OK
