"""RFC 9457 problem details: one for everything that can go wrong, with a stable `type`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

import psycopg
import sqlalchemy.exc
from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from gateway.strict_json import MAX_FAULTS, Fault
from schema.errors import KeyMissing
from schema.messages.base import Message

TYPE_BASE = "https://golden.invalid/problems/"
RETRY_SECONDS = 2
MAX_FIELD = 200


class FieldFault(Message):
    """One field and what is wrong with it."""

    field: str
    message: str


class ProblemDetails(Message):
    """What every error looks like."""

    type: str = Field(examples=[f"{TYPE_BASE}invalid-request"])
    title: str
    status: int
    detail: str
    request_id: str
    errors: tuple[FieldFault, ...] = ()
    state: str | None = None
    next_allowed_at: datetime | None = None
    erased_at: datetime | None = None


@dataclass(frozen=True)
class ProblemKind:
    """A stable name with its status and title."""

    name: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The URI that names the kind; clients may rely on it."""
        return TYPE_BASE + self.name


MALFORMED_REQUEST = ProblemKind("malformed-request", 400, "The request is malformed")
UNAUTHENTICATED = ProblemKind("unauthenticated", 401, "A valid token is required")
FORBIDDEN = ProblemKind("forbidden", 403, "This is not allowed to you")
NOT_FOUND = ProblemKind("not-found", 404, "There is no such thing here")
NO_VOTE = ProblemKind("no-vote", 404, "The task ended without a vote")
METHOD_NOT_ALLOWED = ProblemKind("method-not-allowed", 405, "The resource does not know this method")
NOT_ACCEPTABLE = ProblemKind("not-acceptable", 406, "There is no such form of this")
REQUEST_TIMEOUT = ProblemKind("request-timeout", 408, "The request came too slowly")
KEY_REUSED = ProblemKind("idempotency-key-reused", 409, "The idempotency key was used for another body")
TASK_NOT_FINAL = ProblemKind("task-not-final", 409, "The task has not ended yet")
TASK_FINAL = ProblemKind("task-final", 409, "The task has ended")
TASK_NOT_ESCALATED = ProblemKind("task-not-escalated", 409, "The task does not ask for a decision")
TASKS_OPEN = ProblemKind("tasks-open", 409, "Something of the tenant is still under way")
ALREADY_DECIDED = ProblemKind("already-decided", 409, "The task has been decided")
DEAD_LETTER_DECIDED = ProblemKind("dead-letter-decided", 409, "The dead letter has been decided")
APPROVAL_DECIDED = ProblemKind("approval-decided", 409, "The proposal has been decided")
DIGEST_CHANGED = ProblemKind("digest-changed", 409, "What was shown is not what is there")
NOTHING_TO_PROPOSE = ProblemKind("nothing-to-propose", 409, "The records propose no other weights")
PROPOSAL_OPEN = ProblemKind("proposal-open", 409, "A proposal for this waits already")
TOO_MANY_PROPOSALS = ProblemKind("too-many-proposals", 409, "Too many proposals of one person wait already")
LEARNING_NOT_ALLOWED = ProblemKind("learning-not-allowed-now", 409, "The limits of learning do not allow this now")
VERSION_ACTIVE = ProblemKind("version-active", 409, "That version is active already")
BUDGET_EXHAUSTED = ProblemKind("budget-exhausted", 409, "The budget has no room for this")
ERASED = ProblemKind("erased", 410, "The content was erased")
TOO_LARGE = ProblemKind("too-large", 413, "The body is too large")
URI_TOO_LONG = ProblemKind("uri-too-long", 414, "The path and query are too long")
UNSUPPORTED_MEDIA_TYPE = ProblemKind("unsupported-media-type", 415, "The body has a type that is not taken here")
INVALID_REQUEST = ProblemKind("invalid-request", 422, "The request is not valid")
RATE_LIMITED = ProblemKind("rate-limited", 429, "Too many requests came from there")
HEADERS_TOO_LARGE = ProblemKind("headers-too-large", 431, "The headers are too many or too large")
INTERNAL_ERROR = ProblemKind("internal-error", 500, "Something went wrong here")
DATABASE_UNAVAILABLE = ProblemKind("database-unavailable", 503, "The database does not answer")
OVERLOADED = ProblemKind("overloaded", 503, "Too many requests are waiting")
AUDIT_UNAVAILABLE = ProblemKind("audit-unavailable", 503, "What was asked for could not be recorded")
KEY_MISSING = ProblemKind("key-missing", 503, "A key of the key ring is missing here")
TEMPORAL_UNAVAILABLE = ProblemKind("temporal-unavailable", 503, "The engine does not answer")
SANDBOX_UNAVAILABLE = ProblemKind("sandbox-unavailable", 503, "No sandbox can run this now")
IDENTITY_PROVIDER_UNAVAILABLE = ProblemKind(
    "identity-provider-unavailable", 503, "The identity provider does not answer"
)
NOT_MIGRATED = ProblemKind("not-migrated", 503, "The database lacks this release's tables")

KINDS = tuple(value for value in list(globals().values()) if isinstance(value, ProblemKind))


