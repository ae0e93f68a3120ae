"""Rows of proposed prompts: where one stands, and the database's functions that move it."""

from typing import Any

from sqlalchemy import Row, Select, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.errors import UpdateGone
from schema.learning_settings import LearningSettings
from schema.messages.learning import LearningApprovalInput, UpdateStanding
from schema.prompts import MAX_GUIDELINES
from schema.tables import learning_updates, prompt_guidelines, prompt_versions

ACTOR = "golden"
"""Who acts where no person does."""

HOUR = 3_600.0
LONGEST_SECONDS = 24 * HOUR
UNKNOWN_SECONDS = 300.0
"""Until it is looked again for what ends at no known time: a canary, or a limit that allows nothing."""

GONE = "the prompt no longer has the guideline that this would change"
SAID = "the prompt says so already"
FULL = f"the prompt has {MAX_GUIDELINES} guidelines: one has to be removed first"

_U = learning_updates.c
_UNSEALED = [column for column in _U if column.name not in ("diff", "evidence", "reason")]
_ACTIVE = func.active_prompt(_U.tenant, _U.role, type_=Uuid())


def _seconds(until: Any) -> Any:
    return func.extract("epoch", until - func.now())


_ROW: Select[Any] = select(
    *_UNSEALED,
    _ACTIVE.label("active"),
    _seconds(_U.not_before).label("waits"),
    _seconds(_U.expires_at).label("left"),
    _seconds(_U.canary_at).label("tried"),
)
_REASON = bindparam("reason", type_=_U.reason.type)
_REJECT = text("SELECT reject_prompt_update(:id, :actor, :reason)").bindparams(_REASON)
_APPROVE = text("SELECT approve_prompt_update(:id, :actor, :reason, :digest)").bindparams(_REASON)
_ADMIT = text("SELECT admit_prompt_update(:id)")
_LOCK = text("SELECT prompt_lock(:tenant, :role)")


async def read_row(connection: AsyncConnection, wanted: LearningApprovalInput) -> Row[Any]:
    """A proposal as it is now, not locked, without what is sealed; `active` is the version in force for its role.

    Raises:
        UpdateGone: the tenant has no such proposal of a prompt.
    """
    mine = (_U.id == wanted.update_id, _U.tenant == wanted.tenant, _U.kind == "prompt")
    row: Row[Any] | None = (await connection.execute(_ROW.where(*mine))).one_or_none()
    if row is None:
        raise UpdateGone("the proposal is unknown")
    return row


async def lock_role(connection: AsyncConnection, row: Row[Any]) -> None:
    """What the functions lock (`prompt_lock` in migration 0013): whoever writes the row before a call of theirs takes
    this first, as they do, so that nobody waits for the other."""
    await connection.execute(_LOCK, {"tenant": row.tenant, "role": row.role})


def standing_of(row: Row[Any], settings: LearningSettings) -> UpdateStanding:
    """Where a proposal is, and until when nothing has to be done about it."""
    waits = {"waiting": _waiting, "pending": _pending, "approved": _tried, "canary": _tried}.get(row.state)
    return UpdateStanding(
        state=row.state,
        settled=row.settled_at is not None,
        kind="prompt",
        role=row.role,
        worded=row.new_guideline is not None or row.op == "remove",
        evaluated=row.evaluation is not None,
        waits_for=row.waits_for or "",
        **(waits(row, settings) if waits is not None else {}),
    )


def _waiting(row: Row[Any], _settings: LearningSettings) -> dict[str, float | None]:
    wait = UNKNOWN_SECONDS if row.waits is None else float(row.waits)
    return {"wait_seconds": min(LONGEST_SECONDS, max(1.0, wait))}


def _pending(row: Row[Any], settings: LearningSettings) -> dict[str, float | None]:
    left = float(row.left or 0)
    age = settings.approval_hours * HOUR - left
    remind = settings.approval_reminder_hours * HOUR - age
    escalate = max(0.0, settings.approval_escalation_hours * HOUR - age)
    return {
        "expires_in_seconds": max(0.0, left),
        "remind_in_seconds": remind if 0 < remind < left else None,
        "escalate_in_seconds": escalate if row.escalated_at is None and escalate < left else None,
    }


def _tried(row: Row[Any], settings: LearningSettings) -> dict[str, float | None]:
    """Since when it is tried is negative, since it is past."""
    left = settings.canary_hours * HOUR + float(row.tried or 0)
    return {"wait_seconds": float(settings.canary_seconds), "expires_in_seconds": max(0.0, left)}


async def admit(connection: AsyncConnection, row: Row[Any]) -> None:
    """Have it evaluated on what is active now, or wait until the limits allow that; what is pointless is rejected."""
    why = await _pointless(connection, row)
    if why is not None:
        await reject(connection, row, why)
        return
    await connection.execute(_ADMIT, {"id": row.id})


async def reject(connection: AsyncConnection, row: Row[Any], reason: str) -> None:
    """Reject by itself what nobody decided on meanwhile."""
    await _try(connection, _REJECT, {"id": row.id, "actor": ACTOR, "reason": reason})


async def approve(connection: AsyncConnection, row: Row[Any], reason: str) -> str | None:
    """Approve by itself. None, or the SQLSTATE by which the database refused; then nothing was done."""
    values = {"id": row.id, "actor": ACTOR, "reason": reason, "digest": row.digest}
    return await _try(connection, _APPROVE, values)


async def _try(connection: AsyncConnection, statement: TextClause, values: dict[str, Any]) -> str | None:
    try:
        async with connection.begin_nested():
            await connection.execute(statement, values)
    except DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None) or ""
        if not code.startswith("GL"):
            raise
        return code
    return None


async def _pointless(connection: AsyncConnection, row: Row[Any]) -> str | None:
    """Why the prompt as it is now can't be changed so: what was proposed earlier may have been adopted meanwhile."""
    version = select(prompt_versions.c.guidelines).where(prompt_versions.c.id == row.active)
    present = await connection.scalar(version) or []
    if row.op != "add" and row.old_guideline not in present:
        return GONE
    if row.op == "add" and len(present) >= MAX_GUIDELINES:
        return FULL
    each = prompt_guidelines.c
    digest = select(each.digest).where(each.id == row.new_guideline).scalar_subquery()
    said = await connection.scalar(select(func.count()).where(each.id.in_(present), each.digest == digest))
    return SAID if said else None
