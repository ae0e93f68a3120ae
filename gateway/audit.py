"""What the gateway tells the audit log of a request."""

from gateway.services import Call
from schema.audit import AuditRecord


def record_of(
    call: Call, *, action: str, object: str, outcome: str, reason: str | None = None, digest: str | None = None
) -> AuditRecord:
    """The record of what a principal did with a request, for `schema.audit.append` in the act's own transaction."""
    return AuditRecord(
        actor=call.principal.sub,
        role=call.principal.role,
        action=action,
        object=object,
        outcome=outcome,
        reason=reason,
        request_id=call.request.state.request_id,
        digest=digest,
    )
