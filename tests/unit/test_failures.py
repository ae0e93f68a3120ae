"""What Temporal is told when an activity fails."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.failures import BUG_ATTEMPTS, FailureInterceptor
from schema.errors import GoldenError, InvalidModelOutput, ModelUnavailable, NotAdmitted, RetryableError

SECRET = "what a user wrote"


class Failing(ActivityInboundInterceptor):
    """An activity that fails with one error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        raise self._error


async def failure_of(error: Exception, attempt: int = 1) -> ApplicationError:
    environment = ActivityEnvironment()
    environment.info = activity.Info(**{**environment.info.__dict__, "attempt": attempt})
    wrapped = FailureInterceptor().intercept_activity(Failing(error))
    call: Callable[..., Any] = wrapped.execute_activity
    with pytest.raises(ApplicationError) as raised:
        await environment.run(call, None)
    return raised.value


@pytest.mark.parametrize(
    ("error", "kind", "final"),
    [
        (InvalidModelOutput("no"), "InvalidModelOutput", True),
        (ModelUnavailable("no"), "ModelUnavailable", False),
        (OperationalError(SECRET, {}, Exception(SECRET)), "DatabaseUnavailable", False),
        (KeyError(SECRET), "KeyError", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_an_error_keeps_its_type_and_says_whether_to_try_again(error: Exception, kind: str, final: bool) -> None:
    failure = await failure_of(error)
    assert (failure.type, failure.non_retryable) == (kind, final)


async def test_an_error_says_when_to_try_again() -> None:
    delay = (await failure_of(NotAdmitted("full", retry_after=1.5))).next_retry_delay
    assert delay is not None
    assert delay.total_seconds() == 1.5


async def test_a_bug_is_tried_a_few_times_and_not_for_ever() -> None:
    assert not (await failure_of(KeyError(SECRET), BUG_ATTEMPTS - 1)).non_retryable
    assert (await failure_of(KeyError(SECRET), BUG_ATTEMPTS)).non_retryable


@pytest.mark.parametrize(
    "error", [KeyError(SECRET), OperationalError(SECRET, {}, Exception(SECRET))], ids=["bug", "db"]
)
async def test_no_text_of_a_user_gets_into_a_failure(error: Exception) -> None:
    failure = await failure_of(error)
    assert SECRET not in f"{failure} {failure.__cause__} {failure.details}"
    assert failure.__suppress_context__


def test_every_error_has_a_stable_type_and_says_whether_it_may_pass() -> None:
    def below(kind: type[GoldenError]) -> list[type[GoldenError]]:
        return [each for child in kind.__subclasses__() for each in (child, *below(child))]

    for kind in below(GoldenError):
        assert kind.type == kind.__name__
        assert kind.retryable == issubclass(kind, RetryableError)
