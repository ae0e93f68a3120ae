"""Tells every line of an activity's log, and its span, which task, step and attempt it belongs to."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from opentelemetry import trace
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class ContextInterceptor(Interceptor):
    """Wraps every activity, outside `FailureInterceptor`: the lines of a failure are its activity's too."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info, span = activity.info(), trace.get_current_span()
        named = named_in(input.args)
        span.set_attributes({f"golden.{name}": value for name, value in named.items()})
        span.set_attributes({"golden.activity": info.activity_type, "golden.attempt": info.attempt})
        began, scheduled = info.started_time, info.current_attempt_scheduled_time
        span.set_attribute("golden.waited_seconds", round((began - scheduled).total_seconds(), 3))
        told: dict[str, Any] = {
            "activity": info.activity_type,
            "step": info.activity_id,
            "attempt": info.attempt,
            "workflow_id": info.workflow_id,
            "run_id": info.workflow_run_id,
        }
        if "task_id" in named:
            told["task"] = named["task_id"]
        with structlog.contextvars.bound_contextvars(**told):
            try:
                return await super().execute_activity(input)
            except ApplicationError as error:
                span.set_attribute("error.type", error.type or type(error).__name__)
                raise


def named_in(arguments: Sequence[Any]) -> Mapping[str, str]:
    """The task and the tenant that an activity's message is about, as far as it says so."""
    named: dict[str, str] = {}
    for message in arguments[:1]:
        for part in (getattr(message, "ref", None), message):
            for name in ("task_id", "tenant"):
                value = getattr(part, name, None)
                if value is not None:
                    named.setdefault(name, str(value))
    return named
