"""Dead letters in PostgreSQL: written by the worker, decided by the gateway, read again by the worker."""

from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from activities.ledger import expire_calls
from activities.store import has_open_letter, is_step
from schema.errors import TaskGone
from schema.messages.letters import LetterDecision, ParkInput
from schema.messages.steps import StepRef
from schema.messages.task import FINAL_STATES, TaskState
from schema.story import append_event, move
from schema.tables import dead_letters, ledger_entries, task_steps, tasks

TOPPED_UP = "top-up"


async def write_letter(connection: AsyncConnection, step: ParkInput) -> None:
    """Park a step: its letter, its state, the task's state and the events. A second call changes nothing.

    Raises:
        TaskGone: the task is unknown or final.
    """
    ref = step.ref
    # Of an attempt that was killed nobody else is left to settle the call.
    await expire_calls(connection, ref.tenant, ref.task_id, ref.step)
    state = await connection.scalar(select(tasks.c.state).where(tasks.c.task_id == ref.task_id).with_for_update())
    if state is None or TaskState(state) in FINAL_STATES:
        raise TaskGone("the task is unknown or already final")
    if not await _insert(connection, step):
        # A reset, or a vote held again, parks the same step: whoever waits now is to be told.
        await connection.execute(
            update(dead_letters).where(_letter_of(ref)).values(workflow_id=step.workflow_id, heard_at=None)
        )
        return
    if step.kind == "budget" and await _topped_up_meanwhile(connection, ref):
        return
    await connection.execute(
        update(task_steps)
        .where(is_step(ref), task_steps.c.state.in_(("running", "failed")))
        .values(state="parked", detail=step.cause, ended_at=func.now())
    )
    told = {"step": ref.step, "state": "parked", "detail": step.cause}
    await append_event(connection, ref.task_id, ref.tenant, "step", told)
    await move(connection, ref.task_id, ref.tenant, TaskState.PARKED, _reason(step))


async def _insert(connection: AsyncConnection, step: ParkInput) -> bool:
    """The letter's row; False if the step has one."""
    ref = step.ref
    written = await connection.execute(
        insert(dead_letters)
        .values(
            id=uuid7(),
            tenant=ref.tenant,
            task_id=ref.task_id,
            workflow_id=step.workflow_id,
            step=ref.step,
            epoch=ref.epoch,
            kind=step.kind,
            cause=step.cause,
            detail=step.detail or None,
            attempts=step.attempts,
            input=step.input or {},
        )
        .on_conflict_do_nothing()
        .returning(dead_letters.c.id)
    )
    return written.scalar_one_or_none() is not None


async def _topped_up_meanwhile(connection: AsyncConnection, ref: StepRef) -> bool:
    """Redrive a letter at once whose task was given more after its step began: nobody would top it up again.

    The task's lock, which is held, is that of a top-up: each either finds the letter or is found here.
    """
    began = select(task_steps.c.started_at).where(is_step(ref)).scalar_subquery()
    entry = ledger_entries.c
    actor = await connection.scalar(
        select(entry.actor)
        .where(entry.task_id == ref.task_id, entry.kind == "top_up", entry.at > began)
        .order_by(entry.id.desc())
        .limit(1)
    )
    if actor is None:
        return False
    await connection.execute(
        update(dead_letters)
        .where(_letter_of(ref))
        .values(state="redriven", decided_by=actor, decided_at=func.now(), reason=TOPPED_UP)
    )
    return True


def _reason(step: ParkInput) -> str:
    """Why the task is parked, and what lets it go on."""
    ref, detail = step.ref, f", {step.detail}" if step.detail else ""
    remedy = f"`golden dead-letters list --task {ref.task_id}`, then redrive or discard"
    if step.kind == "budget":
        remedy = f"`golden budget top-up {ref.task_id} --tokens N` lets it go on, `golden dead-letters` gives it up"
    return f"step {ref.step} is parked ({step.kind}): {step.cause}{detail}. {remedy}"


async def read_decision(connection: AsyncConnection, ref: StepRef) -> LetterDecision:
    """What was decided on a step's letter."""
    begin_in = func.extract("epoch", dead_letters.c.resume_at - func.now()).label("begin_in")
    mine = _letter_of(ref)
    # Known to its workflow from here on: Reconcile has nothing to repeat.
    await connection.execute(
        update(dead_letters)
        .where(mine, dead_letters.c.state != "open", dead_letters.c.heard_at.is_(None))
        .values(heard_at=func.now())
    )
    found = await connection.execute(
        select(dead_letters.c.state, dead_letters.c.decided_by, dead_letters.c.route, begin_in).where(mine)
    )
    row = found.one()
    return LetterDecision(
        state=row.state,
        actor=row.decided_by or "",
        route=tuple(row.route) if row.route else None,
        begin_in_seconds=max(0.0, float(row.begin_in or 0)),
    )


async def is_parked(connection: AsyncConnection, task_id: UUID) -> bool:
    """Whether a task is not final, and a letter of it is open."""
    state = await connection.scalar(select(tasks.c.state).where(tasks.c.task_id == task_id, has_open_letter(task_id)))
    return state is not None and TaskState(state) not in FINAL_STATES


def _letter_of(ref: StepRef) -> ColumnElement[bool]:
    letters = dead_letters.c
    return and_(letters.task_id == ref.task_id, letters.step == ref.step, letters.epoch == ref.epoch)
