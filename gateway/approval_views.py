"""What is told of a proposed change: its row, how many approved it, and what would follow on yes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, case, func, select, text, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.canary import read_trial
from schema.messages.base import Message, TextRef
from schema.messages.learning import UpdateKind, UpdateState
from schema.tables import learning_updates as updates
from schema.tables import prompt_approvals
from schema.tables import prompt_moves as moves

UNDECIDED = frozenset({"proposed", "waiting", "evaluating", "pending"})
WEIGHTS_ON_YES = "votes that begin after it count with the new weights"

_STANDINGS = text("SELECT * FROM governance_status WHERE tenant = :tenant")


class Arm(Message):
    """Tasks of a trial that have ended, and those of them to which the role did harm."""

    done: int
    failed: int


class CanaryNumbers(Message):
    """A trial under way: the tasks of the new version, on its share of the new tasks, and those of the old one."""

    share: int
    new: Arm
    old: Arm


class ApprovalView(Message):
    """A proposed change.

    Attributes:
        role: whose work it changes; `voters` for the weights of all who vote.
        diff: what it changes, as its kind has it; `digest` names exactly this.
        evidence: what it was worked out from.
        evaluation: how the change did on past tasks beside what is active; none before that was tried.
        expires_at: without a decision it ends then.
        parent_version: the version of the prompt that it changes; `version`, the one that an approval made.
        not_before: of one that waits, when the limits allow it at the earliest; `waits_for` says what for.
        escalated_at: since when it is overdue.
        approvals: of exactly this digest, so far; `quorum` are needed.
        canary: what a trial under way has come to.
        on_yes: what happens when it is approved; none once it is decided.
        ended: why its trial ended, or that it was rolled back by hand later.
    """

    id: UUID
    tenant: str
    kind: UpdateKind
    role: str
    state: UpdateState
    diff: dict[str, Any]
    evidence: list[Any]
    evaluation: dict[str, Any] | None
    proposer: str
    digest: TextRef
    proposed_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    parent_version: UUID | None = None
    version: UUID | None = None
    not_before: datetime | None = None
    waits_for: str | None = None
    escalated_at: datetime | None = None
    canary_at: datetime | None = None
    approvals: int = 0
    quorum: int = 1
    canary: CanaryNumbers | None = None
    on_yes: str | None = None
    ended: str | None = None


_WORKED_OUT = {"approvals", "quorum", "canary", "on_yes"}


def select_updates() -> Select[Any]:
    """The rows of proposals, with how many approved each and whether it has expired."""
    said = (prompt_approvals.c.update_id == updates.c.id, prompt_approvals.c.digest == updates.c.digest)
    counted = select(func.count()).select_from(prompt_approvals).where(*said)
    overdue = (updates.c.expires_at <= func.now()).label("overdue")
    last = select(moves.c.reason).where(moves.c.update_id == updates.c.id, moves.c.kind.in_(("adopted", "rolled_back")))
    trial = last.order_by(moves.c.id.desc()).limit(1).scalar_subquery()
    by_hand = and_(updates.c.state == "rolled_back", updates.c.version.in_(_once_adopted()))
    told = case((by_hand, "rolled back by hand after it was adopted"), else_=trial)
    ended = type_coerce(told, moves.c.reason.type).label("ended")
    return select(updates, overdue, counted.scalar_subquery().label("approvals"), ended)


def _once_adopted() -> Select[Any]:
    return select(moves.c.to_version).where(moves.c.kind == "adopted")


async def views_of(connection: AsyncConnection, tenant: str, rows: Sequence[Row[Any]]) -> tuple[ApprovalView, ...]:
    """The views of rows of `select_updates`."""
    standings: dict[str, Row[Any]] = {}
    if any(row.kind == "prompt" for row in rows):
        standings = {each.role: each for each in await connection.execute(_STANDINGS, {"tenant": tenant})}
    trials = {row.id: await _canary(connection, row) for row in rows if row.state in ("approved", "canary")}
    return tuple(_view(row, standings, trials.get(row.id)) for row in rows)


def shortened(view: ApprovalView) -> ApprovalView:
    """As a list has it: without each pair of the evaluation, which one proposal by itself shows."""
    told = {name: value for name, value in (view.evaluation or {}).items() if name != "runs"}
    if told.get("rule"):
        told["rule"] = {name: value for name, value in told["rule"].items() if name != "runs"}
    return view.model_copy(update={"evaluation": told or None})


async def read_view(connection: AsyncConnection, tenant: str, update_id: UUID) -> ApprovalView:
    """The view of a proposal that is there."""
    row = (await connection.execute(select_updates().where(updates.c.id == update_id))).one()
    (view,) = await views_of(connection, tenant, [row])
    return view


async def _canary(connection: AsyncConnection, row: Row[Any]) -> CanaryNumbers | None:
    trial = await read_trial(connection, row) if row.kind == "prompt" else None
    if trial is None:
        return None
    seen = trial.seen
    new, old = (seen.canary_done, seen.canary_failed), (seen.parent_done, seen.parent_failed)
    arms = [Arm(done=done, failed=failed) for done, failed in (new, old)]
    return CanaryNumbers(share=trial.share, new=arms[0], old=arms[1])


def _view(row: Row[Any], standings: Mapping[str, Row[Any]], canary: CanaryNumbers | None) -> ApprovalView:
    told = {name: row._mapping[name] for name in ApprovalView.model_fields if name not in _WORKED_OUT}
    evidence = told["evidence"]
    told["evidence"] = evidence if isinstance(evidence, list) else [evidence]
    standing = standings.get(row.role)
    if standing is None:
        on_yes = WEIGHTS_ON_YES if row.state == "pending" else None
        return ApprovalView(**told, on_yes=on_yes)
    on_yes = _on_yes(row, standing) if row.state in UNDECIDED else None
    return ApprovalView(**told, approvals=row.approvals, quorum=standing.quorum, canary=canary, on_yes=on_yes)


def _on_yes(row: Row[Any], standing: Row[Any]) -> str:
    """What an approval would do now, in a sentence."""
    if row.state != "pending":
        return f"nothing yet: it is {row.state}, and only what is pending is approved"
    if row.parent_version != standing.active_version:
        return "nothing yet: the prompt was changed since, and this is evaluated anew first"
    if not standing.allowed:
        when = f"{standing.next_allowed_at:%Y-%m-%d %H:%M} UTC" if standing.next_allowed_at else "the limits change"
        return f"a yes is refused until {when}: {'; '.join(standing.reasons)}"
    if row.approvals + 1 < standing.quorum:
        return f"it is approval {row.approvals + 1} of the {standing.quorum} that are needed"
    ends = "it ends the trial that is under way; " if standing.canary_version else ""
    return (
        f"{ends}{standing.canary_share} % of the new tasks get the new version and are compared with the others: "
        "without harm it is adopted, with harm rolled back by itself. "
        f"It is update {standing.used_today + 1} of {standing.max_per_day} in 24 hours; "
        f"the next is allowed {standing.cooldown_hours} hours later."
    )
