"""`POST /v1/sandbox/executions`: a program in the sandbox, and how it ended; the row first, then the engine."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError, TimeoutError
from temporalio.service import RPCError
from uuid_utils.compat import uuid7

from gateway.audit import record_act
from gateway.idempotency import claim_key
from gateway.problems import (
    DATABASE_UNAVAILABLE,
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    RETRY_SECONDS,
    SANDBOX_UNAVAILABLE,
    TEMPORAL_UNAVAILABLE,
    Problem,
    ProblemKind,
)
from gateway.rate_limits import RateLimit
from gateway.services import Call
from gateway.submission import REPEATED, check_image
from schema import engine
from schema.audit import payload_digest
from schema.messages.execution import ExecutionSpec, SandboxExecutionInput, SandboxExecutionResult
from schema.settings import Settings
from schema.texts import canonical_json, get_text, put_text

ROUTE = "POST /v1/sandbox/executions"
ANSWER_SECONDS = 10
"""How much longer than the run the answer may take."""

Handle = WorkflowHandle[Any, SandboxExecutionResult]

_FAILURES: dict[str, tuple[ProblemKind, str]] = {
    "SandboxBusy": (SANDBOX_UNAVAILABLE, "every sandbox is taken"),
    "SandboxUnavailable": (SANDBOX_UNAVAILABLE, "the container engine does not answer"),
    "IsolationRequired": (
        SANDBOX_UNAVAILABLE,
        "the required isolation is not there: `golden doctor` on the worker's machine says what is missing",
    ),
    "FinalError": (
        SANDBOX_UNAVAILABLE,
        "the worker's sandbox can't take this: its GOLDEN_SANDBOX_IMAGES must be the gateway's",
    ),
    "DatabaseUnavailable": (DATABASE_UNAVAILABLE, "the run could not be recorded"),
}


def _per_minute(settings: Settings) -> int:
    return settings.sandbox_per_minute


ADDRESS_LIMIT = RateLimit("sandbox", _per_minute)


async def execute(call: Call) -> Response:
    """Run a program and answer with its `SandboxRun`; the same key and body find the first answer."""
    spec = call.body(ExecutionSpec)
    check_image(call, spec.image)
    execution, first = await _accept(call, spec)
    try:
        handle = await engine.start_execution(call.services.temporal, execution)
    except (RPCError, RuntimeError):  # the SDK says RuntimeError where it can't connect
        detail = "the run could not be started: a retry with the same Idempotency-Key finds it if it was"
        raise _unavailable(TEMPORAL_UNAVAILABLE, detail) from None
    result = await _result(call, execution, handle, mine=first)
    async with call.services.database.tenant(call.tenant) as connection:
        report = await get_text(connection, call.tenant, result.report)
    return Response(report, media_type="application/json")


async def _accept(call: Call, spec: ExecutionSpec) -> tuple[SandboxExecutionInput, bool]:
    """Store the program and tell the audit log; False with the first execution where the key was used before."""
    execution_id, key, first = uuid7(), call.idempotency_key, None
    async with call.services.database.tenant(call.tenant) as connection:
        if key is not None:
            digest = payload_digest(spec.model_dump(mode="json", exclude_unset=True))
            first = await claim_key(connection, call, route=ROUTE, key=key, digest=digest, task_id=execution_id)
        body = canonical_json(spec.model_dump(mode="json"))
        job = await put_text(connection, call.tenant, body, first or execution_id, of_run=True)
        reason = REPEATED if first else None
        await record_act(connection, call, object=str(first or execution_id), digest=job, reason=reason)
    execution = SandboxExecutionInput(
        execution_id=first or execution_id,
        tenant=call.tenant,
        job=job,
        longest_seconds=spec.longest_seconds,
        actor=call.principal.sub,
        role=call.principal.role,
        request_id=call.request.state.request_id,
    )
    return execution, first is None


async def _result(
    call: Call, execution: SandboxExecutionInput, handle: Handle, *, mine: bool
) -> SandboxExecutionResult:
    """How it ended. Where nobody waits for that any more, and it is this request's own, it is cancelled."""
    waiting = asyncio.create_task(handle.result())
    leaving = asyncio.create_task(_left(call.request))
    try:
        seconds = execution.longest_seconds + ANSWER_SECONDS
        await asyncio.wait({waiting, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        if leaving.done():
            raise Problem(MALFORMED_REQUEST, "the client left before the answer")
        raise _unavailable(SANDBOX_UNAVAILABLE, "the run did not end in time")
    except WorkflowFailureError as error:
        raise _problem_of(error) from None
    except RPCError:
        raise _unavailable(TEMPORAL_UNAVAILABLE, "how the run ended is not known") from None
    finally:
        if mine and not waiting.done():
            cancelling = handle.cancel(rpc_timeout=engine.RPC_TIMEOUT)
            await call.services.messenger.tell("cancel", execution.execution_id, cancelling)
        waiting.cancel()
        leaving.cancel()
        await asyncio.gather(waiting, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    """Return when the client has closed its connection; its body is read already."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _problem_of(error: WorkflowFailureError) -> Problem:
    """What the end of a failed workflow means for a client: its cause is the last of a chain."""
    cause: BaseException | None = error.cause
    waited = False
    while cause is not None:
        if isinstance(cause, ApplicationError) and cause.type in _FAILURES:
            return _unavailable(*_FAILURES[cause.type])
        waited = waited or isinstance(cause, TimeoutError | CancelledError)
        cause = cause.__cause__
    if waited:
        return _unavailable(SANDBOX_UNAVAILABLE, "no sandbox took it in time, or the run was cancelled")
    return Problem(INTERNAL_ERROR, "the error was logged where it was run")


def _unavailable(kind: ProblemKind, detail: str) -> Problem:
    return Problem(kind, detail, headers={"Retry-After": str(RETRY_SECONDS)})
