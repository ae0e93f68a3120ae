"""Dispatches of one ask along its route: circuit, turn, reservation, call. The first model that may be called is asked.

Whatever a call comes to, its reservation ends: settled by whoever judges the answer, released where the provider did
no work, charged at its estimate where nobody can know.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from activities.briefs import Material
from activities.circuit import Outcome, Rules
from activities.circuits import Blocked, Circuits
from activities.ledger import Call, Ledger, Usage
from activities.meters import count, observe
from activities.models import Models, Question, RefusedCall, Reply
from activities.prompt_store import base_of
from activities.questions import question_for
from activities.routes import ModelTarget
from activities.tracing import model_span, tell_reply
from activities.wording import Lesson
from schema import metrics
from schema.errors import AnswerTooLong, ModelUnavailable, RouteClosed
from schema.messages.steps import AskRoleInput

MOST_TOKENS = 10_000_000
"""No model reads or writes more in one call: a usage above it is a slip of the provider's."""

BYTES_A_TOKEN = 2
"""Of text and code; what tokenizers make of them is above it."""

UNCOUNTED_TOKENS = 64
"""What a provider adds around messages."""


@dataclass(frozen=True)
class Answered:
    """A call that was answered, and is to be settled. `usage` is None where the provider said nothing believable."""

    call: Call
    target: ModelTarget
    reply: Reply
    usage: Usage | None


class Dispatcher:
    """Sends calls, each once, each under a reservation."""

    def __init__(
        self, ledger: Ledger, models: Models, circuits: Circuits, rules: Rules, *, spoken: bool = False
    ) -> None:
        """`spoken`: spans hold what was asked and answered."""
        self._ledger = ledger
        self._models = models
        self._circuits = circuits
        self._rules = rules
        self._spoken = spoken

    async def blocked(self, ask: AskRoleInput) -> float | None:
        """Seconds until it is worth to try again; None where a model of the route may be called, or none is to be."""
        waits = [await self._circuits.wait(target.circuit) for target in self.targets(ask)]
        return None if None in waits or not waits else min(wait for wait in waits if wait is not None)

    def targets(self, ask: AskRoleInput) -> list[ModelTarget]:
        """The models to ask, in their order. No small model words a guideline: a route of such alone has none.

        Raises:
            RouteUnknown: a redrive named a model that is in no route.
        """
        route = self._models.route(ask.role, ask.route)
        return [target for target in route if not (target.lean and ask.role == "supervisor")]

    async def ask(
        self, ask: AskRoleInput, material: Material | Lesson, number: int, dispatch: int, error: str | None
    ) -> Answered:
        """Ask number `number` of a step, after `dispatch` dispatches of it.

        Raises:
            RouteClosed: no circuit of the route lets a call through.
            ModelUnavailable: those that were called gave no answer.
            BudgetBusy, BudgetExhausted, PriceUnknown, TaskGone: as `Ledger.reserve`.
        """
        failed: ModelUnavailable | None = None
        version = (material.prompt or base_of(ask.role)).version
        for target in self.targets(ask):
            question = question_for(ask, material, target, number, error)
            try:
                async with self._models.turn(target):
                    answered = await self._if_admitted(ask, version, target, question, number, dispatch + 1)
            except ModelUnavailable as unavailable:
                failed, dispatch = unavailable, dispatch + 1
                continue
            if answered is not None:
                return answered
        # Whose failure opened the last circuit has not spent its attempts on a provider that is down.
        if failed is None or await self.blocked(ask) is not None:
            raise RouteClosed("every circuit of the route is open, or paused by its provider")
        raise failed

    async def _if_admitted(
        self, ask: AskRoleInput, version: str, target: ModelTarget, question: Question, number: int, dispatch: int
    ) -> Answered | None:
        """Call a model if its circuit lets the call through, and tell the circuit how it ended."""
        permit = await self._circuits.permit(target.circuit)
        if isinstance(permit, Blocked):
            return None
        outcome, retry_after = Outcome.UNKNOWN, None
        try:
            call = await self._reserve(ask, version, target, question, number, dispatch)
            began = time.monotonic()
            with model_span(call, ask.role, version, target, question) as span:
                reply = await self._call(call, target, question)
                usage = believed(reply.usage)
                tell_reply(span, question, reply, usage, spoken=self._spoken)
            outcome = self._rules.answered(time.monotonic() - began)
            return Answered(call, target, reply, usage)
        except RefusedCall as refused:
            if not refused.ours:
                outcome = Outcome.QUOTA if refused.quota else Outcome.FAILURE
            retry_after = refused.retry_after
            raise ModelUnavailable(str(refused), retry_after=retry_after) from refused
        except AnswerTooLong:
            raise
        except ModelUnavailable:
            outcome = Outcome.FAILURE
            raise
        finally:
            # Also of a call that was never made: it may have been the one probe.
            report = self._circuits.report(target.circuit, outcome, retry_after=retry_after, probe=permit.probe)
            await asyncio.shield(report)

    async def _reserve(
        self, ask: AskRoleInput, version: str, target: ModelTarget, question: Question, number: int, dispatch: int
    ) -> Call:
        reading, writing = worst_case(question)
        call = Call(ask.ref, number, dispatch, reading + writing, target.cost(reading, writing), ask.role)
        await self._ledger.reserve(call, role=ask.role, model=target.model, prompt_version=version)
        return call

    async def _call(self, call: Call, target: ModelTarget, question: Question) -> Reply:
        try:
            with _counted(target.model):
                return await self._models.call(target, question)
        except RefusedCall as refused:
            await self._ledger.release(call, str(refused))
            raise
        except (ModelUnavailable, asyncio.CancelledError):
            await asyncio.shield(self._ledger.uncertain(call))
            raise


@contextmanager
def _counted(model: str) -> Iterator[None]:
    """Count how long a call took, and one that gave no answer; what an answer is worth its judge counts."""
    began = time.monotonic()
    try:
        yield
    except (RefusedCall, ModelUnavailable, asyncio.CancelledError) as error:
        count(metrics.LLM_REQUESTS, 1, model, _outcome_of(error))
        raise
    finally:
        observe(metrics.LLM_SECONDS, time.monotonic() - began, model)


def _outcome_of(error: BaseException) -> str:
    if isinstance(error, RefusedCall):
        return "refused"
    if isinstance(error, AnswerTooLong):
        return "invalid"
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    # The SDKs of the providers have timeouts of their own, each with its own name.
    cause = error.__cause__
    return "timeout" if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ else "failed"


def worst_case(question: Question) -> tuple[int, int]:
    """The most tokens that a call may read, and those that it may write."""
    schema_bytes = len(str(question.schema)) if question.schema else 0
    begun = len(question.draft.opening.encode()) if question.draft else 0
    read = len(question.system.encode()) + len(question.user.encode()) + schema_bytes + begun
    return read // BYTES_A_TOKEN + UNCOUNTED_TOKENS, question.max_tokens


def believed(usage: Usage) -> Usage | None:
    """What a provider says a call used; None where that can't be so."""
    counts = (usage.input_tokens, usage.output_tokens)
    return usage if min(counts) >= 0 and 0 < sum(counts) <= MOST_TOKENS else None
