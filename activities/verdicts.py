"""Ends tasks in PostgreSQL: the result, the verdict, the slot and the hold, all or nothing."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.answers import read_candidate
from schema.database import Database
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import EscalateInput, FinishInput, HumanDecision, ReadDecisionInput
from schema.messages.task import FINAL_STATES, RoleTokens, TaskResult, TaskState
from schema.messages.vote import Explanation
from schema.story import append_event, move
from schema.tables import accounts, decisions, model_calls, task_steps, tasks
from schema.texts import get_text, put_text


class Verdicts:
    """Escalations, a person's decisions, and the ends of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def escalate(self, question: EscalateInput) -> None:
        """Move a task to `escalated`, with the question as its reason; the slot goes back, as people may take days."""
        ref = question.ref
        async with self._database.tenant(ref.tenant) as connection:
            row = (
                await connection.execute(select(tasks).where(tasks.c.task_id == ref.task_id).with_for_update())
            ).one()
            if await move(connection, ref.task_id, ref.tenant, TaskState.ESCALATED, question.question):
                await _give_back(connection, row, row.spent_tokens)

    async def decision(self, task: ReadDecisionInput) -> HumanDecision:
        """A person's decision, if its row is there."""
        async with self._database.tenant(task.tenant) as connection:
            row = (await connection.execute(select(decisions).where(decisions.c.task_id == task.task_id))).one_or_none()
        return HumanDecision() if row is None else HumanDecision(decision=row.decision, actor=row.actor)

    async def finish(self, finish: FinishInput) -> bool:
        """End a task; False if it is unknown or was final before."""
        async with self._database.tenant(finish.tenant) as connection:
            return await finish_task(connection, finish)


async def finish_task(connection: AsyncConnection, finish: FinishInput) -> bool:
    """End a task in the caller's transaction; False if it is unknown or was final before."""
    # Calls before the task's row, in the order in which the ledger locks them.
    await connection.execute(
        update(model_calls)
        .where(model_calls.c.task_id == finish.task_id, model_calls.c.state == "sent")
        .values(state="uncertain", ended_at=func.now())
    )
    row = (
        await connection.execute(select(tasks).where(tasks.c.task_id == finish.task_id).with_for_update())
    ).one_or_none()
    if row is None or TaskState(row.state) in FINAL_STATES:
        return False
    if finish.state is TaskState.CANCELLED and row.cancel_requested_by is not None:
        finish = finish.model_copy(update={"reason": f"cancelled by {row.cancel_requested_by}"})
    # What is still held belongs to calls whose end is unknown: they are charged at what they held.
    spent = row.spent_tokens + row.held_tokens
    result = await _result(connection, finish, row.spent_micro_usd)
    reference = await put_text(connection, finish.tenant, result.model_dump_json())
    await connection.execute(
        update(tasks)
        .where(tasks.c.task_id == finish.task_id)
        .values(state=finish.state.value, reason=finish.reason, result=reference, spent_tokens=spent, held_tokens=0)
    )
    await _give_back(connection, row, spent)
    await connection.execute(
        update(task_steps)
        .where(task_steps.c.task_id == finish.task_id, task_steps.c.state == "running")
        .values(state="cancelled", ended_at=func.now())
    )
    summary = result.consensus.summary if result.consensus else ""
    verdict = {"state": finish.state.value, "reason": finish.reason, "summary": summary}
    await append_event(connection, finish.task_id, finish.tenant, "state", {"state": finish.state.value})
    await append_event(connection, finish.task_id, finish.tenant, "verdict", verdict)
    return True


async def _give_back(connection: AsyncConnection, row: Any, spent: int) -> None:
    """A task's slot and hold, if it has them, back to its tenant's account, and what it newly spent onto it."""
    await connection.execute(
        update(accounts)
        .where(accounts.c.tenant == row.tenant)
        .values(
            slots_used=accounts.c.slots_used - int(row.admitted),
            held_tokens=accounts.c.held_tokens - (row.budget_tokens if row.admitted else 0),
            spent_tokens=accounts.c.spent_tokens + spent - row.charged_tokens,
            spent_micro_usd=accounts.c.spent_micro_usd + row.spent_micro_usd - row.charged_micro_usd,
        )
    )
    await connection.execute(
        update(tasks)
        .where(tasks.c.task_id == row.task_id)
        .values(admitted=False, charged_tokens=spent, charged_micro_usd=row.spent_micro_usd)
    )


async def _result(connection: AsyncConnection, finish: FinishInput, micro_usd: int) -> TaskResult:
    async def text(digest: str | None) -> str | None:
        return None if digest is None else await get_text(connection, finish.tenant, digest)

    candidate, report, explanation = [
        await text(digest) for digest in (finish.candidate, finish.report, finish.explanation)
    ]
    run = SandboxRun.model_validate_json(report) if report is not None else None
    tokens, prompts, priced = await _calls(connection, finish.task_id)
    return TaskResult(
        task_id=finish.task_id,
        state=finish.state,
        reason=finish.reason,
        files=read_candidate(candidate) if candidate is not None else {},
        tests=run.tests if run else (),
        findings=run.findings if run else (),
        fixes=finish.fixes,
        consensus=Explanation.model_validate_json(explanation) if explanation is not None else None,
        prompts=prompts,
        tokens=tokens,
        micro_usd=micro_usd if priced else None,
        isolation=run.isolation if run else None,
    )


async def _calls(connection: AsyncConnection, task_id: UUID) -> tuple[dict[str, RoleTokens], dict[str, str], bool]:
    """Tokens by role, the prompt version each role was asked with, and whether every call had a price."""
    rows = await connection.execute(
        select(
            model_calls.c.role,
            func.coalesce(func.sum(model_calls.c.input_tokens), 0).label("input"),
            func.coalesce(func.sum(model_calls.c.output_tokens), 0).label("output"),
            func.max(model_calls.c.prompt_version).label("version"),
            func.bool_and((model_calls.c.state != "settled") | model_calls.c.micro_usd.is_not(None)).label("priced"),
        )
        .where(model_calls.c.task_id == task_id)
        .group_by(model_calls.c.role)
    )
    tokens, prompts, priced = {}, {}, True
    for row in rows:
        tokens[row.role] = RoleTokens(input=row.input, output=row.output)
        prompts[row.role] = row.version
        priced = priced and row.priced
    return tokens, prompts, priced
