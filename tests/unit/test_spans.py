"""What leaves a process as a span: what may be said, by the standard's variables, and never anybody's text."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Decision
from temporalio.contrib.opentelemetry import create_tracer_provider

from schema import telemetry
from schema.logs import place_error
from schema.settings import Settings
from schema.spans import SPOKEN, CleanExporter
from schema.telemetry import Foreground, Tracing

MARKER = "what a user wrote"


class Refusing(SpanExporter):
    """A collector that is away."""

    def __init__(self) -> None:
        self.away = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE if self.away else SpanExportResult.SUCCESS


@pytest.fixture
def sent() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture(params=[False, True], ids=["silent", "spoken"])
def tracer(request: pytest.FixtureRequest, sent: InMemorySpanExporter) -> Iterator[tuple[trace.Tracer, bool]]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(CleanExporter(sent, spoken=request.param)))
    yield provider.get_tracer("test"), request.param
    provider.shutdown()


def test_an_error_is_told_by_its_type_only(tracer: tuple[trace.Tracer, bool], sent: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match=MARKER), tracer[0].start_as_current_span("work"):
        raise ValueError(MARKER)

    (span,) = sent.get_finished_spans()
    assert MARKER not in span.to_json()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [dict(event.attributes or {}) for event in span.events] == [{"exception.type": "ValueError"}]


def test_attributes_that_are_not_listed_stay_here(
    tracer: tuple[trace.Tracer, bool], sent: InMemorySpanExporter
) -> None:
    with tracer[0].start_as_current_span("work", attributes={"golden.step": "plan", "golden.title": MARKER}):
        pass

    (span,) = sent.get_finished_spans()
    assert span.attributes == {"golden.step": "plan"}


def test_what_was_asked_and_answered_is_told_only_where_that_is_set(
    tracer: tuple[trace.Tracer, bool], sent: InMemorySpanExporter
) -> None:
    with tracer[0].start_as_current_span("chat", attributes=dict.fromkeys(SPOKEN, MARKER)):
        pass

    (span,) = sent.get_finished_spans()
    assert (MARKER in span.to_json()) is tracer[1]


def test_a_collector_that_is_away_is_one_line_and_one_when_it_is_back(capsys: pytest.CaptureFixture[str]) -> None:
    collector = Refusing()
    exporter = CleanExporter(collector, spoken=False)
    for collector.away in (True, True, True, False, False):
        exporter.export([])

    lines = [line for line in capsys.readouterr().out.splitlines() if "collector" in line]
    assert ["again" in line for line in lines] == [False, True]


def test_an_end_waits_for_no_collector_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "STOP_SECONDS", 0.05)
    hanging = threading.Event()
    provider = create_tracer_provider(shutdown_on_exit=False)
    monkeypatch.setattr(provider, "shutdown", lambda: hanging.wait(30))
    began = time.monotonic()
    Tracing(provider).stop()
    waited = time.monotonic() - began
    hanging.set()

    assert waited < 20


@pytest.mark.parametrize(
    ("environment", "on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "TRUE"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_s_variables_turn_traces_on_and_off(
    environment: dict[str, str], on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert Settings().traces_on is on


@pytest.mark.parametrize(
    ("name", "decision"), [("RunWorkflow:Reconcile", Decision.DROP), ("POST", Decision.RECORD_AND_SAMPLE)]
)
def test_what_looks_around_by_itself_begins_no_trace(name: str, decision: Decision) -> None:
    assert Foreground(ALWAYS_ON).should_sample(None, 1, name).decision is decision


def test_a_row_s_traceparent_is_continued_and_none_is_made_of_a_client_s() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with telemetry.within(parent):
        assert trace.get_current_span().get_span_context().span_id == 0xB7AD6B7169203331
        assert telemetry.traceparent() is None
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_log_tells_an_exception_by_type_and_place() -> None:
    try:
        raise ValueError(MARKER)
    except ValueError as error:
        line = place_error(None, "error", {"event": "broken", "exc_info": error})

    assert MARKER not in str(line)
    assert line["error"] == "ValueError"
    assert "test_spans.py" in line["place"][0]
