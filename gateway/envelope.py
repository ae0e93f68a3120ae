"""Around every request: its limits, id and trace, the headers of every answer, errors as problems, a log line."""

import time
import traceback
from secrets import token_hex

import structlog
from opentelemetry.trace import INVALID_SPAN, Span, format_span_id, format_trace_id
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import metrics
from gateway.problems import INTERNAL_ERROR, Problem, problem_of, respond
from gateway.request_line import check_request
from gateway.tracing import name_answer, server_span
from gateway.values import read_request_id, read_trace_id
from schema import telemetry

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000"
"""Under TLS, a browser that was here once uses nothing else for a year."""

PROBES = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds: one line each would drown the rest."""

log = structlog.get_logger(__name__)


def security_headers(*, tls: bool) -> dict[str, str]:
    """The headers of every answer that doesn't say otherwise itself."""
    return {**SECURITY_HEADERS, "Strict-Transport-Security": HSTS} if tls else SECURITY_HEADERS


class Envelope:
    """The outermost middleware: nothing leaves the gateway without passing here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] in PROBES:
            await self._answer(scope, receive, send, INVALID_SPAN)
            return
        with server_span(scope, Headers(scope=scope)) as span:
            await self._answer(scope, receive, send, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        headers, context = Headers(scope=scope), span.get_span_context()
        request_id = read_request_id(headers)
        trace_id = format_trace_id(context.trace_id) if telemetry.ours(context) else read_trace_id(headers)
        # A mapping of this request's own: the server's is shared by all.
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "trace_id": trace_id, "headers": {}}
        answer = _Answer(send, scope, request_id, trace_id, span)
        traced = {"trace_id": trace_id} if trace_id else {}
        with structlog.contextvars.bound_contextvars(request_id=request_id, **traced):
            try:
                check_request(scope)
                await self._app(scope, receive, answer.send)
            except Exception as error:
                problem = _problem(error)
                # Where an answer has begun it is too late for another: the server closes the connection.
                if answer.status is None:
                    await respond(problem, request_id)(scope, receive, answer.send)
            finally:
                answer.log()


def _problem(error: Exception) -> Problem:
    problem = problem_of(error)
    if problem is not None:
        return problem
    # Without the error's own text, which may quote what a client sent.
    log.error("unexpected error", error=type(error).__name__, trace=traceback.format_tb(error.__traceback__))
    return Problem(INTERNAL_ERROR, "the error was logged under the request's id")


class _Answer:
    """Watches one answer on its way out."""

    def __init__(self, send: Send, scope: Scope, request_id: str, trace_id: str | None, span: Span) -> None:
        self.status: int | None = None
        self._send = send
        self._scope = scope
        self._request_id = request_id
        self._trace_id = trace_id
        self._span = span
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Complete the headers of an answer that begins, and count it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            if self._trace_id is not None:
                headers["traceparent"] = self._traceparent(self._trace_id)
            name_answer(self._span, self._scope, self._route, message["status"])
            headers.update(self._scope["state"]["headers"])
            for name, value in security_headers(tls=self._scope["scheme"] == "https").items():
                headers.setdefault(name, value)
            metrics.REQUESTS.labels(self._route, str(self.status)).inc()
            metrics.SECONDS.labels(self._route).observe(time.perf_counter() - self._began)
        await self._send(message)

    def log(self) -> None:
        """One line without query and body: both may hold what no log should."""
        write = log.debug if self._route in PROBES else log.info
        write(
            "answered",
            method=self._scope["method"],
            route=self._route,
            status=self.status,
            seconds=round(time.perf_counter() - self._began, 4),
        )

    def _traceparent(self, trace_id: str) -> str:
        context = self._span.get_span_context()
        if not telemetry.ours(context):
            # The client's trace, and in it a span of ours that nobody records.
            return f"00-{trace_id}-{token_hex(8)}-00"
        return f"00-{trace_id}-{format_span_id(context.span_id)}-{'01' if telemetry.sampled(context) else '00'}"

    @property
    def _route(self) -> str:
        route = self._scope.get("route")
        return getattr(route, "path", None) or metrics.UNKNOWN_ROUTE
