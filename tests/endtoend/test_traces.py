"""One trace from the client's request to the model and the sandbox, as a collector receives it from a whole stack."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.support.collector import Collector, Received, running_collector, shown
from tests.support.golden import Golden
from tests.support.provider import VOTERS, Fault, Provider, Script, ballot, files
from tests.support.specs import GOOD, spec

MARKER = "xyzzy-nobody-may-read-this"
PARENT = "b7ad6b7169203331"
WHOLE = "RunWorkflow:AgentTask"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with running_collector() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module")
async def traced(
    tmp_path_factory: pytest.TempPathFactory, provider: Provider, collector: Collector
) -> AsyncIterator[Golden]:
    """A stack of its own that sends its traces to the collector."""
    stack = Golden(tmp_path_factory.mktemp("traced"), models=provider.models, reconcile_seconds=2)
    stack.environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    stack.environment |= {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    await asyncio.to_thread(stack.start)
    yield stack
    await asyncio.to_thread(stack.stop)


def told(title: str, **fields: object) -> dict[str, object]:
    return spec(title, instructions=f"Write double(number). {MARKER}", **fields)


def script(*first: Fault, gates: dict[str, threading.Event] | None = None) -> Script:
    return Script(
        plan=[{"summary": f"Write it. {MARKER}", "steps": [MARKER]}],
        developer=[*first, files(work=f"# {MARKER}\n{GOOD}")],
        ballots={role: [{**ballot(), "rationale": MARKER}] for role in VOTERS},
        gates=gates or {},
    )


async def trace_of(collector: Collector, trace_id: str) -> list[Received]:
    """The trace, once the workflow's own span, which ends last, is there."""

    def ended(spans: list[Received]) -> bool:
        return any(span.name == WHOLE for span in spans)

    return await asyncio.to_thread(collector.until, ended, trace_id)


def only(spans: list[Received], name: str, **attributes: object) -> Received:
    """The one span of a name, with these attributes (`golden_step` is `golden.step`)."""
    wanted = {key.replace("_", ".", 1): value for key, value in attributes.items()}
    found = [s for s in spans if s.name == name and all(s.attributes.get(k) == v for k, v in wanted.items())]
    assert len(found) == 1, (name, attributes, shown(spans))
    return found[0]


def way_up(spans: list[Received], span: Received) -> list[str]:
    """The names above a span, the nearest first."""
    by_id, names = {each.span_id: each for each in spans}, []
    while span.parent_id in by_id:
        span = by_id[span.parent_id]
        names.append(span.name)
    return names


async def test_a_task_is_one_tree_from_its_request_to_model_and_sandbox(
    traced: Golden, provider: Provider, collector: Collector
) -> None:
    trace_id = secrets.token_hex(16)
    provider.script("one tree", script(Fault(500, message=MARKER)))
    task_id = await traced.submit(told("one tree"), traceparent=f"00-{trace_id}-{PARENT}-01", baggage=f"k={MARKER}")
    assert (await traced.result(task_id))["state"] == "accepted"
    spans = await trace_of(collector, trace_id)

    request = only(spans, "POST /v1/tasks")
    assert (request.parent_id, request.service) == (PARENT, "golden-gateway")
    assert request.attributes["http.response.status_code"] == 202
    started = ["StartWorkflow:AgentTask", "POST /v1/tasks"]
    assert way_up(spans, only(spans, WHOLE, golden_task_id=task_id)) == started
    asked = ["RunActivity:ask_role", "StartActivity:ask_role", WHOLE, *started]
    calls = [span for span in spans if span.name == "chat scripted" and span.attributes["golden.role"] == "developer"]
    assert [(call.attributes["golden.dispatch"], call.error) for call in calls] == [(1, True), (2, False)]
    assert all(way_up(spans, call) == asked for call in calls)
    voted = ["RunWorkflow:ConsensusRound", "StartChildWorkflow:ConsensusRound", WHOLE, *started]
    for role in VOTERS:
        vote = only(spans, "chat scripted", golden_step=f"ballot/{role}/1")
        assert way_up(spans, vote) == ["RunActivity:ask_role", "StartActivity:ask_role", *voted]
    run = only(spans, "sandbox run")
    assert way_up(spans, run) == ["RunActivity:prove", "StartActivity:prove", WHOLE, *started]
    assert run.events == ("golden.sandbox.taken",) * 2
    assert (run.attributes["golden.sandbox.isolation"], run.attributes["golden.sandbox.tests_passed"]) == ("gvisor", 2)

    answered = calls[1].attributes
    assert (answered["gen_ai.usage.input_tokens"], answered["gen_ai.usage.output_tokens"]) == (100, 20)
    assert answered["golden.cost_micro_usd"] == 100 * 1 + 20 * 2
    assert (answered["gen_ai.provider.name"], answered["gen_ai.request.model"]) == ("openai", "scripted")
    assert calls[0].attributes["error.type"] == "RefusedCall"

    known = {span.span_id for span in spans}
    assert len(known) == len(spans), Counter(span.name for span in spans)
    assert {span.name for span in spans if span.parent_id not in known} == {"POST /v1/tasks"}
    assert max(span.end for span in spans if span.name == WHOLE) > run.end


