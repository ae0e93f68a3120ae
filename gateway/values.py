"""Small values out of headers and paths, each checked before it is used."""

import re
from uuid import UUID

from starlette.datastructures import Headers
from uuid_utils.compat import uuid7

from gateway.problems import invalid, not_found

MAX_SEQUENCE = 2**31 - 1

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACE_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_BEARER = re.compile(r"bearer +([^ ]+)", re.IGNORECASE)


def read_id(unverified_id: str, what: str) -> UUID:
    """An id out of a path; what can't be one names nothing: 404."""
    if not _UUID.fullmatch(unverified_id):
        raise not_found(what)
    return UUID(unverified_id)


def read_task_id(unverified_id: str) -> UUID:
    """The id of a task; what can't be one names nothing: 404."""
    return read_id(unverified_id, "task")


def read_request_id(headers: Headers) -> str:
    """The client's `X-Request-Id` where it is a sensible one, else a new one."""
    unverified_id = headers.get("x-request-id", "")
    return unverified_id if _REQUEST_ID.fullmatch(unverified_id) else str(uuid7())


def read_trace_id(headers: Headers) -> str | None:
    """The trace id of a valid W3C `traceparent`."""
    values = headers.getlist("traceparent")
    match = _TRACE_PARENT.fullmatch(values[0]) if len(values) == 1 else None
    # The first version has nothing after its four fields; later ones may.
    return match[1] if match and not (match[2] and values[0].startswith("00")) else None


def read_bearer(headers: Headers) -> str | None:
    """The one unverified token of a request, if there is exactly one."""
    values = headers.getlist("authorization")
    match = _BEARER.fullmatch(values[0].strip()) if len(values) == 1 else None
    return match[1] if match else None


def read_idempotency_key(headers: Headers) -> str | None:
    """The `Idempotency-Key`, None where there is none; 422 where it is not one key of visible ASCII."""
    values = headers.getlist("idempotency-key")
    if not values:
        return None
    if len(values) > 1 or not _IDEMPOTENCY_KEY.fullmatch(values[0]):
        raise invalid([("Idempotency-Key", "must be one key of 1 to 200 visible ASCII characters")])
    return values[0]


def read_sequence(field: str, value: str) -> int:
    """The number of an event, from 0; 422 where it isn't one."""
    if not re.fullmatch(r"[0-9]{1,10}", value) or int(value) > MAX_SEQUENCE:
        raise invalid([(field, "must be the number of an event")])
    return int(value)
