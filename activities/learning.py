"""Sees proposed weights through: put to people, reminded of, applied when approved, ended when nobody decides."""

from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio import activity

from schema.audit import AuditRecord, append
from schema.errors import UpdateGone
from schema.messages.learning import LearningApprovalInput, UpdateStanding, WeightsDiff
from schema.messages.vote import VotePolicy
from schema.tables import learning_updates, tenant_policies
from schema.texts import canonical_json, digest_of
from schema.weights import weights_digest

if TYPE_CHECKING:
    from schema.database import Database

ACTOR = "golden"
STALE = "the weights were changed after this was proposed"
ALTERED = "the proposal is not what was approved"
EXPIRED = "nobody decided in time"

log = structlog.get_logger()


class LearningActivities:
    """The rows of proposals, as `LearningApproval` reads and moves them."""

    def __init__(self, database: "Database", default: VotePolicy, *, expires_hours: int, remind_hours: int) -> None:
        self._database = database
        self._default = default
        self._expires = func.make_interval(0, 0, 0, 0, expires_hours)
        self._remind = remind_hours * 3_600.0 if remind_hours < expires_hours else None

    @activity.defn(name="open_update")
    async def open_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Put a proposal of weights to people: it is `pending`, and its end is set, once.

        Raises:
            UpdateGone: the tenant has no such proposal.
        """
        async with self._database.tenant(wanted.tenant) as connection:
            row = await _lock(connection, wanted)
            if row.kind == "prompt":
                # Activities of its own see it through (activities/prompt_updates.py).
                return UpdateStanding(state=row.state, settled=row.settled_at is not None, kind="prompt", role=row.role)
            if row.state == "proposed":
                await connection.execute(
                    update(learning_updates)
                    .where(learning_updates.c.id == wanted.update_id)
                    .values(state="pending", expires_at=func.now() + self._expires)
                )
            return await self._standing(connection, wanted)

    @activity.defn(name="remind_update")
    async def remind_update(self, wanted: LearningApprovalInput) -> None:
        """Say once more that a decision is waited for."""
        log.warning("approval is due", update_id=str(wanted.update_id), tenant=wanted.tenant)

    @activity.defn(name="settle_update")
    async def settle_update(self, wanted: LearningApprovalInput) -> UpdateStanding:
        """Do what was decided, if anything was: apply, close, or end what nobody decided in time.

        Raises:
            UpdateGone: the tenant has no such proposal.
        """
        async with self._database.tenant(wanted.tenant) as connection:
            row = await _lock(connection, wanted)
            ended = row.settled_at is not None or row.kind == "prompt"
            act = None if ended else await self._settle(connection, row)
            standing = await self._standing(connection, wanted)
            if act is not None:
                await append(connection, wanted.tenant, [act])
            return standing

    async def _settle(self, connection: AsyncConnection, row: Row[Any]) -> AuditRecord | None:
        """The act, if there was one, as the audit log is told of it."""
        if row.state == "approved":
            reason = await self._apply(connection, row)
            state = "adopted" if reason is None else "rejected"
        elif row.state == "rejected":
            state, reason = "rejected", None
        elif row.expires_at is not None and row.overdue:
            state, reason = "expired", EXPIRED
        else:
            return None
        values: dict[str, Any] = {"state": state, "settled_at": func.now()}
        if reason is not None:
            values["reason"] = reason
        await connection.execute(update(learning_updates).where(learning_updates.c.id == row.id).values(values))
        if state == "rejected" and reason is None:
            return None
        return AuditRecord(
            actor=ACTOR, action="learning.settle", object=str(row.id), outcome=state, reason=reason, digest=row.digest
        )

    async def _apply(self, connection: AsyncConnection, row: Row[Any]) -> str | None:
        """Make the tenant's weights what was approved; else why not: they, or the proposal, are not what they were."""
        if digest_of(canonical_json(row.diff)) != row.digest:
            return ALTERED
        diff = WeightsDiff.model_validate(row.diff)
        # The row is made first, so that there is one to lock.
        made = {"tenant": row.tenant, "policy": {}, "updated_by": ACTOR}
        await connection.execute(insert(tenant_policies).values(made).on_conflict_do_nothing())
        mine = tenant_policies.c.tenant == row.tenant
        policy: dict[str, Any] = (
            await connection.execute(select(tenant_policies.c.policy).where(mine).with_for_update())
        ).scalar_one()
        current = VotePolicy.model_validate(policy).voters if "voters" in policy else self._default.voters
        if weights_digest(current) != row.parent:
            return STALE
        changed = {**policy, "voters": diff.after}
        await connection.execute(
            update(tenant_policies).where(mine).values(policy=changed, updated_by=row.decided_by, updated_at=func.now())
        )
        return None

    async def _standing(self, connection: AsyncConnection, wanted: LearningApprovalInput) -> UpdateStanding:
        row = await _lock(connection, wanted)
        remind = None
        if row.state == "pending" and self._remind is not None:
            remind = self._remind - float(row.age or 0)
        return UpdateStanding(
            state=row.state,
            settled=row.settled_at is not None,
            expires_in_seconds=max(0.0, float(row.left or 0)),
            remind_in_seconds=remind if remind is not None and remind > 0 else None,
        )


async def _lock(connection: AsyncConnection, wanted: LearningApprovalInput) -> Row[Any]:
    columns = learning_updates.c
    left = func.extract("epoch", columns.expires_at - func.now()).label("left")
    age = func.extract("epoch", func.now() - columns.proposed_at).label("age")
    overdue = (columns.expires_at <= func.now()).label("overdue")
    found = await connection.execute(
        select(learning_updates, left, age, overdue)
        .where(columns.id == wanted.update_id, columns.tenant == wanted.tenant)
        .with_for_update()
    )
    row = found.one_or_none()
    if row is None:
        raise UpdateGone("the proposal is unknown")
    return row
