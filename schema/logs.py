"""JSON logs on standard output, one object a line, without secrets and without what users and models wrote."""

import logging
import sys
import threading
import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import structlog
from opentelemetry import trace
from temporalio import activity, workflow
from temporalio.exceptions import ApplicationError

from schema.errors import SettingsError
from schema.redaction import redact_event

MAX_FRAMES = 12
"""Of an error, the innermost."""


def configure_logs(level: str, process: str) -> None:
    """Send the logs of this process, our own and the libraries', to standard output as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_trace,
        name_workflow,
        place_error,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact_event,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "temporalio.activity", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # What they know is in fields of the line; their messages need not repeat it.
    activity.logger.activity_info_on_message = False
    workflow.logger.workflow_info_on_message = False
    structlog.contextvars.bind_contextvars(process=process)
    # What nobody catches would be printed as it is.
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(told.exc_type, told.exc_value, told.exc_traceback)


def name_trace(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor: the trace and the span of the line, where it is written inside one of ours."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid and not context.is_remote:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def name_workflow(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor: task, workflow, run, step and attempt of a line of `workflow.logger`, or of the SDK."""
    record = event.get("_record")
    for extra in ("temporal_workflow", "temporal_activity"):
        told = getattr(record, extra, None)
        if isinstance(told, Mapping):
            for name, as_told in _SDK_FIELDS.items():
                if told.get(name) is not None:
                    event.setdefault(as_told, told[name])
    kind, _, rest = str(event.get("workflow_id", "")).partition("/")
    if kind in ("task", "vote") and rest:
        event.setdefault("task", rest.partition("/")[0])
    return event


_SDK_FIELDS = {
    "workflow_id": "workflow_id",
    "run_id": "run_id",
    "workflow_run_id": "run_id",
    "workflow_type": "workflow",
    "activity_id": "step",
    "activity_type": "activity",
    "attempt": "attempt",
}


def place_error(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A processor: an exception by its type and place. Its message may quote what a user or a model wrote."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else given[1] if isinstance(given, tuple) else None
    if given and error is None:
        error = sys.exc_info()[1]
    if error is not None:
        event.setdefault("error", error.type if isinstance(error, ApplicationError) and error.type else _name(error))
        frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
        event["place"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        # These are about our code, the machine and its settings.
        if isinstance(error, SettingsError | NameError | ImportError):
            event["reason"] = str(error)
        elif isinstance(error, OSError) and error.strerror:
            event["reason"] = error.strerror
    return event


def _name(error: BaseException) -> str:
    return type(error).__name__


def _log_uncaught(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    if error is not None:
        logging.getLogger(__name__).critical("uncaught error", exc_info=(kind, error, trace))
