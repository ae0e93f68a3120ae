"""Tells Temporal what an error of ours means: its stable type, whether to try again, and when."""

from datetime import timedelta
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from schema.errors import GoldenError, RetryableError


class FailureInterceptor(Interceptor):
    """Wraps every activity: errors of ours keep their type, others lose their text, which may be a user's."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except GoldenError as error:
            # Without its cause: a provider's or a driver's error carries what a user wrote, and is large.
            raise application_error(error) from None
        except (DBAPIError, PoolTimeout):
            raise ApplicationError("the database did not answer", type="DatabaseUnavailable") from None


def application_error(error: GoldenError) -> ApplicationError:
    """The failure that Temporal records for an error of ours."""
    delay = None
    if isinstance(error, RetryableError) and error.retry_after is not None:
        delay = timedelta(seconds=error.retry_after)
    return ApplicationError(str(error), type=error.type, non_retryable=not error.retryable, next_retry_delay=delay)
