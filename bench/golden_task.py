"""One task through the API to its end, for the measurements."""

import time
from contextlib import suppress
from dataclasses import dataclass

from uuid_utils.compat import uuid7

from gateway.client import GatewayClient, StreamBroken, task_path
from schema.messages.task import FINAL_STATES, TaskSpec

FINAL = {state.value for state in FINAL_STATES}
STUCK = {"escalated", "parked"}
BETWEEN_STREAMS = 0.5
"""Seconds."""


@dataclass(frozen=True)
class Ended:
    """A task at its end.

    Attributes:
        state: `escalated` or `parked` where the task waits for a person; it is then cancelled, since nobody is there.
        by: the step whose candidate passed.
    """

    task_id: str
    state: str
    files: dict[str, str]
    tokens: int
    by: str


def run_task(client: GatewayClient, task: TaskSpec) -> Ended:
    """Submit a task and follow it to its end; with a patient client, since a limit may refuse for a while."""
    submitted = client.submit(task.model_dump_json().encode(), "application/json", str(uuid7()))
    task_id = str(submitted["task_id"])
    path = task_path(task_id)
    state, stuck, by, seen = "submitted", "", "", 0
    while state not in FINAL:
        with suppress(StreamBroken):
            for event in client.events(path, seen):
                seen = event.sequence
                if event.event == "candidate" and event.data.get("passed"):
                    by = by or str(event.data["step"])
                if event.event in ("state", "verdict"):
                    state = str(event.data.get("state", state))
                if state in STUCK and not stuck:
                    stuck = state
                    client.post(f"{path}/cancel")
        if state not in FINAL:
            time.sleep(BETWEEN_STREAMS)
    result = client.get(f"{path}/result")
    tokens = sum(used["input"] + used["output"] for used in result["tokens"].values())
    return Ended(task_id, stuck or state, result["files"], tokens, by)
