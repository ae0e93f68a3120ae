"""What a step came to, where its task ended otherwise, was stopped, or can't be read any more."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from activities.accounts import Accounts
from activities.ledger import Call, Ledger, Usage
from activities.sandbox import proof_of
from activities.store import TaskStore
from activities.verdicts import Verdicts
from schema.database import Database
from schema.messages.sandbox import Finding, SandboxRun
from schema.messages.sandbox import TestOutcome as Outcome
from schema.messages.steps import AskRoleResult, FinishInput, Proof, StepRef
from schema.messages.task import TaskState
from schema.messages.vote import Ballot, Choice
from schema.tables import outcomes
from schema.texts import digest_of
from tests.integration.test_ledger import open_task
from tests.support.budgets import price
from tests.support.http import tenant_name

GONE = "0" * 64


class Story:
    """A task whose steps are written as the activities write them."""

    def __init__(self, database: Database, tenant: str, task_id: UUID) -> None:
        self.database, self.tenant, self.task_id = database, tenant, task_id
        self.store, self.ledger = TaskStore(database), Ledger(database)

    async def asked(self, role: str, step: str, result: AskRoleResult | None = None, *, spent: str = "") -> None:
        """One call of 100 and 20 tokens, and what the step came to, or the error's type that ended it."""
        ref = StepRef(task_id=self.task_id, tenant=self.tenant, step=step)
        await self.store.begin_step(ref, None)
        call = Call(ref, 1, 1, 500, 0)
        await self.ledger.reserve(call, role=role, model="m", prompt_version="0123456789ab")
        await self.ledger.settle(call, Usage(100, 20, 0), "answer", invalid="prose" if spent else None)
        if result is not None:
            await self.store.finish_step(ref, result)
        if spent:
            await self.store.fail_step(ref, spent)

    async def proven(self, step: str, run: SandboxRun, candidate: str) -> Proof:
        ref = StepRef(task_id=self.task_id, tenant=self.tenant, step=step)
        await self.store.begin_step(ref, None)
        proof, report = proof_of(candidate, {"work.py": "x = 1\n"}, run)
        await self.store.finish_step(ref, proof, texts=[report])
        return proof

    async def ended(self, state: TaskState) -> dict[str, Any]:
        """The outcomes by step."""
        finish = FinishInput(task_id=self.task_id, tenant=self.tenant, state=state)
        assert await Verdicts(Accounts(self.database, price)).finish(finish)
        async with self.database.service() as connection:
            found = await connection.execute(select(outcomes).where(outcomes.c.task_id == self.task_id))
            return {row.step: row for row in found}


async def story(database: Database) -> Story:
    tenant = tenant_name()
    return Story(database, tenant, await open_task(database, tenant))


def voted(choice: Choice) -> AskRoleResult:
    return AskRoleResult(response=GONE, ballot=Ballot(choice=choice, confidence=1, rationale=""))


def run(*findings: Finding, message: str = "") -> SandboxRun:
    tests = (Outcome(id="test_work.py::test_it", outcome="failed" if message else "passed", message=message),)
    return SandboxRun(exit_code=int(bool(message)), tests=tests, findings=findings, isolation="gvisor")


def finding(rule: str, severity: str) -> Finding:
    known = {"id": rule, "guard": "security", "rule": rule, "severity": severity, "message": "found"}
    return Finding.model_validate(known)


WRONG = {
    TaskState.ACCEPTED: {"plan": [], "reviewer": [], "security": ["ballot/false-reject"]},
    TaskState.REJECTED: {"plan": ["task/rejected"], "reviewer": ["ballot/false-accept"], "security": []},
}


