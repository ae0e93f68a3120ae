"""A cancel that the engine has not heard of: its row decides, whoever reads it first."""

import psycopg

from tests.support.golden import FINAL, Golden
from tests.support.processes import until
from tests.support.provider import Provider, Script
from tests.support.specs import spec


async def test_a_task_whose_cancel_is_read_by_the_door_to_its_slot_is_cancelled_and_has_not_failed(
    golden: Golden, provider: Provider
) -> None:
    provider.script("cancelled in line", Script())
    async with golden.client("admin", "no-slots") as client:
        (await client.put("/v1/budgets/no-slots", json={"slots": 0})).raise_for_status()
        task = (await client.post("/v1/tasks", json=spec("cancelled in line"))).json()
        path = f"/v1/tasks/{task['task_id']}"

        async def is_in(*states: str) -> bool:
            return (await client.get(path)).json()["state"] in states

        await until(lambda: is_in("queued"))
        # As of a gateway that died between the row and the engine.
        with psycopg.connect(golden.settings.database("service").replace("+psycopg", "")) as connection:
            connection.execute("UPDATE tasks SET cancel_requested_by = 'tester' WHERE task_id = %s", (task["task_id"],))
        await until(lambda: is_in(*FINAL))
        ended = (await client.get(path)).json()
    assert (ended["state"], ended["reason"]) == ("cancelled", "cancelled by tester")
