"""Past tasks as their rows tell them: what was asked for, who was asked, what was voted on and how it turned out."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, insert
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from activities.accounts import Accounts
from activities.evaluation import EvaluationActivities
from activities.models import Models
from activities.routes import ModelTarget
from activities.store import TaskStore
from schema.database import Database
from schema.messages.evaluation import ChooseSubjectsInput, EvaluationInput, Subject
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import AskRoleResult, Proof, Role
from schema.messages.task import TaskResult, TaskSpec, TaskState
from schema.messages.vote import VotePolicy
from schema.tables import outcomes, task_steps, tasks, truths
from schema.texts import canonical_json, put_text
from tests.support.learning import propose
from tests.support.prompt_updates import named, updates
from tests.support.specs import GOOD, spec

PLAN = canonical_json({"summary": "Write it.", "steps": ["write"]})


def evaluation(database: Database, *, wanted: int = 20) -> EvaluationActivities:
    """What evaluates, by our own default policy."""
    models = Models({"default": [ModelTarget(model="openai:m")]}, timeout_seconds=1)
    accounts = Accounts(database, lambda tokens: tokens)
    return EvaluationActivities(
        TaskStore(database), accounts, models, VotePolicy(), tasks=wanted, pairs=wanted, min_tasks=8, margin=0.05
    )


async def evaluating(database: Database, tenant: str, role: Role = "developer", **changes: Any) -> EvaluationInput:
    """A proposal that is to be evaluated now."""
    update_id = await propose(database, tenant, role, **changes)
    standing = await updates(database).admit_update(named(update_id, tenant))
    assert standing.state == "evaluating", standing
    return EvaluationInput(update_id=update_id, tenant=tenant, role=role, number=1)


async def chosen(database: Database, asked: EvaluationInput, *, wanted: int = 20) -> list[Subject]:
    """The subjects of an evaluation, in their order."""
    pairs = await evaluation(database, wanted=wanted).choose_subjects(ChooseSubjectsInput(evaluation=asked, most=100))
    return [pair.subject for pair in pairs.pairs if pair.seed == 0]


async def past_task(
    database: Database,
    tenant: str,
    content: str,
    role: Role = "developer",
    *,
    state: TaskState = TaskState.ACCEPTED,
    kind: str = "task",
    **known: bool,
) -> UUID:
    """A task that has ended; `known` is by source whether it turned out good. Other content is another spec."""
    task_id = UUID(str(uuid7()))
    async with database.tenant(tenant) as connection:
        body = TaskSpec.model_validate(spec("t", instructions=content))
        reference = await put_text(connection, tenant, canonical_json(body.model_dump(mode="json")))
        values = {"task_id": task_id, "tenant": tenant, "title": "t", "spec": reference, "kind": kind}
        result = await _result(connection, tenant, task_id, state)
        values |= {"submitted_by": "s", "budget_tokens": 1_000, "state": state.value, "result": result}
        await connection.execute(insert(tasks).values(values))
        asked = {"task_id": task_id, "step": role, "epoch": 1, "tenant": tenant, "role": role}
        await connection.execute(insert(outcomes).values(**asked, model="m", spec=reference))
        await _steps(connection, tenant, task_id)
        for source, good in known.items():
            told = {"task_id": task_id, "source": source, "tenant": tenant, "good": good, "actor": "ann"}
            await connection.execute(insert(truths).values(told))
    return task_id


async def _result(connection: AsyncConnection, tenant: str, task_id: UUID, state: TaskState) -> str:
    shown = TaskResult(task_id=task_id, state=state, files={"work.py": GOOD})
    return await put_text(connection, tenant, shown.model_dump_json())


async def _steps(connection: AsyncConnection, tenant: str, task_id: UUID) -> None:
    """A plan, two candidates of which the first was voted on, and a try to mend it that was not kept."""
    done: dict[str, Any] = {"plan": AskRoleResult(response=await put_text(connection, tenant, PLAN))}
    for number, text in enumerate((GOOD, "worse\n"), 1):
        candidate = await put_text(connection, tenant, canonical_json({"files": {"work.py": text}}))
        run = SandboxRun(exit_code=0, stdout=str(number), isolation="gvisor")
        report = await put_text(connection, tenant, run.model_dump_json())
        done[f"prove/{number}"] = Proof(
            candidate=candidate, report=report, passed=True, tests_passed=number,
            tests_failed=0, isolation="gvisor", size_bytes=1, lines={"work.py": 2}, findings={"lint-1": "low"},
        )  # fmt: skip
    for step, result in done.items():
        values = {"task_id": task_id, "step": step, "epoch": 1, "tenant": tenant, "state": "done", "detail": ""}
        kept = result.model_dump(mode="json")
        await connection.execute(insert(task_steps).values(**values, ended_at=func.now(), result=kept))
