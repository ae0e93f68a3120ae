"""Proposals of prompts as their workflow's activities see them, with reports and wordings that are said here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Table, insert, select, text, update
from uuid_utils.compat import uuid7

from activities.accounts import Accounts
from activities.prompt_updates import PromptUpdateActivities
from schema.database import Database
from schema.learning_settings import LearningSettings
from schema.messages.learning import EvaluationReport, LearningApprovalInput, UpdateStanding, Verdict
from schema.messages.steps import Role
from schema.tables import learning_updates, ledger_entries, outcomes, tasks
from tests.support.learning import propose


def updates(database: Database, faults: Sequence[str] = (), **settings: Any) -> PromptUpdateActivities:
    """What the supervisor does, with guidelines of which these are the faults."""

    async def check(*_: object) -> list[str]:
        return list(faults)

    accounts = Accounts(database, lambda tokens: tokens)
    return PromptUpdateActivities(accounts, LearningSettings(**settings), check)


def report(verdict: Verdict, **values: Any) -> EvaluationReport:
    numbers = {"pairs": 20, "tasks": 20, "better": 8, "worse": 1, "old": 10, "new": 17}
    said = {"p_value": 0.04, "difference": 0.35, "interval": (0.1, 0.6), "margin": 0.05, "why": f"{verdict} in 20"}
    return EvaluationReport.model_validate({**numbers, **said, "verdict": verdict, **values})


def named(update_id: UUID, tenant: str) -> LearningApprovalInput:
    return LearningApprovalInput(update_id=update_id, tenant=tenant)


async def evaluated(
    database: Database, tenant: str, verdict: Verdict | None = "better", role: Role = "developer", **changes: Any
) -> LearningApprovalInput:
    """A proposal that was admitted, and evaluated so; None is an evaluation that came to nothing."""
    wanted = named(await propose(database, tenant, role, **changes), tenant)
    standing = await updates(database).admit_update(wanted)
    assert standing.state == "evaluating", standing
    if verdict is not None:
        await write(database, wanted.update_id, evaluation=report(verdict).model_dump(mode="json"))
    return wanted


async def judged(
    database: Database, tenant: str, verdict: Verdict | None = "better", role: Role = "developer", **changes: Any
) -> tuple[LearningApprovalInput, UpdateStanding]:
    """A proposal after its evaluation, and what became of it."""
    wanted = await evaluated(database, tenant, verdict, role, **changes)
    return wanted, await updates(database).judge_update(wanted)


async def write(database: Database, update_id: UUID, **values: Any) -> None:
    async with database.service() as connection:
        await connection.execute(update(learning_updates).where(learning_updates.c.id == update_id).values(values))


async def finish_canary(database: Database, update_id: UUID, outcome: str = "adopted") -> None:
    async with database.service() as connection:
        statement = "SELECT finish_prompt_canary(:id, :outcome, 'golden', 'said by a test')"
        await connection.execute(text(statement), {"id": update_id, "outcome": outcome})


async def task_of(database: Database, update_id: UUID) -> Any:
    """The task that pays for a proposal."""
    async with database.service() as connection:
        return (await connection.execute(select(tasks).where(tasks.c.task_id == update_id))).one()


async def end_tasks(
    database: Database,
    tenant: str,
    version: UUID,
    *failures: bool | None,
    admitted: timedelta = timedelta(),
    steps: int = 1,
    ballot: str | None = None,
    **task: Any,
) -> list[UUID]:
    """Tasks whose developer has this version end, one after the other, now. Of several steps the first came to
    this, and all others failed.

    Args:
        admitted: when they were admitted, beside when they end.
    """
    rows: dict[Table, list[dict[str, Any]]] = {tasks: [], ledger_entries: [], outcomes: []}
    at = datetime.now(UTC)
    for failed in failures:
        at += timedelta(microseconds=1)
        mine = {"task_id": UUID(str(uuid7())), "tenant": tenant}
        told = {"title": "t", "spec": "0" * 64, "submitted_by": "ann", "budget_tokens": 1_000, "state": "accepted"}
        rows[tasks].append({**mine, **told, "prompts": {"developer": str(version)}, **task})
        rows[ledger_entries].append({**mine, "account": "tenant", "kind": "admit", "at": at + admitted})
        outcome = {**mine, "epoch": 1, "role": "developer", "prompt_version": version, "model": "m"}
        rows[outcomes] += [
            {**outcome, "spec": "0" * 64, "at": at, "ballot": ballot, "step": f"develop/{step}",
             "failed": failed if step == 1 else True}
            for step in range(1, steps + 1)
        ]  # fmt: skip
    async with database.service() as connection:
        for table, values in rows.items():
            await connection.execute(insert(table), values)
    return [row["task_id"] for row in rows[tasks]]
