"""A provider that is away for a while and comes back: nobody is parked, nothing is charged, and nobody has to help."""

import asyncio
from pathlib import Path
from typing import Any

from schema import engine
from tests.support.golden import Golden, running_golden
from tests.support.processes import until
from tests.support.provider import Fault, Script, files, running_provider
from tests.support.specs import GOOD, spec

TASKS = 6


async def circuit(golden: Golden) -> dict[str, Any]:
    async with golden.client("operator") as client:
        items = (await client.get("/v1/circuits")).json()["items"]
    return dict(items[0]) if items else {"state": "unknown"}


async def test_tasks_wait_for_a_provider_that_is_down_and_go_on_by_themselves(tmp_path: Path) -> None:
    async with running_provider() as provider, running_golden(tmp_path, models=provider.models) as golden:
        titles = [f"outage {number}" for number in range(TASKS)]
        for title in titles:
            provider.script(title, Script(developer=[files(work=GOOD)]))
        provider.down = Fault(500)
        task_ids = [await golden.submit(spec(title, deadline="60s")) for title in titles]

        async def opened_twice() -> bool:
            # The second pause is twice as long as the first.
            return int((await circuit(golden)).get("opened_total", 0)) >= 2

        await until(opened_twice, limit=90)
        down = len(provider.asked)
        provider.down = None
        results = await asyncio.gather(*(golden.result(task_id) for task_id in task_ids))

        assert [result["state"] for result in results] == ["accepted"] * TASKS
        # Five in a row open it, those that were under way then come on top; after that one probe at a time.
        assert down <= 5 + TASKS + 3
        for result in results:
            assert result["tokens"]["architect"] == {"input": 200, "output": 40}
        async with golden.client("admin") as client:
            assert (await client.get("/v1/budgets/default/check")).json()["ok"]
            assert (await client.get("/v1/dead-letters")).json()["items"] == []
        temporal = await engine.connect(golden.settings)
        for task_id in task_ids:
            described = await temporal.get_workflow_handle(f"task/{task_id}").describe()
            assert described.history_length < 150
        assert (await circuit(golden))["state"] == "closed"
