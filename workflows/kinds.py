"""How each kind of step is tried: time limits, attempts, pauses, and what is waited for. One table."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio.common import RetryPolicy

SECOND = timedelta(seconds=1)

AWAY = frozenset({"DatabaseUnavailable"})
"""What a step waits for whatever it does."""


@dataclass(frozen=True)
class Kind:
    """How a kind of step is tried.

    Attributes:
        attempts: when so many have failed the step is spent; 0 is without limit.
        waits_for: types of errors that are no failure of the step. It is not tried again: an activity of its own,
            with attempts without limit, waits until what is missing is there; then the step begins anew.
    """

    start_to_close: timedelta
    heartbeat: timedelta | None
    attempts: int
    first_delay: timedelta
    longest_delay: timedelta
    waits_for: frozenset[str] = frozenset()

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            initial_interval=self.first_delay,
            backoff_coefficient=2.0,
            maximum_interval=self.longest_delay,
            maximum_attempts=self.attempts,
            non_retryable_error_types=sorted(self.waits_for),
        )


# Waiting burns no attempts: a full tenant is no failure. Records must be written, however long PostgreSQL is away.
# What fails by a bug of ours is not tried for ever all the same (activities/failures.py).
WAIT = Kind(start_to_close=30 * SECOND, heartbeat=None, attempts=0, first_delay=SECOND, longest_delay=5 * SECOND)
RECORD = Kind(start_to_close=30 * SECOND, heartbeat=None, attempts=0, first_delay=SECOND, longest_delay=10 * SECOND)
MODEL = Kind(
    start_to_close=900 * SECOND,
    heartbeat=5 * SECOND,
    attempts=5,
    first_delay=SECOND,
    longest_delay=30 * SECOND,
    waits_for=AWAY | {"RouteClosed", "BudgetBusy"},
)
SANDBOX = Kind(
    start_to_close=900 * SECOND,
    heartbeat=5 * SECOND,
    attempts=5,
    first_delay=SECOND,
    longest_delay=15 * SECOND,
    waits_for=AWAY | {"SandboxBusy", "SandboxUnavailable"},
)
# Somebody waits for the answer: a container engine that is away is told soon.
EXECUTION = Kind(
    start_to_close=900 * SECOND, heartbeat=5 * SECOND, attempts=3, first_delay=SECOND, longest_delay=3 * SECOND
)

KINDS = {"wait": WAIT, "record": RECORD, "model": MODEL, "sandbox": SANDBOX, "execution": EXECUTION}
