"""The one way in which workflows call activities: a stable id, time limits and retries by kind of step."""

import builtins
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    RetryState,
    TimeoutError,
    TimeoutType,
    is_cancelled_exception,
)

from workflows.kinds import Kind

Input = TypeVar("Input")
Output = TypeVar("Output")


class StepFailed(ApplicationError):
    """A step is spent. `error_type` is the stable type of its last error. Uncaught, it fails the workflow."""

    def __init__(self, step: str, error_type: str, attempts: int = 1, *, told: str = "", detail: str = "") -> None:
        told = told or f"step {step} failed: {error_type}"
        super().__init__(told, type=type(self).__name__, non_retryable=True)
        self.step = step
        self.error_type = error_type
        self.attempts = attempts
        self.detail = detail


async def durable_step(
    kind: Kind,
    activity: Callable[[Any, Input], Awaitable[Output]],
    argument: Input,
    *,
    step: str,
    summary: str,
    task_queue: str | None = None,
    within: timedelta | None = None,
) -> Output:
    """Run one step to its end.

    Args:
        step: its stable id, for example `develop/2`.
        summary: what it is, for whoever looks at the workflow in Temporal's UI.
        within: gives up after this time, retries included.

    Raises:
        StepFailed: its attempts are spent, or trying again can't help.
    """
    try:
        return await workflow.execute_activity_method(
            activity,
            argument,
            activity_id=step,
            task_queue=task_queue,
            start_to_close_timeout=kind.start_to_close,
            schedule_to_close_timeout=within,
            heartbeat_timeout=kind.heartbeat,
            retry_policy=kind.retry_policy,
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
            if kind.heartbeat
            else workflow.ActivityCancellationType.TRY_CANCEL,
            summary=summary,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        spent = error.retry_state is RetryState.MAXIMUM_ATTEMPTS_REACHED
        detail = error.cause.message if isinstance(error.cause, ApplicationError) else ""
        raise StepFailed(step, _type_of(error), kind.attempts if spent else 1, detail=detail) from error


async def woken(condition: Callable[[], bool], seconds: float | None) -> bool:
    """Wait until the condition holds; False if time ran out first. None is without limit."""
    if seconds is not None and seconds <= 0:
        return condition()
    try:
        await workflow.wait_condition(condition, timeout=seconds)
    # The built-in one: `TimeoutError` here is Temporal's.
    except builtins.TimeoutError:
        return False
    return True


def _type_of(error: ActivityError) -> str:
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type:
        return cause.type
    if isinstance(cause, TimeoutError):
        return _TIMEOUTS.get(cause.type or TimeoutType.START_TO_CLOSE, "Timeout")
    return type(cause).__name__ if cause is not None else "Unknown"


_TIMEOUTS = {TimeoutType.HEARTBEAT: "HeartbeatTimeout", TimeoutType.START_TO_CLOSE: "StepTimeout"}
"""The first is a worker that died or hung: what kills each worker that tries it ends so."""