def both_asked(spans: list[Received]) -> bool:
    """Whether the architect's and the developer's steps were begun, as far as the collector knows."""
    return sum(span.name == "StartActivity:ask_role" for span in spans) == 2


async def test_a_killed_worker_leaves_one_tree_without_a_span_twice(
    traced: Golden, provider: Provider, collector: Collector
) -> None:
    trace_id, gate = secrets.token_hex(16), threading.Event()
    provider.script("killed", script(gates={"developer": gate}))
    task_id = await traced.submit(told("killed"), traceparent=f"00-{trace_id}-{PARENT}-01")
    await traced.until(task_id, lambda task: task["state"] == "developing")
    await asyncio.to_thread(collector.until, both_asked, trace_id)  # what a killed worker has not sent is lost
    for pid in traced.pids("worker"):
        os.kill(pid, signal.SIGKILL)
    gate.set()
    assert (await traced.result(task_id))["state"] == "accepted"
    spans = await trace_of(collector, trace_id)

    assert max(Counter(span.span_id for span in spans).values()) == 1
    workflow = only(spans, WHOLE)
    assert workflow.start < min(span.start for span in spans if span.name.startswith("RunActivity:"))
    known = {span.span_id for span in spans}
    assert {span.name for span in spans if span.parent_id not in known} == {"POST /v1/tasks"}


async def test_no_span_and_no_line_of_a_log_has_a_word_of_the_task(traced: Golden, collector: Collector) -> None:
    assert collector.raw
    assert not [body for body in collector.raw if MARKER.encode() in body]
    assert not [span for span in collector.spans if span.message]
    logs = list(traced.settings.logs_folder.glob("*.log"))
    assert logs
    assert not [log.name for log in logs if MARKER in log.read_text()]


async def test_lines_of_the_logs_name_the_request_the_task_and_the_trace(traced: Golden) -> None:
    lines = [
        json.loads(line)
        for log in traced.settings.logs_folder.glob("*.log")
        for line in log.read_text().splitlines()
        if line.startswith("{")
    ]
    answered = [line for line in lines if line.get("event") == "answered" and line["route"] == "/v1/tasks"]
    assert answered
    assert all({"request_id", "trace_id", "span_id"} <= set(line) for line in answered)


async def test_a_request_of_the_command_line_is_the_root_of_its_trace(traced: Golden, collector: Collector) -> None:
    command = [sys.executable, "-m", "gateway.cli", "tasks"]
    await asyncio.to_thread(subprocess.run, command, env=traced.environment, check=True, capture_output=True)

    def arrived() -> list[Received]:
        return [span for span in collector.spans if span.service == "golden-cli"]

    (asked,) = arrived()
    spans = await asyncio.to_thread(collector.until, lambda spans: len(spans) > 1, asked.trace_id)
    assert asked.parent_id == ""
    assert only(spans, "GET /v1/tasks").parent_id == asked.span_id
