"""A message that kills each worker which takes it is parked, and the workers live on."""

import os
from pathlib import Path

import pytest

from tests.support.golden import Golden
from tests.support.poison.sitecustomize import POISON
from tests.support.provider import Script, files, running_provider
from tests.support.specs import GOOD, spec

FOLDER = Path(__file__).parents[1] / "support" / "poison"


@pytest.mark.timeout(300)
async def test_what_kills_each_worker_is_parked_after_its_attempts_and_others_are_served(tmp_path: Path) -> None:
    async with running_provider() as provider:
        for title in (POISON, "wholesome"):
            provider.script(title, Script(developer=[files(work=GOOD)]))
        golden = Golden(tmp_path, models=provider.models)
        golden.environment["PYTHONPATH"] = os.pathsep.join([str(FOLDER), golden.environment.get("PYTHONPATH", "")])
        golden.start()
        try:
            poisoned = await golden.submit(spec(POISON))
            task = await golden.until(poisoned, lambda task: task["state"] == "parked", within=200)
            assert "step plan is parked (poison): HeartbeatTimeout" in task["reason"]
            async with golden.client("operator") as client:
                (letter,) = (await client.get("/v1/dead-letters", params={"task": poisoned})).json()["items"]
                assert (letter["kind"], letter["cause"], letter["attempts"]) == ("poison", "HeartbeatTimeout", 5)
            # The provider was never asked, so nothing was spent.
            assert provider.asked_about(POISON) == []

            assert (await golden.result(await golden.submit(spec("wholesome"))))["state"] == "accepted"

            async with golden.client("operator") as client:
                await client.post(f"/v1/dead-letters/{letter['id']}/discard")
            assert (await golden.result(poisoned))["state"] == "failed"
        finally:
            golden.stop()
