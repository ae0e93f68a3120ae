"""The span of a request, which continues the client's trace, and the trace id that logs and the audit log tell."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from gateway.values import read_bearer, read_trace_id
from schema import telemetry

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "_OTHER"
"""The standard's word for a method that it doesn't know; whoever makes one up names no span with it."""

_KNOWN_VERSION = re.compile(r"1\.[01]")


@contextmanager
def server_span(scope: Scope, headers: Headers) -> Iterator[Span]:
    """A span around a request. The trace of who brings a token is continued; anybody else begins a new one.

    Whether the token is good is known later: the limits of failed authentications bound what that costs. Nothing but
    the `traceparent` is taken over, no baggage and no `tracestate`.
    """
    method = scope["method"] if scope["method"] in METHODS else OTHER
    parent = None
    if read_bearer(headers) is not None and read_trace_id(headers) is not None:
        parent = headers["traceparent"]
    attributes = {"http.request.method": method, "url.scheme": scope["scheme"]}
    if _KNOWN_VERSION.fullmatch(scope.get("http_version", "")):
        attributes["network.protocol.version"] = scope["http_version"]
    with telemetry.tracer().start_as_current_span(
        method,
        context=telemetry.context_of(parent),
        kind=SpanKind.SERVER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def name_answer(span: Span, scope: Scope, route: str, status: int) -> None:
    """Name a request's span by its route's template, and say how it was answered."""
    method = scope["method"] if scope["method"] in METHODS else OTHER
    if getattr(scope.get("route"), "path", None) is not None:
        span.update_name(f"{method} {route}")
        span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(Status(StatusCode.ERROR))


def trace_id_of(request: Request) -> str | None:
    """The trace that the audit log names: that of the request's span; without spans, the client's."""
    traced: str | None = request.scope.get("state", {}).get("trace_id")
    return traced or read_trace_id(request.headers)
