"""Recorded histories of workflows: `GOLDEN_RECORD=1 make test` records them anew from the end-to-end tests."""

import os
from pathlib import Path

from temporalio.client import Client

FOLDER = Path(__file__).parent.parent / "replay" / "histories"


async def record(client: Client, workflow_id: str, name: str) -> None:
    """Keep a closed workflow's history as `NAME.json`, where recording is asked for."""
    if os.environ.get("GOLDEN_RECORD") == "1":
        history = await client.get_workflow_handle(workflow_id).fetch_history()
        (FOLDER / f"{name}.json").write_text(history.to_json() + "\n")
