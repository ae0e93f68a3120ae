"""Fixtures of real sandboxes: `pytest_plugins = ["tests.support.sandbox_fixtures"]`."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from activities.docker_pool import DockerSandboxPool
from deploy.sandbox import engine
from schema.settings import Settings
from tests.support.sandbox import make_pool


@pytest.fixture(scope="session")
def sandboxed() -> None:
    """Skips where this machine has no gVisor or no image; fails there in CI."""
    failed = [check for check in engine.checks(Settings()) if not check.ok]
    if failed:
        reason = "; ".join(f"{check.problem}: {check.remedy}" for check in failed)
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest_asyncio.fixture(scope="session")
async def pool(sandboxed: None) -> AsyncIterator[DockerSandboxPool]:
    """A started pool."""
    pool = make_pool()
    await pool.start()
    yield pool
    await pool.close()