@pytest.mark.parametrize("state", WRONG)
async def test_a_ballot_and_a_plan_are_judged_by_what_the_task_came_to(database: Database, state: TaskState) -> None:
    task = await story(database)
    await task.asked("architect", "plan", AskRoleResult(response=GONE))
    await task.asked("reviewer", "ballot/reviewer/1", voted("approve"))
    await task.asked("security", "ballot/security/1", voted("reject"))
    await task.asked("tester", "ballot/tester/1", spent="InvalidModelOutput")
    rows = await task.ended(state)

    names = {"plan": "plan", "reviewer": "ballot/reviewer/1", "security": "ballot/security/1"}
    assert {name: rows[step].rules for name, step in names.items()} == WRONG[state]
    assert {name: rows[step].failed for name, step in names.items()} == {
        name: bool(rules) for name, rules in WRONG[state].items()
    }
    absent = rows["ballot/tester/1"]
    assert (absent.ballot, absent.failed) == ("absent", True)
    assert absent.rules == ["ballot/absent", "step/InvalidModelOutput"]
    assert absent.prompt_version is None


async def test_of_a_task_that_was_cancelled_nobody_failed(database: Database) -> None:
    task = await story(database)
    await task.asked("architect", "plan", AskRoleResult(response=GONE))
    await task.asked("developer", "develop/1", spent="InvalidModelOutput")
    await task.asked("reviewer", "ballot/reviewer/1", voted("approve"))
    rows = await task.ended(TaskState.CANCELLED)

    assert {row.failed for row in rows.values()} == {None}
    assert rows["plan"].rules == []


async def test_a_developers_step_is_judged_by_the_proof_of_its_own_candidate(database: Database) -> None:
    task = await story(database)
    candidates = [digest_of(name) for name in ("tidy", "unsafe", "wrong")]
    runs = [
        run(finding("B101", "low")),
        run(finding("B602", "high"), finding("B602", "high")),
        run(message="E   TypeError: no"),
    ]
    for number, (candidate, proof) in enumerate(zip(candidates, runs, strict=True), start=1):
        await task.asked("developer", f"develop/{number}", AskRoleResult(response=candidate))
        await task.proven(f"prove/{number}", proof, candidate)
    await task.asked("developer", "develop/4", spent="InvalidModelOutput")
    await task.asked("developer", "develop/5", spent="ModelUnavailable")
    rows = await task.ended(TaskState.FAILED)

    told = {step: (row.failed, row.findings, row.rules) for step, row in rows.items()}
    assert told == {
        "develop/1": (False, {"security/B101": 1}, ["security/B101"]),
        "develop/2": (True, {"security/B602": 2}, ["security/B602"]),
        "develop/3": (True, {"tests/TypeError": 1}, ["tests/TypeError"]),
        "develop/4": (True, {}, ["step/InvalidModelOutput"]),
        "develop/5": (None, {}, []),
    }


TAMPERED = {
    "a report": ("texts", "UPDATE texts SET body = 'changed' WHERE digest = :digest AND tenant = :tenant"),
    "a result": (
        "task_steps",
        "UPDATE task_steps SET result = to_jsonb(CAST(:sealed AS text)) WHERE step = 'prove/2' AND tenant = :tenant",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_what_cant_be_read_any_more_is_not_known_and_ends_the_task_all_the_same(
    database: Database, owner: AsyncEngine, what: str
) -> None:
    task = await story(database)
    for number in (1, 2):
        await task.asked("developer", f"develop/{number}", AskRoleResult(response=digest_of(f"{number}")))
        proof = await task.proven(f"prove/{number}", run(message=f"E   TypeError: {number}"), digest_of(f"{number}"))
    table, change = TAMPERED[what]
    values = {"tenant": task.tenant, "digest": proof.report, "sealed": "golden-sealed:lost:eA=="}
    async with owner.begin() as connection:
        await connection.execute(text(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"))
        await connection.execute(text(change), values)
        await connection.execute(text(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"))
    rows = await task.ended(TaskState.FAILED)

    told = [(row.failed, row.rules) for _, row in sorted(rows.items())]
    known: list[Any] = [(True, ["tests/TypeError"]), (True, [])]
    assert told == (known if what == "a report" else [(None, []), (None, [])])
    assert {(row.input_tokens, row.output_tokens) for row in rows.values()} == {(100, 20)}
