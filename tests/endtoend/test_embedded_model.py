"""The real embedded model, through the whole stack, as a newcomer meets it."""

import json
import os
import signal
from pathlib import Path

import pytest
import yaml

from tests.support.golden import running_golden

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


async def test_the_embedded_model_solves_an_example_though_it_is_killed_in_between(tmp_path: Path) -> None:
    spec = yaml.safe_load((EXAMPLES / "mean.yaml").read_text())
    async with running_golden(tmp_path, log_level="warning") as golden:
        task_id = await golden.submit(spec)
        await golden.until(
            task_id,
            lambda task: any(row["step"] == "develop/1" and row["state"] == "running" for row in task["progress"]),
        )
        (model,) = golden.pids("model_server")
        os.kill(model, signal.SIGKILL)
        await golden.final(task_id, within=240)
        result = await golden.result(task_id)
    assert result["state"] == "accepted", json.dumps(result, indent=1)
    assert {test["outcome"] for test in result["tests"]} == {"passed"}
    assert result["tokens"]["developer"]["output"] > 0
    assert result["micro_usd"] == 0
