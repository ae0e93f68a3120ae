"""What a task leaves to be done: suggested, or created in the transaction that ends it, within its own budget."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from activities.accounts import Accounts
from activities.answers import canonical_candidate
from activities.fixes import diff_of
from activities.verdicts import Verdicts
from schema.database import Database
from schema.messages.sandbox import Finding, SandboxRun
from schema.messages.steps import FinishInput
from schema.messages.task import FollowUp, TaskResult, TaskSpec, TaskState
from schema.tables import audit_records, tasks, texts
from schema.texts import get_text, put_text
from tests.support.budgets import admitted_task, price, rows_of, spend
from tests.support.http import client, set_task, tenant_name

Token = Callable[..., str]

FILES = {"add.py": "def add(a, b):\n    return a + b\n"}
CREATE = {"tools": True, "model": True, "follow_up": "create"}


def finding(number: int, severity: str = "high", **changes: Any) -> Finding:
    known = {"id": f"security-{number}", "guard": "security", "rule": "B506", "severity": severity, "message": "yaml"}
    return Finding.model_validate({**known, "file": "add.py", "line": number, **changes})


async def end(
    database: Database,
    task: dict[str, Any],
    *findings: Finding,
    state: TaskState = TaskState.ACCEPTED,
    files: dict[str, str] | None = None,
) -> TaskResult:
    """The result of a task that came to these files and left these findings."""
    tenant, task_id = task["tenant"], UUID(task["task_id"])
    async with database.tenant(tenant) as connection:
        candidate = await put_text(connection, tenant, canonical_candidate(files or FILES))
        report = SandboxRun(exit_code=0, findings=findings, isolation="gvisor").model_dump_json()
        stored = await put_text(connection, tenant, report)
    finish = FinishInput(task_id=task_id, tenant=tenant, state=state, candidate=candidate, report=stored)
    assert await Verdicts(Accounts(database, price)).finish(finish)
    async with database.tenant(tenant) as connection:
        reference = await connection.scalar(select(tasks.c.result).where(tasks.c.task_id == task_id))
        return TaskResult.model_validate_json(await get_text(connection, tenant, str(reference)))


async def children_of(database: Database, tenant: str) -> list[dict[str, Any]]:
    return [row for row in await rows_of(database, tasks, tenant) if row["parent"] is not None]


async def test_what_was_left_of_a_budget_is_shared_by_the_gravest_and_told_to_the_audit_log(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await admitted_task(http, database, budget_tokens=5_000, auto_fix=CREATE)
        await spend(database, task, "plan", used=2_500)
    result = await end(database, task, finding(1), finding(2, "medium"), finding(3, "medium"), finding(4, "low"))

    children = await children_of(database, tenant)
    # 2,500 were left, so that there are no three of 1,000.
    assert [child["budget_tokens"] for child in children] == [1_250, 1_250]
    assert [follow_up.task_id is not None for follow_up in result.follow_ups] == [True, True, False, False]
    assert all(child["state"] == "submitted" and str(child["parent"]) == task["task_id"] for child in children)
    told = [row for row in await rows_of(database, audit_records, tenant) if row["action"] == "task.follow_up"]
    assert {row["object"] for row in told} == {str(child["task_id"]) for child in children}

    (body, *_) = [row["body"] for row in await rows_of(database, texts, tenant) if row["digest"] == children[0]["spec"]]
    spec = TaskSpec.model_validate_json(body)
    assert (spec.files, list(spec.tests)) == (FILES, ["test_add.py"])
    assert spec.auto_fix.follow_up == "off"
    assert "security" in spec.instructions
    assert spec.title in {follow_up.title for follow_up in result.follow_ups[:2]}


@pytest.mark.parametrize(
    "case", ["too little is left", "not accepted", "a follow-up itself", "files that no task may have", "a secret"]
)
async def test_where_nothing_can_be_created_it_is_suggested_with_the_reason(
    gateway_url: str, token: Token, database: Database, case: str
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await admitted_task(http, database, budget_tokens=3_000, auto_fix=CREATE)
        if case == "too little is left":
            await spend(database, task, "plan", used=2_001, reserved=2_500)
        if case == "a follow-up itself":
            await set_task(database, task, parent=UUID(task["task_id"]))
    state = TaskState.REJECTED if case == "not accepted" else TaskState.ACCEPTED
    files = {"queue.py": "x = 1\n"} if case == "files that no task may have" else None
    found = finding(1, guard="secrets" if case == "a secret" else "security")
    (suggested,) = (await end(database, task, found, state=state, files=files)).follow_ups

    assert suggested.task_id is None
    assert (
        suggested.reason
        == {
            "too little is left": "the task left 999 tokens, and 1,000 are needed",
            "not accepted": "the task was not accepted",
            "a follow-up itself": "the task is a follow-up itself",
            "a secret": "a secret has to be withdrawn by whoever owns it",
            "files that no task may have": "the candidate's files are none that a task may have",
        }[case]
    )
    assert len(await rows_of(database, tasks, tenant)) == 1


async def test_a_task_suggests_unless_it_says_otherwise(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        usual = await admitted_task(http, database)
        silent = await admitted_task(http, database, auto_fix={**CREATE, "follow_up": "off"})
    suggested = await end(database, usual, finding(1, line=0, file="a/add.py"), finding(2, guard="tests", rule="x"))

    assert suggested.follow_ups == (
        FollowUp(title="Follow-up: security B506 in a/add.py", finding=finding(1, line=0, file="a/add.py")),
    )
    assert (await end(database, silent, finding(1))).follow_ups == ()


def test_a_diff_shows_what_changed_within_bounds() -> None:
    before = {"a.py": "one\ntwo\n", "same.py": "x\n", "long.py": "y\n" * 5_000}
    assert diff_of(before, {**before, "a.py": "one\n2"}) == (
        "--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n\\ No newline at end of file\n"
    )
    assert "5,000 lines before" in diff_of(before, {**before, "long.py": "z\n"})
    assert len(diff_of({}, {"a.py": "x" * 100_000})) < 20_100
