"""The command line's own spans: where traces are on, each of its requests is one, and the gateway's goes under it."""

import atexit
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from schema.settings import Settings


class ClientTracing:
    """Spans of requests; where traces are off, nothing is loaded and no `traceparent` is sent.

    A `traceparent` without a span behind it would leave the gateway's span with a parent that nobody ever sees.
    """

    def __init__(self, settings: Settings) -> None:
        self._on = settings.traces_on
        if self._on:
            from schema.telemetry import start_tracing

            # Whoever waits at a terminal waits for the last spans too, but not long.
            atexit.register(start_tracing(settings, "cli").stop)

    @contextmanager
    def request(self, method: str, url: str) -> Iterator[dict[str, str]]:
        """Around a request; gives the headers that carry its span."""
        if not self._on:
            yield {}
            return
        from opentelemetry.trace import SpanKind

        from schema.telemetry import traceparent, tracer

        attributes = {"http.request.method": method, "url.scheme": urlsplit(url).scheme}
        host = urlsplit(url).hostname
        if host:
            attributes["server.address"] = host
        with tracer().start_as_current_span(method, kind=SpanKind.CLIENT, attributes=attributes):
            parent = traceparent()
            yield {"traceparent": parent} if parent else {}
