"""What the gateway tells the audit log: one record for each request of a principal, before it is answered.

An act tells of itself, last in its own transaction (`record_act`). Everything else is told by the guard, in groups: a
decision waits until its group is committed, and is not answered if it can't be.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import structlog
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from gateway import metrics
from gateway.authorisation import Principal
from gateway.groups import Groups
from gateway.problems import (
    AUDIT_UNAVAILABLE,
    FORBIDDEN,
    INTERNAL_ERROR,
    OVERLOADED,
    RATE_LIMITED,
    RETRY_SECONDS,
    Problem,
    is_database_failure,
    problem_of,
)
from gateway.sampler import Sampler
from gateway.services import Call
from gateway.tracing import trace_id_of
from schema.audit import PLATFORM, AuditRecord, append, payload_digest
from schema.database import Database

ALLOWED, DENIED, FAILED = "allowed", "denied", "failed"
"""Done; refused, and why; neither, through a fault of ours."""

UNAUTHENTICATED = "unauthenticated"
"""The actor where nobody knows who it was. What a bad token says of itself is no answer to that."""
AUTHENTICATE = "authenticate"
LIMITED = "limit"

FAILURES_PER_MINUTE = 60
"""How many failed authentications a gateway tells, and how many refusals of addresses; the others are counted."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

log = structlog.get_logger(__name__)


def record_of(
    request: Request,
    principal: Principal,
    *,
    action: str,
    object: str | None,
    outcome: str,
    reason: str | None = None,
    digest: str | None = None,
) -> AuditRecord:
    """The record of what a principal did with a request, for `schema.audit.append` in the act's own transaction.

    The request counts as told of from here on: the guard tells nothing more.
    """
    request.state.told = True
    return AuditRecord(
        actor=principal.sub,
        role=principal.role,
        action=action,
        object=object,
        outcome=outcome,
        reason=reason,
        request_id=request.state.request_id,
        trace_id=trace_id_of(request),
        digest=digest,
    )


async def record_act(
    connection: AsyncConnection, call: Call, *, object: str, digest: str | None = None, reason: str | None = None
) -> None:
    """Tell of an act in its own transaction. It holds the tenant's chain until that ends: the last thing in it.

    Raises:
        Problem: 503, it can't be told, and so must not happen.
    """
    record = record_of(
        call.request, call.principal, action=call.action, object=object, outcome=ALLOWED, reason=reason, digest=digest
    )
    try:
        await append(connection, call.tenant, [record])
    except DBAPIError as error:
        metrics.AUDIT_FAILURES.inc()
        raise _unavailable(error) from error
    metrics.AUDIT_RECORDS.labels(ALLOWED).inc()


