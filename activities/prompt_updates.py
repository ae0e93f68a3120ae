"""Sees a proposed change of a prompt through: worded, admitted, judged, put to people, ended. The row says how far."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from activities.accounts import lock_account
from activities.ledger import expire_calls
from activities.update_rows import ACTOR, admit, approve, lock_role, read_row, reject, standing_of
from schema.audit import AuditRecord, append
from schema.guidelines import is_conditional
from schema.learning_settings import LearningSettings
from schema.messages.learning import EvaluationReport, LearningApprovalInput, PromptEvidence, UpdateStanding
from schema.messages.prompt_updates import WordUpdateInput
from schema.messages.task import TaskState
from schema.prompts import read_guidelines
from schema.proposals import set_guideline
from schema.story import move
from schema.tables import learning_updates, task_steps, tasks
from schema.texts import get_text

if TYPE_CHECKING:
    from activities.accounts import Accounts
    from schema.database import Database

EXPIRED = "nobody decided in time"
NOT_EVALUATED = "it could not be evaluated"
ELSEWHERE = ("GL001", "GL004")
"""Somebody took the slot, or changed the prompt: it stands in line again."""

Check = Callable[["Database", str, str, str, Sequence[UUID]], Awaitable[list[str]]]
"""What is wrong with a guideline for a role of a tenant, given the tasks whose text it may not repeat."""

log = structlog.get_logger()


class PromptUpdateActivities:
    """The rows of proposed prompts, as `LearningApproval` reads and moves them. Each may be repeated."""

    def __init__(self, accounts: "Accounts", settings: LearningSettings, check: Check) -> None:
        self._accounts = accounts
        self._database = accounts.database
        self._settings = settings
        self._check = check

    @activity.defn(name="look_update")
    async def look_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Where it stands. What waits for people is ended when their time is over, and stands in line again where the
        prompt was changed meanwhile.

        Raises:
            UpdateGone: the tenant has no such proposal.
        """
        async with self._database.tenant(wanted.tenant) as connection:
            row = await read_row(connection, wanted)
            if row.state == "pending" and float(row.left or 0) <= 0:
                await _expire(connection, row)
            elif row.state == "pending" and row.parent_version != row.active:
                await admit(connection, row)
            return await self._standing(connection, wanted)

    @activity.defn(name="word_update")
    async def word_update(self, wanted: WordUpdateInput) -> UpdateStanding:
        """Take a wording that is in order; after the last that isn't, the proposal is rejected with its faults."""
        mine = LearningApprovalInput(update_id=wanted.update_id, tenant=wanted.tenant)
        guideline, faults = await self._judge_wording(wanted)
        async with self._database.tenant(wanted.tenant) as connection:
            row = await read_row(connection, mine)
            standing = standing_of(row, self._settings)
            if row.state == "proposed" and not standing.worded:
                if not faults:
                    named = {"update_id": row.id, "tenant": row.tenant, "role": row.role, "parent": row.parent_version}
                    await set_guideline(connection, guideline=guideline, **named)
                elif wanted.last:
                    await reject(connection, row, f"no wording would do: {'; '.join(faults)}")
            return await self._standing(connection, mine)

    @activity.defn(name="admit_update")
    async def admit_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Have it evaluated if the limits of its role allow a change now; else it waits, and says for what."""
        async with self._database.tenant(wanted.tenant) as connection:
            await admit(connection, await read_row(connection, wanted))
            return await self._standing(connection, wanted)

    @activity.defn(name="judge_update")
    async def judge_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Do what its evaluation says: reject the worse, approve the better where no person is asked, else ask."""
        async with self._database.tenant(wanted.tenant) as connection:
            row = await read_row(connection, wanted)
            await lock_role(connection, row)
            row = await read_row(connection, wanted)
            if row.state == "evaluating":
                await self._judge(connection, row)
            standing = await self._standing(connection, wanted)
        if standing.state == "pending":
            log.warning("approval is wanted", update_id=str(wanted.update_id), tenant=wanted.tenant, role=standing.role)
        return standing

    @activity.defn(name="escalate_update")
    async def escalate_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Say that a decision is overdue, once: in the row, in the audit log and as an error."""
        async with self._database.tenant(wanted.tenant) as connection:
            row = await read_row(connection, wanted)
            open_ = (learning_updates.c.state == "pending", learning_updates.c.escalated_at.is_(None))
            if await _write(connection, row, *open_, escalated_at=func.now()):
                await _audit(connection, row, "learning.escalate", "overdue", "nobody has decided yet")
                log.error("approval is overdue", update_id=str(row.id), tenant=row.tenant, role=row.role)
            return await self._standing(connection, wanted)

    @activity.defn(name="close_update")
    async def close_update(self, wanted: LearningApprovalInput) -> None:
        """Nobody works on it any more: what its own task holds goes back, and what is settled ends that task."""
        async with self._database.tenant(wanted.tenant) as connection:
            row = await read_row(connection, wanted)
            await lock_account(connection, wanted.tenant)
            state = await connection.scalar(select(tasks.c.state).where(tasks.c.task_id == row.id).with_for_update())
            if state is None or TaskState(state).final:
                return
            await expire_calls(connection, wanted.tenant, row.id)
            await self._accounts.give_back(connection, row.id)
            if row.settled_at is not None:
                await _end_steps(connection, row.id)
                ended = TaskState.ACCEPTED if row.state == "adopted" else TaskState.REJECTED
                await move(connection, row.id, wanted.tenant, ended, f"the proposal is {row.state}")

    async def _standing(self, connection: AsyncConnection, wanted: LearningApprovalInput) -> UpdateStanding:
        return standing_of(await read_row(connection, wanted), self._settings)

    async def _judge_wording(self, wanted: WordUpdateInput) -> tuple[str, list[str]]:
        """The guideline that was answered, and what is wrong with it."""
        if wanted.response is None:
            return "", [wanted.fault]
        async with self._database.tenant(wanted.tenant) as connection:
            guideline = str(json.loads(await get_text(connection, wanted.tenant, wanted.response))["guideline"])
            found = await connection.execute(
                select(learning_updates.c.role, learning_updates.c.evidence).where(
                    learning_updates.c.id == wanted.update_id, learning_updates.c.tenant == wanted.tenant
                )
            )
            role, evidence = found.one()
        patterns = [PromptEvidence.model_validate(each).pattern for each in evidence]
        behind = [task_id for pattern in patterns if pattern is not None for task_id in pattern.task_ids]
        return guideline, await self._check(self._database, wanted.tenant, role, guideline, behind)

    async def _judge(self, connection: AsyncConnection, row: Row[Any]) -> None:
        if row.parent_version != row.active:
            await admit(connection, row)
            return
        told = row.evaluation or _unclear(self._settings).model_dump(mode="json")
        report = EvaluationReport.model_validate(told)
        if report.verdict == "worse":
            await reject(connection, row, f"worse: {report.why}")
            return
        await _write(
            connection,
            row,
            state="pending",
            evaluation=told,
            expires_at=func.now() + func.make_interval(0, 0, 0, 0, self._settings.approval_hours),
            escalated_at=None,
        )
        if report.verdict == "better" and await _is_automatic(connection, row):
            tried = await _is_tried(connection, row)
            if tried or await approve(connection, row, f"better: {report.why}") in ELSEWHERE:
                await admit(connection, row)


def _unclear(settings: LearningSettings) -> EvaluationReport:
    """Of an evaluation that came to no end: a person decides."""
    numbers = dict.fromkeys(("pairs", "tasks", "better", "worse", "old", "new"), 0)
    return EvaluationReport(
        **numbers,
        p_value=1.0,
        difference=0.0,
        interval=(-1.0, 1.0),
        margin=settings.evaluation_margin,
        verdict="unclear",
        why=NOT_EVALUATED,
    )


async def _is_automatic(connection: AsyncConnection, row: Row[Any]) -> bool:
    """Whether no person is asked about what is better.

    What holds in some cases only may do harm in one that no past task had: a person reads it.
    """
    new = [] if row.new_guideline is None else [row.new_guideline]
    if any(is_conditional(each.text) for each in await read_guidelines(connection, new)):
        return False
    limit = text("SELECT held.approval = 'automatic' AND held.quorum = 1 FROM prompt_limit(:role, :tenant) AS held")
    return bool(await connection.scalar(limit, {"role": row.role, "tenant": row.tenant}))


async def _is_tried(connection: AsyncConnection, row: Row[Any]) -> bool:
    """Whether another version is on trial, whose place only a person gives to this one."""
    tried = text("SELECT canary IS NOT NULL FROM prompt_pointers WHERE tenant = :tenant AND role = :role")
    return bool(await connection.scalar(tried, {"role": row.role, "tenant": row.tenant}))


async def _expire(connection: AsyncConnection, row: Row[Any]) -> None:
    over = (learning_updates.c.state == "pending", learning_updates.c.expires_at <= func.now())
    if await _write(connection, row, *over, state="expired", reason=EXPIRED, settled_at=func.now()):
        await _audit(connection, row, "learning.settle", "expired", EXPIRED)


async def _write(connection: AsyncConnection, row: Row[Any], *where: Any, **values: Any) -> bool:
    """False where the row is not as `where` says any more."""
    changed = update(learning_updates).where(learning_updates.c.id == row.id, *where).values(values)
    return bool((await connection.execute(changed)).rowcount)


async def _audit(connection: AsyncConnection, row: Row[Any], action: str, outcome: str, reason: str) -> None:
    told = AuditRecord(
        actor=ACTOR, action=action, object=str(row.id), outcome=outcome, reason=reason, digest=row.digest
    )
    await append(connection, row.tenant, [told])


async def _end_steps(connection: AsyncConnection, task_id: UUID) -> None:
    open_ = (task_steps.c.task_id == task_id, task_steps.c.state.in_(("running", "parked")))
    await connection.execute(update(task_steps).where(*open_).values(state="cancelled", ended_at=func.now()))
