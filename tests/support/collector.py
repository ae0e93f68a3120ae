"""A receiver of OTLP over HTTP as a collector has one: it takes `POST /v1/traces` and keeps what it was sent."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue


@dataclass(frozen=True)
class Received:
    """One span as it came over the wire."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    kind: int
    error: bool
    message: str
    attributes: dict[str, Any]
    events: tuple[str, ...]
    start: int
    end: int


class Collector:
    """What came, decoded and raw. `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 200
        self.requests = 0
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.spans: list[Received] = []
        self.url = ""
        self._lock = threading.Lock()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Keep one request; raises where it is no OTLP."""
        request = ExportTraceServiceRequest.FromString(body)
        found = [
            _received(span, {a.key: _value(a.value) for a in resource.resource.attributes})
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            self.raw.append(body)
            self.headers.append(headers)
            self.spans.extend(found)

    def of(self, trace_id: str) -> list[Received]:
        """The spans of one trace."""
        with self._lock:
            return [span for span in self.spans if span.trace_id == trace_id]

    def until(self, done: Callable[[list[Received]], bool], trace_id: str, within: float = 30) -> list[Received]:
        """The spans of a trace once they are as wanted; batches come some time after their spans end."""
        end = time.monotonic() + within
        while not done(self.of(trace_id)) and time.monotonic() < end:
            time.sleep(0.05)
        return self.of(trace_id)


@contextmanager
def running_collector() -> Iterator[Collector]:
    """A collector on a free port of this machine."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.requests += 1
            if self.path != "/v1/traces":
                self.send_error(404)
                return
            if collector.status == 200:
                packed = self.headers.get("Content-Encoding") == "gzip"
                collector.take(gzip.decompress(body) if packed else body, dict(self.headers))
            self.send_response(collector.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()


def tree(spans: list[Received]) -> dict[str, Any]:
    """Names under names, for whoever looks at a failure."""

    def under(parent: str) -> list[Any]:
        return [
            [span.name, under(span.span_id)]
            for span in sorted(spans, key=lambda s: s.start)
            if span.parent_id == parent
        ]

    ids = {span.span_id for span in spans}
    return {"roots": [[s.name, under(s.span_id)] for s in spans if s.parent_id not in ids]}


def shown(spans: list[Received]) -> str:
    """The tree as text."""
    return json.dumps(tree(spans), indent=1)


def _received(span: Any, resource: dict[str, Any]) -> Received:
    return Received(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        name=span.name,
        service=str(resource.get("service.name")),
        kind=span.kind,
        error=span.status.code == 2,
        message=span.status.message,
        attributes={each.key: _value(each.value) for each in span.attributes},
        events=tuple(event.name for event in span.events),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind) if kind else None
