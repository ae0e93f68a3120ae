"""Tasks for what could not be fixed: submitted from a suggestion, linked to their parent, within its budget."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import select

from schema.database import Database
from schema.messages.candidate import spec_of
from schema.messages.task import TaskResult
from schema.tables import tasks
from schema.texts import get_text, put_text
from tests.support.http import client, problem, set_task, submit, tenant_name

Token = Callable[..., str]

FINDING = {"id": "security/1", "guard": "security", "rule": "B602", "severity": "high", "message": "shell=True"}
FOLLOW_UP = {"title": "Follow-up: security B602", "finding": {**FINDING, "file": "add.py", "line": 3}}


async def end(database: Database, task: dict[str, Any], **values: Any) -> None:
    """The end of a task that left something to mend."""
    async with database.tenant(task["tenant"]) as connection:
        result = TaskResult.model_validate(
            {
                "task_id": task["task_id"],
                "state": "accepted",
                "files": {"add.py": "def add(a, b):\n    return a + b\n"},
                "findings": [FOLLOW_UP["finding"]],
                "follow_ups": [FOLLOW_UP, {**FOLLOW_UP, "task_id": task["task_id"]}],
            }
        )
        reference = await put_text(connection, task["tenant"], result.model_dump_json())
    await set_task(database, task, state="accepted", result=reference, **values)


async def test_a_suggestion_becomes_a_task_with_its_parents_tests_and_what_is_left_of_its_budget(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "one"}) as http:
        parent = await submit(http, policy={"quorum": 3})
        await end(database, parent, spent_tokens=4_000)
        path = f"{parent['links']['self']}/follow-ups"
        first, again = [await http.post(path, json={"number": 1}) for _ in range(2)]

    child = first.json()
    assert (first.status_code, child["parent"], child["title"]) == (
        202,
        parent["task_id"],
        "Follow-up: security B602 in add.py, line 3",
    )
    assert again.json()["task_id"] == child["task_id"]
    async with database.tenant(tenant) as connection:
        row = (await connection.execute(select(tasks).where(tasks.c.task_id == UUID(child["task_id"])))).one()
        spec = spec_of(await get_text(connection, tenant, row.spec))
    assert row.budget_tokens == spec.budget_tokens == 16_000
    assert (list(spec.tests), list(spec.files)) == (["test_add.py"], ["add.py"])
    assert "Rule: B602\n" in spec.instructions
    assert (spec.auto_fix.follow_up, spec.policy.quorum) == ("off", 3)


async def test_what_is_left_of_the_budget_is_given_once(gateway_url: str, token: Token, database: Database) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        parent = await submit(http)
        await end(database, parent)
        path = f"{parent['links']['self']}/follow-ups"
        wishes: tuple[dict[str, int], ...] = ({"budget_tokens": 15_000}, {"budget_tokens": 6_000}, {}, {})
        answers = [await http.post(path, json={"number": 1, **wish}) for wish in wishes]

    assert [answer.status_code for answer in answers] == [202, 409, 202, 409]
    assert problem(answers[1]) == problem(answers[3]) == "budget-exhausted"
    async with database.tenant(parent["tenant"]) as connection:
        given = select(tasks.c.budget_tokens).where(tasks.c.parent == UUID(parent["task_id"]))
        assert sorted((await connection.execute(given)).scalars()) == [5_000, 15_000]


async def test_what_is_not_suggested_is_refused_by_its_number(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        parent = await submit(http)
        path = f"{parent['links']['self']}/follow-ups"
        early = await http.post(path, json={"number": 1})
        await end(database, parent)
        refused = [await http.post(path, json={"number": number}) for number in (2, 3)]

    assert (early.status_code, problem(early)) == (409, "task-not-final")
    assert [(each.status_code, each.json()["errors"][0]["field"]) for each in refused] == [(422, "number")] * 2


async def test_what_is_left_is_a_list_or_sarif(gateway_url: str, token: Token, database: Database) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        await end(database, task)
        path = f"{task['links']['self']}/findings"
        listed, told = await http.get(path), await http.get(path, headers={"Accept": "application/sarif+json"})
        other = await http.get(path, headers={"Accept": "text/html"})

    assert [each["id"] for each in listed.json()["items"]] == ["security/1"]
    assert (told.headers["content-type"], told.headers["vary"]) == ("application/sarif+json", "Accept")
    (run,) = told.json()["runs"]
    assert (told.json()["version"], [each["ruleId"] for each in run["results"]]) == ("2.1.0", ["security/B602"])
    assert (other.status_code, problem(other)) == (406, "not-acceptable")


async def test_voters_without_a_record_are_shown_with_their_weights(gateway_url: str, token: Token) -> None:
    async with client(gateway_url, token("viewer", tenant_name())) as http:
        answer = await http.get("/v1/governance/voters")

    shown = {each["record"]["voter"]: (each["weight"], each["proposed_weight"]) for each in answer.json()["items"]}
    assert shown == {
        "reviewer": (3000, None),
        "security": (2500, None),
        "tester": (2500, None),
        "architect": (2000, None),
    }
