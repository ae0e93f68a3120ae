"""Kills of a storm: of a part, of the container engine where nobody else needs it; a provider that goes away."""

import asyncio
import os
import signal
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime

import docker

from activities.docker_lease import OWNER, POOL, is_left
from deploy.sandbox import engine
from tests.chaos.storm_plan import PARTS
from tests.chaos.test_engine_restart import engines_process
from tests.support.golden import Golden
from tests.support.processes import is_gone, until
from tests.support.sandbox import containers_of
from tests.support.stormy_provider import StormyProvider

AWAY_SECONDS = 4.0


class Killer:
    """`kills` counts those that met something."""

    def __init__(self, golden: Golden, provider: StormyProvider, owner: str) -> None:
        self.kills: Counter[str] = Counter()
        self._golden = golden
        self._provider = provider
        self._owner = owner

    async def kill(self, name: str) -> None:
        """kill -9, if it is there to be killed and nobody else would suffer."""
        if name == "provider":
            self._provider.away = True
            self.kills[name] += 1
            await asyncio.sleep(AWAY_SECONDS)
            self._provider.away = False
        elif name == "dockerd":
            await self._kill_engine()
        else:
            for pid in self._golden.pids(PARTS[name])[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills[name] += 1

    async def _kill_engine(self) -> None:
        pid = engines_process()
        if pid is None or await asyncio.to_thread(others_are_served, self._owner):
            return
        os.kill(pid, signal.SIGKILL)
        self.kills["dockerd"] += 1
        await until(lambda: is_gone(pid), 30)
        await asyncio.to_thread(engine.start, _silent)


def others_are_served(owner: str) -> bool:
    """Whether somebody else's sandboxes are on this engine."""
    with closing(docker.from_env()) as client:
        found = client.api.containers(filters={"label": f"{POOL}=1"})
    return any(entry["Labels"][OWNER] != owner for entry in found)


def orphans_of(owner: str) -> list[str]:
    """Containers of an owner that no living worker holds."""
    with closing(docker.from_env()) as client:
        found = client.api.containers(all=True, filters={"label": f"{OWNER}={owner}"})
    return [entry["Id"][:12] for entry in found if is_left(entry, datetime.now(UTC))]


async def gone(owner: str, limit: float) -> list[str]:
    """The containers of an owner that are still there after so many seconds."""
    with suppress(TimeoutError):
        await until(lambda: not containers_of(owner), limit)
    return containers_of(owner)


def _silent(_text: str) -> None:
    """The engine says how it starts; here nobody listens."""
