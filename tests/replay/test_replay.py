"""Every recorded history replays on the workflows as they are now: a change that breaks running tasks fails here."""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from schema import keyring
from schema.codec import data_converter
from schema.keyring import KeyRing
from tests.support.histories import FOLDER
from workers.kinds import KINDS

HISTORIES = sorted(FOLDER.glob("*.json"))
WORKFLOWS = [workflow_class for kind in KINDS.values() for workflow_class in kind.workflows]


def name_of(workflow_class: type) -> str:
    definition = workflow._Definition.must_from_class(workflow_class)
    return str(definition.name)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_the_history_replays(path: Path, tmp_path: Path) -> None:
    # They were recorded in clear text: what runs when encryption begins goes on.
    replayer = Replayer(workflows=WORKFLOWS, data_converter=data_converter(_new_ring(tmp_path), "default"))
    await replayer.replay_workflow(_history(path))


@pytest.mark.parametrize("workflow_class", WORKFLOWS, ids=lambda workflow_class: workflow_class.__name__)
def test_every_workflow_has_a_recorded_history(workflow_class: type) -> None:
    assert [path for path in HISTORIES if path.stem.startswith(f"{name_of(workflow_class)}-")]


@workflow.defn(name="AgentTask", sandboxed=False)
class ChangedAgentTask:
    """What `AgentTask` must never become without a patch."""

    @workflow.run
    async def run(self, task: object) -> str:
        await workflow.sleep(1)
        return "accepted"


async def test_a_changed_workflow_would_be_noticed() -> None:
    path = next(path for path in HISTORIES if path.stem.startswith("AgentTask-"))
    replayer = Replayer(workflows=[ChangedAgentTask], data_converter=pydantic_data_converter)
    with pytest.raises(workflow.NondeterminismError):
        await replayer.replay_workflow(_history(path))


def _new_ring(folder: Path) -> KeyRing:
    keyring.rotate(folder / "ring.json")
    return KeyRing(folder / "ring.json")


def _history(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())
