"""The Temporal UI in a real browser: readable with a session, sealed for everybody else."""

import asyncio
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from temporalio.client import Client

from tests.support.browser import Browser, require_chromium
from tests.support.golden import Golden
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec

TITLE = "a title for its readers"
RESULT = "accepted"

pytestmark = [pytest.mark.sandbox, pytest.mark.stack]


@pytest.fixture(scope="module", autouse=True)
def chromium() -> None:
    require_chromium()


def golden_ui(golden: Golden, *arguments: str) -> str:
    command = (sys.executable, "-m", "gateway.cli", "ui", "--no-browser", *arguments)
    return subprocess.run(command, env=golden.environment, capture_output=True, text=True, check=True).stdout.strip()


async def test_summaries_inputs_and_results_are_read_with_a_session_and_by_nobody_else(
    golden: Golden, provider: Provider, temporal: Client, tmp_path: Path
) -> None:
    provider.script(TITLE, Script(developer=[files(work=GOOD)]))
    task_id = await golden.submit(spec(TITLE))
    assert (await golden.final(task_id))["state"] == RESULT
    page = f"/namespaces/default/workflows/{quote(f'task/{task_id}', safe='')}"
    with_session, without, on_its_own_port = Browser(tmp_path / "a"), Browser(tmp_path / "b"), Browser(tmp_path / "c")

    link = await asyncio.to_thread(golden_ui, golden)
    listed = await asyncio.to_thread(with_session.text_of, link)
    assert f"task/{task_id}" in listed
    shown = await asyncio.to_thread(with_session.text_of, f"{golden.settings.gateway_url}/ui{page}")
    assert TITLE in shown  # the summary
    assert f"{task_id}&quot;" in shown or f'{task_id}"' in shown  # the input
    assert "binary/encrypted" not in shown

    # A link is spent, and whoever has it now has nothing.
    spent = await asyncio.to_thread(without.text_of, link)
    stranger = await asyncio.to_thread(without.text_of, f"{golden.settings.gateway_url}/ui{page}")
    # Temporal's own port has no login: it shows that there is a workflow, and nothing that is in it.
    sealed = await asyncio.to_thread(on_its_own_port.text_of, f"{golden.settings.temporal_ui_target}/ui{page}")
    assert task_id in sealed
    for text in (spent, stranger, sealed):
        assert TITLE not in text
    assert "golden ui" in spent

    assert "ended" in await asyncio.to_thread(golden_ui, golden, "--end")
    again = await asyncio.to_thread(with_session.text_of, f"{golden.settings.gateway_url}/ui{page}")
    assert TITLE not in again
