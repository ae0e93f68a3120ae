"""The tutorial and the guides do what they say, typed word by word: a stack is started by the tutorial's first block,
and stopped by its last."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.postgres import binaries
from tests.support.golden import Golden
from tests.support.pages import DOCS, ROOT, blocks, type_in
from tests.support.parts import GENEROUS
from tests.support.provider import Provider, Script, files
from tests.support.runbooks import distinct
from tests.support.specs import GOOD, spec

EVEN = "def is_even(number: int) -> bool:\n    return number % 2 == 0\n"
NONSENSE = ["no json"] * 3
TUTORIAL = blocks(DOCS / "tutorial.md")
HOME = ".golden"
OPERATED = {"golden_service", "golden_migrator", "intact", '"temporal":"ready"', "Retention"}
"""What the pages for operators show of a healthy stack."""


class Reader:
    """Somebody in an empty folder with this release, who types what a page says."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self.folder = folder
        self.stack = Golden(folder / HOME, models=provider.models, rate_limits=GENEROUS, reconcile_seconds=2)
        binaries = str(Path(sys.executable).parent)
        self.environment = {**self.stack.environment, "PATH": f"{binaries}:{os.environ['PATH']}", "COLUMNS": "100"}
        (folder / "examples").symlink_to(ROOT / "examples")

    async def types(self, *scripts: str, **more: str) -> str:
        return await asyncio.to_thread(type_in, "\n".join(scripts), self.folder, {**self.environment, **more})

    @property
    def addresses(self) -> dict[str, str]:
        """Where this stack is, for the pages that ask its parts themselves."""
        settings = self.stack.settings
        return {
            "GOLDEN_URL": settings.gateway_url,
            "GATEWAY_METRICS": f"http://127.0.0.1:{settings.metrics_port}/metrics",
            "PGHOST": str(settings.postgres_socket),
            "TEMPORAL_ADDRESS": settings.temporal_target,
            # PostgreSQL's wheel has psql, where the machine has none.
            "PATH": f"{self.environment['PATH']}:{binaries()}",
        }


@pytest_asyncio.fixture(scope="module")
async def reader(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> AsyncIterator[Reader]:
    """A reader whose stack was started as the tutorial says; its set-up is what runs these tests."""
    reader = Reader(tmp_path_factory.mktemp("reader"), provider)
    first, *_ = TUTORIAL
    told = await reader.types("\n".join(line for line in first.splitlines() if line.startswith("golden")))
    assert "ready" in told.splitlines()
    try:
        yield reader
    finally:
        told = await reader.types(TUTORIAL[-1])
        assert "stopped" in told or "golden" in told


async def test_the_tutorial_leads_to_a_verdict_past_a_killed_worker_and_to_an_approval(
    reader: Reader, provider: Provider
) -> None:
    provider.script("Is it even", Script(developer=[files(even=EVEN)]))
    told = await reader.types(*TUTORIAL[1:-1])
    assert told.count("accepted") >= 2
    assert "approved by ada" in told
    assert "Check that every file that is opened is closed" in told


@pytest.mark.parametrize(
    "name", ["add-a-tenant", "connect-a-model", "identity-provider", "rotate-keys", "write-a-policy"]
)
async def test_a_guide_does_what_it_says(name: str, reader: Reader) -> None:
    await reader.types(*blocks(DOCS / "how-to" / f"{name}.md"))


async def test_an_operator_finds_a_healthy_stack_by_every_page(reader: Reader) -> None:
    scripts = (block for page in sorted((DOCS / "operate").glob("*.md")) for block in blocks(page))
    # Pages share commands: each is typed once.
    told = await reader.types(
        *distinct(re.sub(r" +# .*$", "", block, flags=re.MULTILINE) for block in scripts), **reader.addresses
    )
    assert not {shown for shown in OPERATED if shown not in told}


async def test_a_parked_step_is_redriven_as_the_guide_says(reader: Reader, provider: Provider) -> None:
    provider.script("parked by nonsense", Script(developer=[*NONSENSE, files(work=GOOD)]))
    task_id = await reader.stack.submit(spec("parked by nonsense"))
    await reader.stack.until(task_id, lambda task: task["state"] == "parked")
    await reader.types(*blocks(DOCS / "how-to" / "redrive.md"))
    assert (await reader.stack.final(task_id))["state"] == "accepted"


async def test_a_spent_budget_is_topped_up_as_the_guide_says(reader: Reader, provider: Provider) -> None:
    provider.script("parked for want of tokens", Script(developer=[files(work=GOOD)], usage=(900, 900)))
    task_id = await reader.stack.submit({**spec("parked for want of tokens"), "budget_tokens": 3_000})
    await reader.stack.until(task_id, lambda task: task["state"] == "parked")
    told = await reader.types(*blocks(DOCS / "how-to" / "top-up-a-budget.md"))
    assert "accepted" in told
