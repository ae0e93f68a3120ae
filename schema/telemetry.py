"""Traces by OpenTelemetry, sent by OTLP over HTTP: on where the standard's variables name a collector.

A process that traces has one provider, made by `start_tracing` in its composition root, before it connects to anything,
and ended by `Tracing.stop`. Where traces are off, `tracer` gives spans that record nothing.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags, Tracer, TraceState
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, ReplaySafeTracerProvider, create_tracer_provider

from schema.telemetry_settings import TelemetrySettings

STOP_SECONDS = 5.0
"""The last spans of a process get this long to leave it: a collector that is away or slow holds up no shutdown."""

BACKGROUND = ("RunWorkflow:Reconcile", "RunWorkflow:LearningScan")
"""What looks every few seconds whether there is something to do begins no trace."""

SCOPE = "golden"

_PROPAGATOR = TraceContextTextMapPropagator()
"""Without baggage: nobody's words travel with a trace."""

log = structlog.get_logger(__name__)


def tracer() -> Tracer:
    """The tracer of our own spans."""
    return trace.get_tracer(SCOPE)


def plugins() -> list[Any]:
    """For a client of Temporal, whose workers take them over: spans of workflows, activities and calls; none while off.

    A workflow's span is made when it ends, with ids that are the same at each replay, and not while replaying.
    """
    on = isinstance(trace.get_tracer_provider(), ReplaySafeTracerProvider)
    return [OpenTelemetryPlugin(add_temporal_spans=True)] if on else []


class Tracing:
    """The traces of this process; or that it has none."""

    def __init__(self, provider: ReplaySafeTracerProvider | None) -> None:
        self._provider = provider

    @property
    def on(self) -> bool:
        """Whether spans are recorded and sent."""
        return self._provider is not None

    def stop(self) -> None:
        """Send what is left, for at most `STOP_SECONDS`."""
        if self._provider is not None:
            # The SDK would wait for as long as the exporter does.
            ending = threading.Thread(target=self._provider.shutdown, daemon=True)
            ending.start()
            ending.join(STOP_SECONDS)


def start_tracing(settings: TelemetrySettings, process: str) -> Tracing:
    """Turn traces on where the settings say so. Once in a process.

    Args:
        process: is `golden-PROCESS` in `service.name`, where OTEL_SERVICE_NAME doesn't say otherwise.
    """
    if not settings.traces_on:
        return Tracing(None)
    # Imported where it is needed: an HTTP client of its own comes with it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from schema.spans import CleanExporter

    try:
        exporter = CleanExporter(OTLPSpanExporter(), spoken=settings.trace_prompts)
        sampler = Foreground(TracerProvider(shutdown_on_exit=False).sampler)
    except ValueError as error:
        log.error("traces are off: an OTEL_* variable can't be used", error=str(error))
        return Tracing(None)
    provider = create_tracer_provider(sampler=sampler, resource=_resource(process), shutdown_on_exit=False)
    provider.add_span_processor(Naming())
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    # They tell each batch that is lost; ours tells the first.
    for noisy in ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    return Tracing(provider)


def _resource(process: str) -> Resource:
    ours = {"service.name": f"golden-{process}", "service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})


class Foreground(Sampler):
    """The sampler of the standard's variables, but for what begins by itself every few seconds."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Mapping[str, AttributeValue] | None = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Drops a trace that begins with one of `BACKGROUND`."""
        if name in BACKGROUND and not trace.get_current_span(parent_context).get_span_context().is_valid:
            return SamplingResult(Decision.DROP)
        return self._sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """As the SDK shows it."""
        return f"Foreground({self._sampler.get_description()})"


class Naming(SpanProcessor):
    """Names the task and the step of Temporal's spans, by the ids that we give to workflows and activities."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Of `task/ID`, `vote/ID/NUMBER` and activity `STEP`."""
        del parent_context
        attributes = span.attributes or {}
        kind, _, rest = str(attributes.get("temporalWorkflowID", "")).partition("/")
        if kind in ("task", "vote") and rest:
            span.set_attribute("golden.task_id", rest.partition("/")[0])
        step = attributes.get("temporalActivityID")
        if isinstance(step, str):
            span.set_attribute("golden.step", step)


def ours(context: SpanContext) -> bool:
    """Whether it is a span of this process. Where traces are off, what stands for one is the client's."""
    return context.is_valid and not context.is_remote


def traceparent() -> str | None:
    """The W3C `traceparent` of the span that we are in; None where there is none of ours."""
    carrier: dict[str, str] = {}
    if ours(trace.get_current_span().get_span_context()):
        _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def context_of(parent: str | None) -> Context:
    """A context that continues a `traceparent`, with nothing else in it; an empty one where it is none or not one."""
    return _PROPAGATOR.extract({"traceparent": parent} if parent else {}, Context())


@contextmanager
def within(parent: str | None) -> Iterator[None]:
    """What happens inside continues the trace of `parent`, where there is one."""
    if parent is None:
        yield
        return
    token = contexts.attach(context_of(parent))
    try:
        yield
    finally:
        contexts.detach(token)


def sampled(context: SpanContext) -> bool:
    """Whether a span is sent."""
    return bool(context.trace_flags & TraceFlags.SAMPLED)
