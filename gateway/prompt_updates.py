"""Calls of the functions that hold the rules of learning, and what their refusals mean to a client."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Text, Uuid, bindparam, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.authorisation import Principal
from gateway.problems import APPROVAL_DECIDED, DIGEST_CHANGED, FORBIDDEN, LEARNING_NOT_ALLOWED, Problem
from schema.messages.learning import PromptDiff
from schema.prompts import update_digest
from schema.tables import learning_updates as updates

NOT_ALLOWED_NOW, NOT_PENDING, OWN_PROPOSAL, OTHER_DIGEST, NO_SUCH_VERSION = (
    "GL001",
    "GL002",
    "GL003",
    "GL004",
    "GL005",
)
"""The SQLSTATEs of migration 0013."""

OUR_NAMES = frozenset({"golden", "supervisor", "release"})
"""Who acts where no person does. Whoever bears such a name would be taken for one of them."""

LOOK_AGAIN = "look at the proposal again, and send the digest that is shown there"


class Refused(Exception):
    """A function refused, in its own savepoint: the transaction goes on."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__(str(error))
        diagnostics: Any = getattr(error.orig, "diag", None)
        self.code: str = getattr(diagnostics, "sqlstate", None) or ""
        self.told: str = getattr(diagnostics, "message_primary", None) or ""
        self.detail: str = getattr(diagnostics, "message_detail", None) or ""


class PromptChanged(Problem):
    """What was shown is not what is there any more, through no fault of who looked: it has to be evaluated anew."""


_ID, _ACTOR, _DIGEST = (
    bindparam("update_id", type_=Uuid()),
    bindparam("actor", type_=Text()),
    bindparam("digest", type_=Text()),
)
_REASON = bindparam("reason", type_=updates.c.reason.type)
_APPROVE = select(func.approve_prompt_update(_ID, _ACTOR, _REASON, _DIGEST))
_REJECT = select(func.reject_prompt_update(_ID, _ACTOR, _REASON))


def require_person(principal: Principal) -> None:
    """403 for whoever bears the name of what acts by itself."""
    if principal.sub in OUR_NAMES:
        raise Problem(FORBIDDEN, f"{principal.sub} is the name of what acts by itself: use a person's")


def require_shown(row: Row[Any], digest: str) -> None:
    """409 where what was shown, what is sealed in the row and what would be put in force are not one and the same."""
    diff = PromptDiff.model_validate(row.diff)
    told = update_digest(row.tenant, row.role, diff.op, diff.before, diff.after, row.parent_version)
    if not digest == row.digest == told:
        raise Problem(DIGEST_CHANGED, LOOK_AGAIN)


async def approve_update(connection: AsyncConnection, row: Row[Any], actor: str, reason: str, digest: str) -> None:
    """Approve what was shown. The function takes the role's lock first: nothing may have locked the row before.

    Raises:
        Refused: by the state of the proposal.
        Problem: 409 or 403, by the other rules.
    """
    require_shown(row, digest)
    values = {"update_id": row.id, "actor": actor, "reason": reason, "digest": digest}
    await call_function(connection, _APPROVE, values)


async def reject_update(connection: AsyncConnection, row: Row[Any], actor: str, reason: str, digest: str) -> None:
    """Reject what was shown, in any state before a decision.

    Raises:
        Refused: by the state of the proposal.
        Problem: 409, it is another proposal than was shown.
    """
    if row.digest != digest:
        raise Problem(DIGEST_CHANGED, LOOK_AGAIN)
    await call_function(connection, _REJECT, {"update_id": row.id, "actor": actor, "reason": reason})
    # Only now is the row locked.
    if await connection.scalar(select(updates.c.digest).where(updates.c.id == row.id)) != digest:
        raise Problem(DIGEST_CHANGED, LOOK_AGAIN)


async def call_function(connection: AsyncConnection, statement: Any, values: Mapping[str, Any]) -> Any:
    """What a function answers.

    Raises:
        Refused: GL002 or GL005, which mean something else for each function.
        Problem: 409 or 403, what the others mean.
    """
    try:
        async with connection.begin_nested():
            return await connection.scalar(statement, dict(values))
    except DBAPIError as error:
        refused = Refused(error)
        if refused.code in (NOT_PENDING, NO_SUCH_VERSION):
            raise refused from error
        problem = _problem_of(refused)
        if problem is None:
            raise
        raise problem from error


def decided(row: Row[Any]) -> Problem:
    """409: a proposal is not pending, and says what it is instead."""
    if row.state == "pending" and row.overdue:
        return Problem(APPROVAL_DECIDED, "the proposal has expired", state="expired")
    who = f" by {row.decided_by}" if row.decided_by else ""
    return Problem(APPROVAL_DECIDED, f"the proposal is {row.state}{who}", state=row.state)


def _problem_of(refused: Refused) -> Problem | None:
    if refused.code == OWN_PROPOSAL:
        return Problem(FORBIDDEN, "nobody decides on what they submitted themselves")
    if refused.code == OTHER_DIGEST:
        return PromptChanged(DIGEST_CHANGED, f"{refused.told}: look again when it is pending again")
    if refused.code != NOT_ALLOWED_NOW:
        return None
    if not refused.detail:
        remedy = "it waits for as long as the role's limits are what they are"
        return Problem(LEARNING_NOT_ALLOWED, f"{refused.told}: {remedy}")
    moment = datetime.fromisoformat(refused.detail)
    seconds = max(1, math.ceil((moment - datetime.now(UTC)).total_seconds()))
    return Problem(
        LEARNING_NOT_ALLOWED,
        f"{refused.told}: it can be approved from {refused.detail} on",
        headers={"Retry-After": str(seconds)},
        next_allowed_at=moment,
    )
