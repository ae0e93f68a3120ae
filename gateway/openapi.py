"""`/openapi.json`: OpenAPI 3.1 out of the route table and the same pydantic models that the handlers use."""

import functools
import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway import problems
from gateway.authorisation import GRANTS
from gateway.operations import Operation, PublicOperation
from gateway.problems import ProblemDetails, ProblemKind
from gateway.services import Services

REF = "#/components/schemas/{model}"
YAML = "application/yaml"

_EVERYWHERE = (
    problems.MALFORMED_REQUEST,
    problems.REQUEST_TIMEOUT,
    problems.URI_TOO_LONG,
    problems.HEADERS_TOO_LARGE,
    problems.INTERNAL_ERROR,
    problems.OVERLOADED,
)
_GUARDED = (
    *_EVERYWHERE,
    problems.UNAUTHENTICATED,
    problems.RATE_LIMITED,
    problems.FORBIDDEN,
    problems.INVALID_REQUEST,
    problems.DATABASE_UNAVAILABLE,
    problems.IDENTITY_PROVIDER_UNAVAILABLE,
    problems.AUDIT_UNAVAILABLE,
    problems.KEY_MISSING,
)
_WITH_BODY = (problems.TOO_LARGE, problems.UNSUPPORTED_MEDIA_TYPE)
_HEADER_TEXT = {
    "Idempotency-Key": "The same key and body find the first answer, for ever.",
    "Last-Event-ID": "The id of the last event that was seen.",
}
_ALWAYS = ("X-Request-Id", "traceparent")
_LIMITS = ("RateLimit-Policy", "RateLimit")
_RESPONSE_HEADERS = {
    "X-Request-Id": "The request's own id where it is 1 to 64 letters, digits, dots, hyphens or underscores; else new.",
    "traceparent": "Of the request's trace, where it has a valid traceparent (W3C Trace Context).",
    "RateLimit-Policy": "The limits that were counted.",
    "RateLimit": "What is left of each of them.",
    "Retry-After": "Seconds after which to try again.",
    "WWW-Authenticate": "How to authenticate.",
    "Vary": "That the answer depends on Accept.",
    "Location": "Where the new thing is.",
}
_HEADERS_OF_STATUS = {"401": ("WWW-Authenticate",), "409": ("Retry-After",), "429": ("Retry-After",)}
_HEADERS_OF_STATUS |= {"503": ("Retry-After",)}


async def show_openapi(_request: Request, _services: Services) -> Response:
    """The description of every route."""
    return JSONResponse(describe())


@functools.cache
def describe() -> dict[str, Any]:
    """The OpenAPI document."""
    from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS  # the table holds this module's handler too

    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for public in PUBLIC_OPERATIONS:
        paths.setdefault(public.path, {})["get"] = _public_operation(public)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Golden",
            "version": "1",
            "description": "Coding tasks for teams of agents: submitted, proven, voted on, recorded.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": _schemas(OPERATIONS),
            "headers": {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _RESPONSE_HEADERS.items()
            },
        },
    }


def _schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = [(ProblemDetails, "serialization")]
    for operation in operations:
        if operation.takes is not None:
            wanted.append((operation.takes, "validation"))
        if operation.returns is not None:
            wanted.append((operation.returns, "serialization"))
    _, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REF)
    return dict(definitions["$defs"])


def _operation(operation: Operation) -> dict[str, Any]:
    roles = ", ".join(sorted(GRANTS[operation.permission]))
    described: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": operation.summary,
        "description": f"Permission `{operation.permission}`, which has: {roles}.",
        "x-permission": operation.permission.value,
        "parameters": _parameters(operation),
        "responses": {str(operation.status): _success(operation), **_problems(_all_problems(operation))},
    }
    if operation.takes is not None:
        schema = {"schema": _ref(operation.takes)}
        content = {"application/json": schema, YAML: schema}
        described["requestBody"] = {"required": not operation.body_optional, "content": content}
    return described


def _public_operation(operation: PublicOperation) -> dict[str, Any]:
    return {
        "operationId": operation.handler.__name__,
        "summary": operation.summary,
        "security": [],
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in operation.query],
        "responses": {
            str(operation.status): {
                "description": operation.summary,
                "headers": _headers(*_ALWAYS, *(() if operation.media_type else ("Location",))),
                **({"content": {operation.media_type: {}}} if operation.media_type else {}),
            },
            **_problems((*operation.problems, *_EVERYWHERE)),
        },
    }


def _all_problems(operation: Operation) -> tuple[ProblemKind, ...]:
    negotiated = (problems.NOT_ACCEPTABLE,) if operation.forms else ()
    # The guard says of each task that was erased, whatever is asked about it.
    erased = (problems.ERASED,) if "{task_id}" in operation.path else ()
    return (*operation.problems, *erased, *_GUARDED, *(_WITH_BODY if operation.takes else ()), *negotiated)


def _success(operation: Operation) -> dict[str, Any]:
    names = [
        *_ALWAYS,
        *_LIMITS,
        *(("Vary",) if operation.forms else ()),
        *(("Location",) if operation.status == 202 and operation.takes else ()),
    ]
    schema = _ref(operation.returns) if operation.returns else {"type": "string"}
    return {
        "description": operation.summary,
        "headers": _headers(*names),
        "content": {
            operation.media_type: {"schema": schema},
            **{
                form: {"schema": {"type": "string"} if _is_text(form) else {"type": "object"}}
                for form in operation.forms
            },
        },
    }


def _is_text(media_type: str) -> bool:
    return not media_type.endswith("json")


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problems(kinds: Iterable[ProblemKind]) -> dict[str, Any]:
    """One response a status, naming the problems that it stands for."""
    by_status: dict[str, list[ProblemKind]] = {}
    for kind in sorted(set(kinds), key=lambda kind: (kind.status, kind.name)):
        by_status.setdefault(str(kind.status), []).append(kind)
    content = {"application/problem+json": {"schema": _ref(ProblemDetails)}}
    return {
        status: {
            "description": "; ".join(f"`{kind.name}`: {kind.title}" for kind in group),
            "headers": _headers(*_ALWAYS, *_LIMITS, *_HEADERS_OF_STATUS.get(status, ())),
            "content": content,
        }
        for status, group in by_status.items()
    }


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    text = {"type": "string"}
    tenant = "The tenant that is meant; required for a token for every tenant."
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {**text, **({"format": "uuid"} if name.endswith("_id") else {})},
        }
        for name in re.findall(r"{(\w+)}", operation.path)
    ]
    query = operation.query.model_json_schema(ref_template=REF)
    for name, schema in query.get("properties", {}).items():
        parameters.append({"name": name, "in": "query", "required": False, "schema": _inlined(schema, query)})
    for name in operation.headers:
        parameters.append({"name": name, "in": "header", "schema": text, "description": _HEADER_TEXT[name]})
    return [*parameters, {"name": "Golden-Tenant", "in": "header", "schema": text, "description": tenant}]


def _inlined(schema: Any, root: dict[str, Any]) -> Any:
    """A schema of a query without references, since those would point into the components."""
    if isinstance(schema, list):
        return [_inlined(part, root) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root)
    return {name: _inlined(part, root) for name, part in schema.items()}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}
