"""Spans of what activities do outside: calls of models, by the GenAI conventions, and runs in the sandbox."""

import json
import re
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from schema import telemetry
from schema.messages.sandbox import SandboxJob, SandboxRun

if TYPE_CHECKING:
    from activities.ledger import Call, Usage
    from activities.models import Question, Reply
    from activities.routes import ModelTarget

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}")
"""A provider says itself which model answered: what can't be a name is left out."""


@contextmanager
def _span(name: str, kind: SpanKind, attributes: dict[str, str | int | float]) -> Iterator[Span]:
    """A span whose error is told by its type only."""
    begin = telemetry.tracer().start_as_current_span
    with begin(name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise


@contextmanager
def model_span(call: "Call", role: str, version: str, target: "ModelTarget", question: "Question") -> Iterator[Span]:
    """Around one dispatch of a call, named `chat MODEL`.

    Source: OpenTelemetry's semantic conventions for generative AI, client spans.
    """
    provider, _, model = target.model.partition(":")
    attributes: dict[str, str | int | float] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model or provider,
        "gen_ai.request.max_tokens": question.max_tokens,
        "gen_ai.request.temperature": question.temperature,
        "gen_ai.request.seed": question.seed,
        "gen_ai.output.type": "json" if question.schema else "text",
        "golden.role": role,
        "golden.step": call.ref.step,
        "golden.epoch": call.ref.epoch,
        "golden.ask": call.ask,
        "golden.dispatch": call.dispatch,
        "golden.task_id": str(call.ref.task_id),
        "golden.tenant": call.ref.tenant,
        "golden.prompt_version": version,
    }
    host = urlsplit(target.base_url or "").hostname
    if host:
        attributes["server.address"] = host
    with _span(f"chat {model or provider}", SpanKind.CLIENT, attributes) as span:
        yield span


def tell_reply(span: Span, question: "Question", reply: "Reply", usage: "Usage | None", *, spoken: bool) -> None:
    """What came back: what it used and cost, and where `spoken` what was asked and answered."""
    span.set_attribute("gen_ai.response.finish_reasons", ["length" if reply.cut else "stop"])
    if reply.model is not None and _MODEL_NAME.fullmatch(reply.model):
        span.set_attribute("gen_ai.response.model", reply.model)
    if usage is not None:
        span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
        if usage.micro_usd is not None:
            span.set_attribute("golden.cost_micro_usd", usage.micro_usd)
    if spoken and span.is_recording():
        span.set_attribute("gen_ai.system_instructions", json.dumps([{"type": "text", "content": question.system}]))
        span.set_attribute("gen_ai.input.messages", _messages("user", question.user))
        span.set_attribute("gen_ai.output.messages", _messages("assistant", reply.text))


def _messages(role: str, text: str) -> str:
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


async def in_sandbox_span(job: SandboxJob, run: Awaitable[SandboxRun]) -> SandboxRun:
    """Wait for a run, and its control, inside a span; `golden.sandbox.taken` is when a sandbox took one of them."""
    kind = {"golden.sandbox.kind": job.kind, "golden.sandbox.image": job.image}
    with _span(f"sandbox {job.kind}", SpanKind.INTERNAL, {**kind}) as span:
        ended = await run
        passed = sum(test.outcome == "passed" for test in ended.tests)
        span.set_attributes(
            {
                "golden.sandbox.exit_code": ended.exit_code,
                "golden.sandbox.findings": len(ended.findings),
                "golden.sandbox.isolation": ended.isolation or "none",
                "golden.sandbox.limit": ended.limit or "none",
                "golden.sandbox.passed": ended.passed,
                "golden.sandbox.tests_failed": len(ended.tests) - passed,
                "golden.sandbox.tests_passed": passed,
                "golden.sandbox.wall_seconds": ended.usage.wall_seconds,
                "golden.sandbox.cpu_seconds": ended.usage.cpu_seconds,
                "golden.sandbox.peak_memory_mb": ended.usage.peak_memory_mb,
            }
        )
        return ended
