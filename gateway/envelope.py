"""Around every request: its id, the headers that every answer has, errors as problems, a count and a log line."""

import time
import traceback

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import metrics
from gateway.problems import INTERNAL_ERROR, Problem, problem_of, respond
from gateway.values import read_request_id

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

PROBES = frozenset({"/healthz", "/readyz"})
"""Asked every few seconds: one line each would drown the rest."""

log = structlog.get_logger(__name__)


class Envelope:
    """The outermost middleware: nothing leaves the gateway without passing here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = read_request_id(Headers(scope=scope))
        # A mapping of this request's own: the server's is shared by all.
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "headers": {}}
        answer = _Answer(send, scope, request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
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

    def __init__(self, send: Send, scope: Scope, request_id: str) -> None:
        self.status: int | None = None
        self._send = send
        self._scope = scope
        self._request_id = request_id
        self._began = time.perf_counter()

    async def send(self, message: Message) -> None:
        """Complete the headers of an answer that begins, and count it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = self._request_id
            headers.update(self._scope["state"]["headers"])
            for name, value in SECURITY_HEADERS.items():
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

    @property
    def _route(self) -> str:
        route = self._scope.get("route")
        return getattr(route, "path", None) or metrics.UNKNOWN_ROUTE
