"""The one way in which workflows call activities: a stable id, time limits and retries by kind of step."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True)
class Kind:
    """How a kind of step is tried. `attempts` 0 is without limit."""

    start_to_close: timedelta
    heartbeat: timedelta | None
    attempts: int
    first_delay: timedelta
    longest_delay: timedelta

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            initial_interval=self.first_delay,
            backoff_coefficient=2.0,
            maximum_interval=self.longest_delay,
            maximum_attempts=self.attempts,
        )


SECOND = timedelta(seconds=1)

# Waiting burns no attempts: a full tenant is no failure. Records must be written, however long PostgreSQL is away, and
# a run waits for the container engine as long as the task's deadline lets it. What fails by a bug of ours is not tried
# for ever all the same (activities/failures.py).
WAIT = Kind(start_to_close=30 * SECOND, heartbeat=None, attempts=0, first_delay=SECOND, longest_delay=5 * SECOND)
RECORD = Kind(start_to_close=30 * SECOND, heartbeat=None, attempts=0, first_delay=SECOND, longest_delay=10 * SECOND)
SANDBOX = Kind(
    start_to_close=900 * SECOND, heartbeat=5 * SECOND, attempts=0, first_delay=SECOND, longest_delay=15 * SECOND
)
# Somebody waits for the answer: a container engine that is away is told soon.
EXECUTION = Kind(
    start_to_close=900 * SECOND, heartbeat=5 * SECOND, attempts=3, first_delay=SECOND, longest_delay=3 * SECOND
)
MODEL = Kind(
    start_to_close=900 * SECOND, heartbeat=5 * SECOND, attempts=5, first_delay=SECOND, longest_delay=30 * SECOND
)


class StepFailed(ApplicationError):
    """A step is spent. `error_type` is the stable type of its last error. Uncaught, it fails the workflow."""

    def __init__(self, step: str, error_type: str) -> None:
        super().__init__(f"step {step} failed: {error_type}", type="StepFailed", non_retryable=True)
        self.step = step
        self.error_type = error_type


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
        raise StepFailed(step, _type_of(error)) from error


def _type_of(error: ActivityError) -> str:
    cause = error.cause
    if isinstance(cause, ApplicationError) and cause.type:
        return cause.type
    return type(cause).__name__ if cause is not None else "Unknown"
