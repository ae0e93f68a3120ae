"""What the gateway tells the audit log of a request."""

from starlette.requests import Request

from gateway.authorisation import Principal
from schema.audit import AuditRecord


def record_of(
    request: Request,
    principal: Principal,
    *,
    action: str,
    object: str,
    outcome: str,
    reason: str | None = None,
    digest: str | None = None,
) -> AuditRecord:
    """The record of what a principal did with a request, for `schema.audit.append` in the act's own transaction."""
    return AuditRecord(
        actor=principal.sub,
        role=principal.role,
        action=action,
        object=object,
        outcome=outcome,
        reason=reason,
        request_id=request.state.request_id,
        digest=digest,
    )