@dataclass
class Problem(Exception):
    """Raised anywhere in a request; the one place that answers turns it into a response."""

    kind: ProblemKind
    detail: str
    faults: list[Fault] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    state: str | None = None
    next_allowed_at: datetime | None = None
    erased_at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.detail}"


def invalid(faults: list[Fault]) -> Problem:
    """422, naming every field."""
    names = ", ".join(name for name, _ in faults[:5])
    return Problem(INVALID_REQUEST, f"{len(faults)} invalid: {names}"[:500], faults=faults)


def not_found(what: str) -> Problem:
    """404, the same for what isn't there and for what is another tenant's."""
    return Problem(NOT_FOUND, f"there is no such {what}")


def respond(problem: Problem, request_id: str) -> JSONResponse:
    """The response that tells a problem."""
    body: dict[str, Any] = {
        "type": problem.kind.type,
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "request_id": request_id,
    }
    if problem.faults:
        body["errors"] = [{"field": clean_field(name), "message": message} for name, message in problem.faults]
    if problem.state is not None:
        body["state"] = problem.state
    if problem.next_allowed_at is not None:
        body["next_allowed_at"] = problem.next_allowed_at.isoformat()
    if problem.erased_at is not None:
        body["erased_at"] = problem.erased_at.isoformat()
    headers = {"Cache-Control": "no-store", **problem.headers}
    return JSONResponse(body, problem.kind.status, headers, media_type="application/problem+json")


def problem_of(error: Exception) -> Problem | None:
    """The problem that an exception stands for; None for one that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return _of_http_exception(error)
    if isinstance(error, KeyMissing):
        return Problem(KEY_MISSING, str(error), headers={"Retry-After": str(RETRY_SECONDS)})
    if is_database_failure(error):
        return Problem(
            DATABASE_UNAVAILABLE,
            "nothing was changed unless a retry with the same Idempotency-Key says otherwise: try again",
            headers={"Retry-After": str(RETRY_SECONDS)},
        )
    return None


def is_database_failure(error: Exception) -> bool:
    """Whether the database is away, rather than asked something wrong."""
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | sqlalchemy.exc.TimeoutError):
        return True
    if isinstance(error, sqlalchemy.exc.OperationalError | sqlalchemy.exc.InterfaceError):
        return True
    return isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated


def _of_http_exception(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(sorted(headers.get("Allow", "").split(", ")))
        return Problem(METHOD_NOT_ALLOWED, f"use one of {headers['Allow']}", headers=headers)
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Problem(NOT_FOUND, "there is no such route: see /openapi.json")
    return Problem(MALFORMED_REQUEST, error.detail, headers=headers)


def faults_of(error: ValidationError) -> list[Fault]:
    """pydantic's errors as fields and plain remedies; a field of several forms is told once, with all of them."""
    found: dict[str, list[str]] = {}
    for details in error.errors(include_url=False)[:MAX_FAULTS]:
        messages, message = found.setdefault(_field(details), []), _message(details)
        if not messages or any(_is_form(part) for part in details["loc"]):
            messages.append(message)
    # Of the forms of one field that was meant is told, which has a fault further in.
    outer = {name for name in found if any(other.startswith(f"{name}.") for other in found)}
    return [
        (name, " or ".join([messages[0], *(each.removeprefix("must be ") for each in messages[1:])]))
        for name, messages in found.items()
        if name not in outer
    ]


def clean_field(name: str) -> str:
    """A field's name as an answer may show it: bounded and printable."""
    shown = "".join(character if character.isprintable() else "\ufffd" for character in name[:MAX_FIELD])
    return shown + ("…" if len(name) > MAX_FIELD else "")


def _field(details: ErrorDetails) -> str:
    # A faulty key is told as the place that it would have named.
    parts = [str(part) for part in details["loc"] if part != "[key]" and not _is_form(part)]
    named = (details.get("ctx") or {}).get("field")
    return ".".join([*parts, str(named)] if named else parts) or "body"


def _is_form(part: int | str) -> bool:
    """Whether a part of a place is pydantic's name for one form of a field that has several, not the field's."""
    return isinstance(part, str) and part.startswith(("literal[", "dict[")) and part.endswith("]")


_PLAIN: Mapping[str, str] = {
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of a sensible size",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "string_unicode": "must be valid text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "greater_than_equal": "must be at least {ge:,}",
    "greater_than": "must be more than {gt:,}",
    "less_than_equal": "must be at most {le:,}",
    "less_than": "must be less than {lt:,}",
    "string_too_long": "must be at most {max_length:,} characters",
    "too_long": "must have at most {max_length:,} entries",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
}


def _message(details: ErrorDetails) -> str:
    context = details.get("ctx") or {}
    kind = details["type"]
    if kind in ("string_too_short", "too_short"):
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least:,}"
    if kind == "string_pattern_mismatch":
        return "must not be blank" if context["pattern"] == r"\S" else f"must match {context['pattern']}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error" and " or " not in context["expected"]:
        return f"must be {context['expected']}"
    plain = _PLAIN.get(kind)
    return plain.format(**context) if plain else details["msg"]