class AuditLog:
    """Appends to the chains what is no act of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._groups: Groups[tuple[str, AuditRecord], None] = Groups(self._append)
        self._failures: Sampler[str] = Sampler(FAILURES_PER_MINUTE)
        # Apart, or whoever goes on after the limit would hide what others try meanwhile.
        self._barred: Sampler[str] = Sampler(FAILURES_PER_MINUTE)
        self._limited: Sampler[tuple[str, str]] = Sampler(1)

    async def tell(self, chain: str, record: AuditRecord) -> None:
        """Append a record; returns when it is committed.

        Raises:
            Problem: 503, it was not.
        """
        try:
            await self._groups.do((chain, record))
        except Exception:
            metrics.AUDIT_FAILURES.inc()
            raise

    async def tell_unknown(self, request: Request, address: str, problem: Problem) -> None:
        """Tell the platform's chain of a request by nobody knows whom, unless too many were told already."""
        limited = problem.kind is RATE_LIMITED
        missed = (self._barred if limited else self._failures).admit(UNAUTHENTICATED)
        if missed is not None:
            # How long to wait is of that moment; without it the records of one limit are alike.
            reason = problem.kind.name if limited else f"{problem.kind.name}: {problem.detail}"
            record = AuditRecord(
                actor=UNAUTHENTICATED,
                action=AUTHENTICATE,
                object=address,
                outcome=DENIED,
                reason=_with_missed(reason, missed),
                request_id=request.state.request_id,
                trace_id=trace_id_of(request),
            )
            await self.tell(PLATFORM, record)

    async def tell_limited(self, request: Request, principal: Principal, action: str) -> None:
        """Tell of a principal who was refused by their limit: once a minute, however often they ask."""
        missed = self._limited.admit((principal.tenant, principal.sub))
        request.state.told = True
        if missed is not None:
            reason = _with_missed(RATE_LIMITED.name, missed)
            record = record_of(request, principal, action=action, object=None, outcome=DENIED, reason=reason)
            await self.tell(principal.tenant, record)

    async def tell_missed(self, *, everything: bool = False) -> None:
        """Tell how many were counted only, once their minute is over."""
        for actor, missed in self._failures.overdue(everything=everything):
            record = AuditRecord(actor=actor, action=AUTHENTICATE, outcome=DENIED, reason=_with_missed("", missed))
            await self.tell(PLATFORM, record)
        for actor, missed in self._barred.overdue(everything=everything):
            reason = _with_missed(RATE_LIMITED.name, missed)
            record = AuditRecord(actor=actor, action=AUTHENTICATE, outcome=DENIED, reason=reason)
            await self.tell(PLATFORM, record)
        for (tenant, sub), missed in self._limited.overdue(everything=everything):
            record = AuditRecord(actor=sub, action=LIMITED, outcome=DENIED, reason=_with_missed("", missed))
            await self.tell(tenant, record)

    async def close(self) -> None:
        """Append what is under way."""
        await self._groups.close()

    async def _append(self, told: Sequence[tuple[str, AuditRecord]]) -> Sequence[None]:
        chains: defaultdict[str, list[AuditRecord]] = defaultdict(list)
        for chain, record in told:
            chains[chain].append(record)
        try:
            one_chain = len(chains) == 1
            async with self._database.statement() if one_chain else self._database.service() as connection:
                # In one order for all gateways, since each holds the chains that it has come to.
                for chain in sorted(chains):
                    await append(connection, chain, chains[chain])
        except DBAPIError as error:
            raise _unavailable(error) from error
        for _, record in told:
            metrics.AUDIT_RECORDS.labels(record.outcome).inc()
        return [None] * len(told)


class Witness:
    """Tells of one request of a principal, exactly once."""

    def __init__(self, audit: AuditLog, request: Request, principal: Principal, action: str) -> None:
        self.chain = principal.tenant
        """The tenant that the request is about, as soon as that is known."""
        self.body: BaseModel | None = None
        self._audit = audit
        self._request = request
        self._principal = principal
        self._action = action

    async def answered(self) -> None:
        """The request is about to be answered."""
        if not self._told:
            await self._tell(ALLOWED, None)

    async def failed(self, error: Exception) -> None:
        """The request is about to be refused."""
        problem = problem_of(error)
        if self._told or is_database_failure(error) or (problem and problem.kind in (AUDIT_UNAVAILABLE, OVERLOADED)):
            return
        if problem is None or problem.kind.status >= INTERNAL_ERROR.status:
            await self._tell(FAILED, (problem.kind if problem else INTERNAL_ERROR).name)
        elif problem.kind is RATE_LIMITED:
            await self._audit.tell_limited(self._request, self._principal, self._action)
        else:
            await self._tell(DENIED, _reason_of(problem))

    @property
    def _told(self) -> bool:
        return getattr(self._request.state, "told", False)

    async def _tell(self, outcome: str, reason: str | None) -> None:
        record = record_of(
            self._request,
            self._principal,
            action=self._action,
            object=_object_of(self._request.path_params),
            outcome=outcome,
            reason=reason,
            digest=payload_digest(self.body.model_dump(mode="json", exclude_unset=True)) if self.body else None,
        )
        await self._audit.tell(self.chain, record)


def _object_of(path_params: Mapping[str, str]) -> str | None:
    """The id that the path names. What is no id was typed by a client, and is not kept."""
    return next((value.lower() for value in path_params.values() if _ID.fullmatch(value)), None)


def _reason_of(problem: Problem) -> str:
    # The details of other refusals may quote what a client wrote.
    return f"{problem.kind.name}: {problem.detail}" if problem.kind is FORBIDDEN else problem.kind.name


def _with_missed(reason: str, missed: int) -> str:
    more = f"{missed} more were not recorded one by one" if missed else ""
    return "; ".join(filter(None, (reason, more)))


def _unavailable(error: DBAPIError) -> Exception:
    if is_database_failure(error):
        return error
    log.error("audit record refused", error=type(error.orig).__name__)
    return Problem(AUDIT_UNAVAILABLE, "nothing was done: try again", headers={"Retry-After": str(RETRY_SECONDS)})
