"""The container engine dies in the middle of a run and comes back: the run is tried again, and nothing is left.

It takes every container of the machine with it. So it runs only where this user started the engine by hand, and no
other pool is using it.
"""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import docker
import pytest
import pytest_asyncio

from activities.docker_lease import OWNER as OWNER_LABEL
from activities.docker_lease import POOL
from activities.docker_pool import DockerSandboxPool
from deploy.sandbox import daemon, engine
from schema.errors import SandboxUnavailable
from schema.messages.sandbox import SandboxRun
from tests.support.sandbox import DOUBLE, OWNER, TESTS, containers_of, judged, make_pool, python, until

pytest_plugins = ["tests.support.sandbox_fixtures"]
# docker-py leaves a socket to the garbage collector when the engine goes while it connects.
pytestmark = [pytest.mark.sandbox, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

RESTARTED = f"{OWNER}-restarted"
LONGER_THAN_BUSY = 2.0
"""Seconds; a full pool is asked again sooner."""


def engines_process() -> int | None:
    """The engine's process, where it is one that we may end and start again."""
    try:
        pid = int(engine.PID_FILE.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        return None
    by_hand = not Path("/run/systemd/system").is_dir() and os.geteuid() == 0
    return pid if by_hand and name == "dockerd" and "DOCKER_HOST" not in os.environ else None


def others_are_served() -> bool:
    """Whether somebody else's sandboxes are on this engine."""
    with closing(docker.from_env()) as client:
        found = client.api.containers(filters={"label": f"{POOL}=1"})
    return any(entry["Labels"][OWNER_LABEL] != RESTARTED for entry in found)


@pytest_asyncio.fixture
async def pool(sandboxed: None) -> AsyncIterator[DockerSandboxPool]:
    """A pool on an engine that may be ended; the engine is there again afterwards, whatever happened."""
    if engines_process() is None:
        pytest.skip("the engine is not one that was started by hand here")
    if not await until(lambda: not others_are_served(), 10):
        pytest.skip("other sandboxes are on this engine")
    pool = make_pool(RESTARTED, size=1)
    await pool.start()
    await pool.settle()
    yield pool
    if not await asyncio.to_thread(answers):
        await asyncio.to_thread(engine.start, print)
    await pool.close()
    gc.collect()


def answers() -> bool:
    """Whether the engine does."""
    return not daemon.unreachable()


def is_gone(pid: int) -> bool:
    """Whether the process has ended."""
    return not Path(f"/proc/{pid}").exists()


async def tried_again(pool: DockerSandboxPool) -> SandboxRun:
    """As Temporal does, without its waits."""
    for _ in range(20):
        try:
            return await pool.run(judged({"double.py": DOUBLE}, TESTS))
        except SandboxUnavailable:
            continue
    raise AssertionError("the pool did not recover")


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
async def test_an_engine_that_is_started_again_serves_the_run_that_it_lost(
    pool: DockerSandboxPool, ending: signal.Signals
) -> None:
    running = asyncio.create_task(pool.run(python("while True:\n    pass\n", seconds=120)))
    assert await until(lambda: len(containers_of(RESTARTED)) == 2)
    dockerd = engines_process()
    assert dockerd is not None
    os.kill(dockerd, ending)
    with pytest.raises(SandboxUnavailable) as lost:
        await running
    assert lost.value.retry_after is not None
    assert lost.value.retry_after > LONGER_THAN_BUSY
    assert await until(lambda: is_gone(dockerd), 30)
    with pytest.raises(SandboxUnavailable):
        await pool.run(python(""))

    await asyncio.to_thread(engine.start, print)
    assert (await tried_again(pool)).passed
    await pool.close()
    assert await until(lambda: not containers_of(RESTARTED), 20)
