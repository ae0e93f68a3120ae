"""One client's connection: uvicorn's HTTP/1.1 with limits on its time, and with problems where it isn't HTTP."""

import asyncio
import sys
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import h11
import structlog
from starlette.responses import Response
from uuid_utils.compat import uuid7
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway import metrics
from gateway.envelope import security_headers
from gateway.problems import (
    HEADERS_TOO_LARGE,
    MALFORMED_REQUEST,
    OVERLOADED,
    REQUEST_TIMEOUT,
    RETRY_SECONDS,
    Problem,
    respond,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long a client may take, in seconds, each from its beginning: a byte now and then buys no more time.

    Attributes:
        head: for the request line and the headers, from the connection or from the first byte of a later request.
        body: for all the rest of a request, whether or not anybody reads it; longer than `bodies.READ_SECONDS`.
        answer: without taking anything of an answer.
    """

    head: float = 10.0
    body: float = 40.0
    answer: float = 30.0


PATIENCE = Patience()


class Connection(H11Protocol):
    """As uvicorn's, but nobody holds it for longer than a client needs.

    uvicorn's own limit is for the time between requests. At each other moment one of three timers runs here: for the
    head of a request, for its body, or for an answer that isn't taken.
    """

    def __init__(self, *args: Any, patience: Patience, max_connections: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self._patience = patience
        self._max_connections = max_connections
        self._arriving: asyncio.TimerHandle | None = None
        self._awaits_body = False
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; one too many is told so at once."""
        super().connection_made(transport)
        if len(self.connections) > self._max_connections:
            headers = {"Retry-After": str(RETRY_SECONDS)}
            self._refuse(Problem(OVERLOADED, "too many connections are open", headers=headers))
            return
        self._watch_arrival()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._cancel_arrival()
        self._cancel_stall()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request. What comes after a refusal is not looked at."""
        if not self.transport.is_closing():
            super().data_received(data)
            self._watch_arrival()

    def on_response_complete(self) -> None:
        """An answer is on its way out: then comes the next request, or the end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_stall()

    def pause_writing(self) -> None:
        """The client takes its answer more slowly than it is made."""
        super().pause_writing()
        self._watch_stall()

    def resume_writing(self) -> None:
        """The client has taken what was waiting."""
        self._cancel_stall()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (its words may quote the request)
        """What h11 says of a request that is none, as a problem; uvicorn calls this where it has caught that."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        kind = HEADERS_TOO_LARGE if status == HEADERS_TOO_LARGE.status else MALFORMED_REQUEST
        self._refuse(Problem(kind, "this is not a valid HTTP request"))

    def _should_upgrade(self) -> bool:
        # There is no other protocol here, and a request for one is answered as if it had not asked.
        return False

    def _watch_arrival(self) -> None:
        """Time what has to arrive next: a head, then perhaps a body."""
        state = self.conn.their_state
        awaits_body = state is h11.SEND_BODY
        if self.transport.is_closing() or not (awaits_body or state is h11.IDLE):
            self._cancel_arrival()
            return
        if self._arriving is not None and awaits_body == self._awaits_body:
            return
        self._cancel_arrival()
        if not awaits_body and self.timeout_keep_alive_task is not None:
            return  # between two requests, which uvicorn times
        seconds = self._patience.body if awaits_body else self._patience.head
        self._awaits_body = awaits_body
        self._arriving = self.loop.call_later(seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._arriving = None
        if not self.transport.is_closing():
            what = "body" if self._awaits_body else "headers"
            self._refuse(Problem(REQUEST_TIMEOUT, f"the {what} did not arrive in time"))

    def _watch_stall(self) -> None:
        if self._stalled is None:
            self._stalled = self.loop.call_later(self._patience.answer, self._give_up)

    def _give_up(self) -> None:
        self._stalled = None
        log.info("gave up a client that takes no answer")
        self.transport.abort()

    def _cancel_arrival(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None

    def _cancel_stall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _refuse(self, problem: Problem) -> None:
        """End the connection; with a word about why unless an answer is being sent already."""
        self._cancel_arrival()
        self._unset_keepalive_if_required()
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not answering:
            self.transport.write(_refusal(problem, tls=self.scheme == "https"))
            metrics.REQUESTS.labels(metrics.UNKNOWN_ROUTE, str(problem.kind.status)).inc()
        if self.cycle is not None:
            # Whoever works on the request hears that its client is gone, and can't answer after this.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._watch_stall()
        self.transport.close()


def _refusal(problem: Problem, *, tls: bool) -> bytes:
    """A whole answer by itself: h11 has no request that it could answer."""
    request_id = str(uuid7())
    response: Response = respond(problem, request_id)
    headers = {**security_headers(tls=tls), "Connection": "close", "X-Request-Id": request_id}
    for name, value in headers.items():
        response.headers.setdefault(name, value)
    status = HTTPStatus(problem.kind.status)
    lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
