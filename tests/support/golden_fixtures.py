"""Fixtures for tests that need a whole stack: import them in a folder's conftest."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import Client

from schema import engine
from tests.support.golden import Golden, running_golden
from tests.support.provider import Provider, running_provider


@pytest_asyncio.fixture(scope="session")
async def provider() -> AsyncIterator[Provider]:
    """The scripted provider."""
    async with running_provider() as provider:
        yield provider


@pytest_asyncio.fixture(scope="session")
async def golden(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> AsyncIterator[Golden]:
    """A stack whose models are the scripted provider's, and which takes this machine for a proxy."""
    home = tmp_path_factory.mktemp("golden")
    values = {"models": provider.models, "trusted_proxies": "127.0.0.1", "reconcile_seconds": 2, "log_level": "warning"}
    async with running_golden(home, **values) as golden:
        yield golden


@pytest_asyncio.fixture(scope="session")
async def temporal(golden: Golden) -> Client:
    """A client of the stack's Temporal."""
    return await engine.connect(golden.settings)
