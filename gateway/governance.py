"""`/v1/governance`: the limits of learning and where each role stands in them, and what learning came to."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime
from sqlalchemy import DateTime, bindparam, select, text
from starlette.responses import Response

from gateway.operations import answer
from gateway.services import Call, way_in
from schema.messages.base import Message
from schema.messages.learning import UpdateState
from schema.messages.steps import Role
from schema.tables import learning_updates as updates

MOST_QUEUED = 200
_TIMES = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 12, 31, tzinfo=UTC)


def _sensible(moment: datetime) -> datetime:
    if not _TIMES[0] <= moment <= _TIMES[1]:
        raise ValueError("must be a time between the years 2000 and 2999")
    return moment


class GovernanceQuery(Message):
    """`at` asks what would be allowed then; without it, now."""

    at: Annotated[AwareDatetime, AfterValidator(_sensible)] | None = None


class RoleStanding(Message):
    """A role within its limits.

    Attributes:
        used_today: updates in the 24 hours before; `next_allowed_at`, none where the limits never allow one.
        reasons: why none is allowed.
        pending, waiting: proposals for people to decide on, and those that wait for the limits.
        canary_share: percent of the new tasks that a new version is tried on.
    """

    tenant: str
    role: Role
    max_per_day: int
    cooldown_hours: int
    approval: Literal["human", "automatic"]
    quorum: int
    used_today: int
    allowed: bool
    reasons: tuple[str, ...]
    next_allowed_at: datetime | None
    pending: int
    waiting: int
    active_version: UUID | None
    canary_version: UUID | None
    canary_share: int


class QueuedUpdate(Message):
    """A proposal that waits: for the limits, or for people."""

    id: UUID
    role: str
    state: UpdateState
    proposer: str
    proposed_at: datetime
    not_before: datetime | None
    waits_for: str | None
    expires_at: datetime | None
    escalated_at: datetime | None


class GovernanceStatus(Message):
    """Every role at a time, and what waits, oldest first."""

    at: datetime
    items: tuple[RoleStanding, ...]
    queue: tuple[QueuedUpdate, ...]


class RoleStats(Message):
    """What became of the proposals for a role. `lift` is how much better those adopted were, of 1, in the mean."""

    tenant: str
    role: Role
    proposed: int
    evaluated: int
    approved: int
    rejected: int
    expired: int
    rolled_back: int
    adopted: int
    lift: float | None


class StatsPage(Message):
    """Each role for which something was proposed."""

    items: tuple[RoleStats, ...]
    next_cursor: None = None


_MOMENT = bindparam("moment", type_=DateTime(timezone=True))
_STATUS = text("""
    SELECT s.tenant, s.role, s.max_per_day, s.cooldown_hours, s.approval, s.quorum, s.pending, s.waiting,
           s.active_version, s.canary_version, s.canary_share,
           slot.used AS used_today, slot.allowed, slot.reasons, slot.next_allowed_at
      FROM governance_status s, LATERAL can_auto_update_prompt(s.role, coalesce(:moment, now()), s.tenant) slot
     WHERE s.tenant = :tenant ORDER BY s.role
""").bindparams(_MOMENT)
_STATS = text("SELECT * FROM learning_stats WHERE tenant = :tenant ORDER BY role")
_QUEUE = [updates.c[name] for name in QueuedUpdate.model_fields]


async def show_governance(call: Call) -> Response:
    """The limits, what is used of them, what is allowed next, and what waits."""
    at = call.query(GovernanceQuery).at
    waiting = (updates.c.tenant == call.tenant, updates.c.kind == "prompt", updates.c.state.in_(["waiting", "pending"]))
    queue = select(*_QUEUE).where(*waiting).order_by(updates.c.arrival).limit(MOST_QUEUED)
    async with way_in(call) as connection:
        rows = await connection.execute(_STATUS, {"moment": at, "tenant": call.tenant})
        items = tuple(RoleStanding(**row._mapping) for row in rows)
        queued = tuple(QueuedUpdate(**row._mapping) for row in await connection.execute(queue))
        moment = at or await connection.scalar(text("SELECT now()"))
    return answer(GovernanceStatus(at=moment, items=items, queue=queued))


async def show_learning_stats(call: Call) -> Response:
    """How many proposals there were for each role, and what became of them."""
    async with way_in(call) as connection:
        rows = await connection.execute(_STATS, {"tenant": call.tenant})
        return answer(StatsPage(items=tuple(RoleStats(**row._mapping) for row in rows)))
