"""Tells Temporal what an error means: its stable type, whether to try again, and when."""

import asyncio
import traceback
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory, CancelledError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from schema.errors import (
    BudgetBusy,
    GoldenError,
    NotAdmitted,
    NotYet,
    RetryableError,
    RouteClosed,
    SandboxBusy,
)

BUG_ATTEMPTS = 5
"""So often an error that nobody foresaw is tried again; waiting for something that is away has no such limit."""

LONGEST_DELAY_SECONDS = 60.0
"""A provider's `Retry-After` is believed up to here; past it, looking again costs less than waiting."""

log = structlog.get_logger()


class FailureInterceptor(Interceptor):
    """Wraps every activity. Failures go without their causes: those carry what users wrote, and can be large."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(next)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        try:
            return await super().execute_activity(input)
        except (ApplicationError, CancelledError, asyncio.CancelledError):
            raise
        except GoldenError as error:
            raise application_error(error) from None
        except (OperationalError, InterfaceError, PoolTimeout):
            raise ApplicationError("the database did not answer", type="DatabaseUnavailable") from None
        except Exception as error:
            raise _bug(error) from None


def application_error(error: GoldenError) -> ApplicationError:
    """The failure that Temporal records for an error of ours."""
    delay = None
    if isinstance(error, RetryableError) and error.retry_after is not None:
        delay = timedelta(seconds=min(error.retry_after, LONGEST_DELAY_SECONDS))
    waiting = isinstance(error, NotAdmitted | NotYet | RouteClosed | BudgetBusy | SandboxBusy)
    return ApplicationError(
        str(error),
        type=error.type,
        non_retryable=not error.retryable,
        next_retry_delay=delay,
        # Waiting is not failing: nobody wants it in a log or counted as an error.
        category=ApplicationErrorCategory.BENIGN if waiting else ApplicationErrorCategory.UNSPECIFIED,
    )


def _bug(error: Exception) -> ApplicationError:
    """An error of ours that has no name yet: logged by type and place, since its text may be a user's."""
    info, kind = activity.info(), type(error).__name__
    place = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-6:]
    ]
    log.error("activity failed", activity=info.activity_type, step=info.activity_id, error=kind, place=place)
    last = info.attempt >= BUG_ATTEMPTS
    return ApplicationError(f"{kind} in {info.activity_type}", type=kind, non_retryable=last)
