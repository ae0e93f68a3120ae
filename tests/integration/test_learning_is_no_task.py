"""The row that pays for a proposal's evaluation is a task to the ledger, and to no client."""

from collections.abc import Callable

from activities.open_tasks import open_tasks
from schema.database import Database
from tests.support.http import client, problem, tenant_name
from tests.support.learning import propose

Token = Callable[..., str]


async def test_a_proposals_own_task_is_not_there_for_clients(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    path = f"/v1/tasks/{await propose(database, tenant)}"
    decision, truth = {"decision": "accept", "reason": "fine"}, {"source": "rollback", "good": False, "reason": "fine"}
    async with client(gateway_url, token("admin", tenant)) as http:
        listed = await http.get("/v1/tasks")
        answers = [await http.get(f"{path}{part}") for part in ("", "/result", "/events", "/consensus", "/findings")]
        answers += [
            await http.post(f"{path}/cancel"),
            await http.post(f"{path}/decision", json=decision),
            await http.post(f"{path}/top-up", json={"tokens": 1_000}),
            await http.post(f"{path}/follow-ups", json={"number": 1}),
            await http.post(f"{path}/truth", json=truth),
        ]
    assert listed.json()["items"] == []
    assert [problem(answer) for answer in answers] == ["not-found"] * len(answers)


async def test_reconcile_starts_no_workflow_for_it(database: Database) -> None:
    update_id = await propose(database, tenant_name())
    assert update_id not in [row.task_id async for row in open_tasks(database, older_than_seconds=0)]
