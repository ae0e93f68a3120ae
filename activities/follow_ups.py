"""Findings that stayed, as tasks: suggested, or created out of what their parent left of its budget.

A created one is a row like any that was submitted; Reconcile starts it.
"""

from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from schema.audit import AuditRecord
from schema.database import started_at
from schema.messages.sandbox import Finding
from schema.messages.task import AutoFix, FollowUp, TaskResult, TaskSpec, TaskState
from schema.tables import task_events, tasks
from schema.texts import canonical_json, get_text, put_text

MAX_FOLLOW_UPS = 20
MAX_CREATED = 3
SMALLEST_BUDGET = 1_000
"""Tokens that a task needs at least."""
CREATED = "task.follow_up"
OWNERS = "a secret has to be withdrawn by whoever owns it"
NOT_GRAVE = "graver findings come first, or it is of low severity"


async def follow_up(
    connection: AsyncConnection, row: Any, state: TaskState, result: TaskResult
) -> tuple[tuple[FollowUp, ...], list[AuditRecord]]:
    """What becomes of the findings that a task leaves, in the transaction that ends it.

    Args:
        row: the parent's row, as it is after the last charge.
    """
    left = [finding for finding in result.findings if finding.guard != "tests"][:MAX_FOLLOW_UPS]
    if not left or not result.files or state is TaskState.CANCELLED:
        return (), []
    spec = await _spec(connection, row)
    if spec is None or spec.auto_fix.follow_up == "off":
        return (), []
    wanted = [finding for finding in left if finding.severity != "low" and finding.guard != "secrets"][:MAX_CREATED]
    tokens = row.budget_tokens - row.spent_tokens
    if spec.auto_fix.follow_up == "suggest":
        return tuple(FollowUp(title=title_of(finding), finding=finding) for finding in left), []
    reason = _why_not(row, state, tokens)
    wanted = [] if reason else wanted[: tokens // SMALLEST_BUDGET]
    follow_ups, records = [], []
    for finding in left:
        told = FollowUp(title=title_of(finding), finding=finding, reason=reason or _of_its_own(finding))
        if finding in wanted:
            task = task_of(spec, finding, result.files, tokens // len(wanted))
            if task is None:
                told = told.model_copy(update={"reason": "the candidate's files are none that a task may have"})
            else:
                task_id, record = await _create(connection, row, task, finding)
                told = told.model_copy(update={"task_id": task_id, "reason": ""})
                records.append(record)
        follow_ups.append(told)
    return tuple(follow_ups), records


def _why_not(row: Any, state: TaskState, tokens: int) -> str:
    """Why nothing is created; empty where something is."""
    if state is not TaskState.ACCEPTED:
        return "the task was not accepted"
    if row.parent is not None:
        return "the task is a follow-up itself"
    if tokens < SMALLEST_BUDGET:
        return f"the task left {max(0, tokens):,} tokens, and {SMALLEST_BUDGET:,} are needed"
    return ""


def _of_its_own(finding: Finding) -> str:
    return OWNERS if finding.guard == "secrets" else NOT_GRAVE


def title_of(finding: Finding) -> str:
    """What the follow-up is about, in a line."""
    where = f" in {finding.file}" if finding.file else ""
    at = f", line {finding.line}" if finding.file and finding.line else ""
    return f"Follow-up: {finding.guard} {finding.rule}{where}{at}"[:200].strip()


def task_of(parent: TaskSpec, finding: Finding, files: dict[str, str], budget_tokens: int) -> TaskSpec | None:
    """The task to mend one finding in what the parent came to; None where its files are none that a task may have."""
    where = f"{finding.file}:{finding.line}" if finding.line else finding.file or "the whole candidate"
    instructions = (
        f"A guard found something in the files of an accepted task. Mend it, and change nothing else that they do.\n\n"
        f"Guard: {finding.guard}\nRule: {finding.rule}\nSeverity: {finding.severity}\nWhere: {where}\n"
        f"What: {finding.message}\n\nThe files were written for this task:\n\n{parent.instructions[:15_000]}"
    )
    changed = {
        "title": title_of(finding),
        "instructions": instructions,
        "files": files,
        "budget_tokens": budget_tokens,
        "auto_fix": AutoFix(tools=parent.auto_fix.tools, model=parent.auto_fix.model, follow_up="off"),
    }
    values = {name: getattr(parent, name) for name in TaskSpec.model_fields} | changed
    try:
        return TaskSpec.model_validate(values)
    except ValidationError:
        return None


async def _spec(connection: AsyncConnection, row: Any) -> TaskSpec | None:
    """What was submitted; None of a vote by itself, which nobody developed."""
    if row.kind != "task":
        return None
    return TaskSpec.model_validate_json(await get_text(connection, row.tenant, row.spec))


async def _create(
    connection: AsyncConnection, parent: Any, spec: TaskSpec, finding: Finding
) -> tuple[UUID, AuditRecord]:
    """The rows of a task that is accepted, as of one that a client submits."""
    task_id = uuid7()
    reference = await put_text(connection, parent.tenant, canonical_json(spec.model_dump(mode="json")))
    await connection.execute(
        insert(tasks).values(
            task_id=task_id,
            tenant=parent.tenant,
            title=spec.title,
            spec=reference,
            submitted_by=parent.submitted_by,
            budget_tokens=spec.budget_tokens,
            event_sequence=1,
            parent=parent.task_id,
        )
    )
    data = {"at": started_at(connection).isoformat(), "state": TaskState.SUBMITTED.value}
    event = {"task_id": task_id, "sequence": 1, "tenant": parent.tenant, "event": "state", "data": data}
    await connection.execute(insert(task_events).values(event))
    record = AuditRecord(
        actor="golden",
        action=CREATED,
        object=str(task_id),
        outcome="created",
        reason=f"for {finding.id}, out of what task {parent.task_id} left of its budget",
        digest=reference,
    )
    return task_id, record
