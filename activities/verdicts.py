"""Ends tasks in PostgreSQL: the result, the verdict, the slot and the hold, all or nothing."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.accounts import Accounts, lock_account
from activities.answers import read_candidate
from activities.fixes import fix_record, fix_views
from activities.follow_ups import follow_up
from activities.ledger import expire_calls
from activities.meters import observe
from activities.outcomes import StepCalls, read_calls, write_outcomes
from schema import metrics
from schema.audit import AuditRecord, append
from schema.database import after_commit, now_of
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import EscalateInput, FinishInput, HumanDecision, ReadDecisionInput
from schema.messages.task import FINAL_STATES, RoleTokens, TaskResult, TaskState
from schema.messages.vote import Explanation
from schema.proposals import LEARNING
from schema.story import append_event, move
from schema.tables import dead_letters, decisions, task_steps, tasks
from schema.texts import get_texts, put_text


class Verdicts:
    """Escalations, a person's decisions, and the ends of tasks."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._database = accounts.database

    async def escalate(self, question: EscalateInput) -> None:
        """Move a task to `escalated`, with the question as its reason; the slot goes back, as people may take days."""
        ref = question.ref
        async with self._database.tenant(ref.tenant) as connection:
            await lock_account(connection, ref.tenant)
            if await move(connection, ref.task_id, ref.tenant, TaskState.ESCALATED, question.question):
                await _show(connection, question)
                await self._accounts.give_back(connection, ref.task_id)

    async def decision(self, task: ReadDecisionInput) -> HumanDecision:
        """A person's decision, if its row is there."""
        async with self._database.tenant(task.tenant) as connection:
            row = (await connection.execute(select(decisions).where(decisions.c.task_id == task.task_id))).one_or_none()
        if row is None:
            return HumanDecision()
        return HumanDecision(decision=row.decision, actor=row.actor, reason=row.reason)

    async def state(self, task_id: UUID, tenant: str) -> TaskState | None:
        """The state of a task; None where the tenant has no such task."""
        async with self._database.tenant(tenant) as connection:
            state = await connection.scalar(select(tasks.c.state).where(tasks.c.task_id == task_id))
        return None if state is None else TaskState(state)

    async def finish(self, finish: FinishInput) -> bool:
        """End a task; False if it is unknown or was final before."""
        async with self._database.tenant(finish.tenant) as connection:
            return await self._finish(connection, finish)

    async def _finish(self, connection: AsyncConnection, finish: FinishInput) -> bool:
        await lock_account(connection, finish.tenant)
        locked = select(tasks).where(tasks.c.task_id == finish.task_id).with_for_update()
        row = (await connection.execute(locked)).one_or_none()
        if row is None or TaskState(row.state) in FINAL_STATES:
            return False
        # What is still held belongs to calls whose end is unknown: they are charged at what they held.
        await expire_calls(connection, finish.tenant, finish.task_id)
        if finish.state is TaskState.CANCELLED and row.cancel_requested_by is not None:
            finish = finish.model_copy(update={"reason": f"cancelled by {row.cancel_requested_by}"})
        # As it is after the expiry, which charges what nobody knows the end of.
        row = (await connection.execute(locked)).one()
        records = await _end(connection, finish, row)
        await self._accounts.give_back(connection, finish.task_id)
        if records:
            await append(connection, finish.tenant, records)
        if row.kind != LEARNING:
            took = (await now_of(connection) - row.submitted_at).total_seconds()
            after_commit(connection, partial(observe, metrics.TASK_SECONDS, took, finish.state.value))
        return True


async def _show(connection: AsyncConnection, question: EscalateInput) -> None:
    """What a person decides on, in the form of the result that it would be."""
    if question.shown is None:
        return
    task_id = question.ref.task_id
    spent = await connection.scalar(select(tasks.c.spent_micro_usd).where(tasks.c.task_id == task_id))
    shown = question.shown.model_copy(update={"reason": question.question})
    result = await _result(connection, shown, spent or 0, await read_calls(connection, task_id))
    reference = await put_text(connection, question.ref.tenant, result.model_dump_json(), task_id)
    await connection.execute(update(tasks).where(tasks.c.task_id == task_id).values(result=reference))


async def _end(connection: AsyncConnection, finish: FinishInput, row: Any) -> list[AuditRecord]:
    """The result, the state, what was left open, and the events that tell it; what the audit log is to be told."""
    calls = await read_calls(connection, finish.task_id)
    result = await _result(connection, finish, row.spent_micro_usd, calls)
    records = [fix_record(finish.task_id, fix) for fix in result.fixes]
    follow_ups, created = await follow_up(connection, row, finish.state, result)
    result = result.model_copy(update={"follow_ups": follow_ups})
    reference = await put_text(connection, finish.tenant, result.model_dump_json(), finish.task_id)
    await write_outcomes(connection, row, finish.state, calls)
    await connection.execute(
        update(tasks)
        .where(tasks.c.task_id == finish.task_id)
        .values(state=finish.state.value, reason=finish.reason, result=reference)
    )
    await connection.execute(
        update(task_steps)
        .where(task_steps.c.task_id == finish.task_id, task_steps.c.state.in_(("running", "parked")))
        .values(state="cancelled", ended_at=func.now())
    )
    # Nobody waits for what was decided about them any more.
    await connection.execute(
        update(dead_letters)
        .where(dead_letters.c.task_id == finish.task_id, dead_letters.c.state == "open")
        .values(state="discarded", decided_at=func.now(), decided_by="golden", reason="the task has ended")
    )
    summary = result.consensus.summary if result.consensus else ""
    verdict = {"state": finish.state.value, "reason": finish.reason, "summary": summary}
    await append_event(connection, finish.task_id, finish.tenant, "state", {"state": finish.state.value})
    await append_event(connection, finish.task_id, finish.tenant, "verdict", verdict)
    return [*records, *created]


async def _result(
    connection: AsyncConnection, finish: FinishInput, micro_usd: int, calls: Sequence[StepCalls]
) -> TaskResult:
    candidate, report, explanation = await get_texts(
        connection, finish.tenant, finish.candidate, finish.report, finish.explanation
    )
    run = SandboxRun.model_validate_json(report) if report is not None else None
    return TaskResult(
        task_id=finish.task_id,
        state=finish.state,
        reason=finish.reason,
        files=read_candidate(candidate) if candidate is not None else {},
        tests=run.tests if run else (),
        findings=run.findings if run else (),
        fixes=await fix_views(connection, finish.tenant, finish.fixes),
        consensus=Explanation.model_validate_json(explanation) if explanation is not None else None,
        # The version that each role was asked with.
        prompts={each.role: each.version for each in calls},
        tokens=_by_role(calls),
        micro_usd=micro_usd if all(each.priced for each in calls) else None,
        isolation=run.isolation if run else None,
    )


def _by_role(calls: Sequence[StepCalls]) -> dict[str, RoleTokens]:
    tokens: dict[str, RoleTokens] = {}
    for each in calls:
        before = tokens.get(each.role, RoleTokens(input=0, output=0))
        tokens[each.role] = RoleTokens(input=before.input + each.input, output=before.output + each.output)
    return tokens
