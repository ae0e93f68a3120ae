"""Audit records as events of the Open Cybersecurity Schema Framework: class API Activity (6003), OCSF 1.3."""

from ipaddress import ip_address
from typing import Any

from schema.audit import ListedRecord

VERSION = "1.3.0"
CATEGORY = (6, "Application Activity")
CLASS = (6003, "API Activity")

_CREATE, _READ, _UPDATE, _DELETE, _OTHER = (1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete"), (99, "Other")
_ACTIVITIES = {
    _CREATE: ("submit", "execute", "issue", "propose", "vote", "run"),
    _READ: ("list", "show", "result", "consensus", "events", "verify", "read", "export", "decode"),
    _UPDATE: ("cancel", "decide", "approve", "reject", "redrive", "discard", "rollback", "write", "top-up"),
    _DELETE: ("revoke", "delete", "erase"),
}
_BY_VERB = {verb: activity for activity, verbs in _ACTIVITIES.items() for verb in verbs}

_SUCCESS, _FAILURE = (1, "Success"), (2, "Failure")
_FAILURES = frozenset({"denied", "failed", "limit"})
_INFORMATIONAL, _LOW = (1, "Informational"), (2, "Low")

ADDRESS_ACTION = "authenticate"
"""Its object is the client's address."""


def event_of(record: ListedRecord) -> dict[str, Any]:
    """One event; what OCSF has no place for, the chain's hashes among it, is under `unmapped`."""
    failed = record.outcome in _FAILURES
    activity = _BY_VERB.get(record.action.rpartition(".")[2], _OTHER)
    severity, status = (_LOW, _FAILURE) if failed else (_INFORMATIONAL, _SUCCESS)
    event = {
        # OCSF demands one; `original_time` says where there is none.
        "time": int(record.at.timestamp() * 1000) if record.at else 0,
        "category_uid": CATEGORY[0],
        "category_name": CATEGORY[1],
        "class_uid": CLASS[0],
        "class_name": CLASS[1],
        "activity_id": activity[0],
        "activity_name": activity[1],
        "type_uid": CLASS[0] * 100 + activity[0],
        "type_name": f"{CLASS[1]}: {activity[1]}",
        "severity_id": severity[0],
        "severity": severity[1],
        "status_id": status[0],
        "status": status[1],
        "status_detail": record.reason,
        "message": _message_of(record),
        "actor": {"user": _user_of(record)},
        "api": _api_of(record),
        "src_endpoint": _source_of(record),
        "resources": [{"uid": record.object}] if record.object and record.action != ADDRESS_ACTION else None,
        "metadata": _metadata_of(record),
        "unmapped": record.model_dump(include={"outcome", "digest", "previous", "hash"}, exclude_none=True),
    }
    return {name: value for name, value in event.items() if value is not None}


def _message_of(record: ListedRecord) -> str:
    return " ".join(filter(None, (record.actor, record.action, record.object, record.outcome)))


def _user_of(record: ListedRecord) -> dict[str, Any]:
    user: dict[str, Any] = {"uid": record.actor, "name": record.actor, "org": {"uid": record.tenant}}
    return user | ({"groups": [{"name": record.role}]} if record.role else {})


def _api_of(record: ListedRecord) -> dict[str, Any]:
    api: dict[str, Any] = {"operation": record.action, "service": {"name": "golden"}}
    return api | ({"request": {"uid": record.request_id}} if record.request_id else {})


def _source_of(record: ListedRecord) -> dict[str, str]:
    """Where it came from; only failed authentications are recorded with their address."""
    if record.action != ADDRESS_ACTION or record.object is None:
        return {"svc_name": "golden"}
    try:
        return {"ip": str(ip_address(record.object))}
    except ValueError:  # an IPv6 network, or no address at all
        return {"name": record.object}


def _metadata_of(record: ListedRecord) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "version": VERSION,
        "product": {"name": "Golden", "vendor_name": "Golden"},
        "log_name": "audit",
        "event_code": record.action,
        "uid": f"{record.tenant}/{record.sequence}",
        "sequence": record.sequence,
        "tenant_uid": record.tenant,
        "original_time": record.at.isoformat() if record.at else "unreadable",
    }
    return metadata | ({"correlation_uid": record.trace_id} if record.trace_id else {})
