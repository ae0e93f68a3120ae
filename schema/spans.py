"""What a span may say: attributes from a list, errors by their type. The last thing before a span leaves the process.

Text of users, of models and of errors has no way out here, whoever put it on a span: Temporal's interceptors, for one,
put the message of an error and its stack on theirs.
"""

from collections.abc import Mapping, Sequence

import structlog
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import AttributeValue

SPOKEN = frozenset({"gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages"})
"""What was asked and answered; only where the settings say so."""

ALLOWED = frozenset(
    {
        "error.type",
        "exception.type",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.output.type",
        "gen_ai.request.max_tokens",
        "gen_ai.request.model",
        "gen_ai.request.seed",
        "gen_ai.request.temperature",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "golden.activity",
        "golden.ask",
        "golden.attempt",
        "golden.cost_micro_usd",
        "golden.dispatch",
        "golden.epoch",
        "golden.prompt_version",
        "golden.role",
        "golden.step",
        "golden.task_id",
        "golden.tenant",
        "golden.waited_seconds",
        "golden.sandbox.cpu_seconds",
        "golden.sandbox.exit_code",
        "golden.sandbox.findings",
        "golden.sandbox.image",
        "golden.sandbox.isolation",
        "golden.sandbox.kind",
        "golden.sandbox.limit",
        "golden.sandbox.passed",
        "golden.sandbox.peak_memory_mb",
        "golden.sandbox.tests_failed",
        "golden.sandbox.tests_passed",
        "golden.sandbox.wall_seconds",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "network.protocol.version",
        "server.address",
        "server.port",
        "temporalActivityID",
        "temporalRunID",
        "temporalUpdateID",
        "temporalWorkflowID",
        "url.scheme",
    }
)
"""Whatever isn't in this list, or `SPOKEN` where it may be, is left out."""

EVENTS = frozenset({"exception", "golden.sandbox.taken"})

MAX_CHARACTERS = 256
"""Of an attribute that is in the list: names and ids are shorter."""

log = structlog.get_logger(__name__)


class CleanExporter(SpanExporter):
    """Cleans spans and hands them on. A collector that takes none is told of once, and once that it does again."""

    def __init__(self, exporter: SpanExporter, *, spoken: bool) -> None:
        self._exporter = exporter
        self._spoken = spoken
        self._refused = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """As the exporter behind; an error of it is a failure."""
        try:
            result = self._exporter.export([clean(span, spoken=self._spoken) for span in spans])
            error = None
        except Exception as raised:
            result, error = SpanExportResult.FAILURE, type(raised).__name__
        refused = result is not SpanExportResult.SUCCESS
        if refused and not self._refused:
            log.warning("the collector takes no spans: they are dropped until it does", error=error)
        elif self._refused and not refused:
            log.info("the collector takes spans again")
        self._refused = refused
        return result

    def shutdown(self) -> None:
        """End the exporter behind."""
        self._exporter.shutdown()


def clean(span: ReadableSpan, *, spoken: bool = False) -> ReadableSpan:
    """The span with what it may say; its status keeps its code and loses its words."""
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_kept(span.attributes, spoken=spoken),
        events=[
            Event(event.name, _kept(event.attributes, spoken=False), event.timestamp)
            for event in span.events
            if event.name in EVENTS
        ],
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _kept(attributes: Mapping[str, AttributeValue] | None, *, spoken: bool) -> dict[str, AttributeValue]:
    kept: dict[str, AttributeValue] = {}
    for name, value in (attributes or {}).items():
        if name in ALLOWED:
            kept[name] = value[:MAX_CHARACTERS] if isinstance(value, str) else value
        elif spoken and name in SPOKEN:
            kept[name] = value
    return kept
