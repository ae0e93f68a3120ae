"""Asks a role's model: brief, reserve, call, validate, settle. A retry pays nothing twice."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from temporalio import activity

from activities.events import Event
from schema.errors import BudgetExhausted, InvalidModelOutput, ModelUnavailable
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import AskRoleInput, AskRoleResult
from schema.messages.vote import Ballot

if TYPE_CHECKING:
    from activities.briefs import Material
    from activities.ledger import Call, Ledger, Usage
    from activities.models import Models, ModelTarget, Question, Reply
    from activities.store import TaskStore

MAX_ASKS = 3
HEARTBEAT_SECONDS = 1.0
OVERRUN = 10
"""A usage of more than so many times the worst case is a slip of the provider's."""
ROOM_POLL_SECONDS = 0.3


class LlmActivities:
    """The model calls of all roles."""

    def __init__(self, store: "TaskStore", ledger: "Ledger", models: "Models") -> None:
        self._store = store
        self._ledger = ledger
        self._models = models

    @activity.defn(name="ask_role")
    async def ask_role(self, ask: AskRoleInput) -> AskRoleResult:
        """One role's validated answer.

        Raises:
            InvalidModelOutput: as many answers in a row as an epoch allows were not of the type asked for.
            ModelUnavailable: no model of the route could be reached.
            BudgetExhausted: the task's budget has no room for the call.
        """
        done = await self._store.begin_step(ask.ref, ask.state)
        if done is not None:
            return AskRoleResult.model_validate(done)
        heartbeat = asyncio.create_task(_heartbeat())
        try:
            return await self._answer(ask)
        except (InvalidModelOutput, BudgetExhausted) as error:
            await self._store.fail_step(ask.ref, error.type)
            raise
        finally:
            heartbeat.cancel()

    async def _answer(self, ask: AskRoleInput) -> AskRoleResult:
        past = await self._ledger.past(ask.ref)
        material = await self._material(ask)
        response, asked, error = past.response, past.asks, past.error
        dispatch = past.dispatches
        while response is None:
            if asked >= MAX_ASKS:
                raise InvalidModelOutput(f"{MAX_ASKS} answers in a row were not of the type asked for")
            response, dispatch, error = await self._ask_once(ask, material, asked + 1, dispatch, error)
            if response is None:
                asked, dispatch = asked + 1, 0
        return await self._finish(ask, response)

    async def _ask_once(
        self, ask: AskRoleInput, material: "Material", number: int, dispatch: int, error: str | None
    ) -> tuple[str | None, int, str | None]:
        """One ask along the route: the stored valid response, or None with why it was invalid."""
        from activities.answers import AnswerRefused
        from activities.ledger import Call
        from activities.models import RefusedCall
        from activities.prompts import prompt_version
        from activities.questions import question_for

        unavailable: ModelUnavailable | None = None
        for target in self._models.route(ask.role):
            dispatch += 1
            question = question_for(ask, material, target, number, error)
            call = Call(ask.ref, number, dispatch, worst_case(question))
            await self._reserve(call, ask, target, prompt_version(ask.role))
            try:
                reply = await self._models.call(target, question)
            except RefusedCall as refused:
                await self._ledger.release(call, "refused by the provider")
                unavailable = ModelUnavailable(str(refused), retry_after=refused.retry_after)
                continue
            except ModelUnavailable as failed:
                await self._ledger.uncertain(call)
                unavailable = failed
                continue
            except asyncio.CancelledError:
                await asyncio.shield(self._ledger.uncertain(call))
                raise
            usage = believed(reply.usage, call, target)
            try:
                answer = self._judge(ask, material, target, reply)
            except AnswerRefused as refusal:
                await self._ledger.settle(call, usage, reply.text, invalid=str(refusal)[:500])
                return None, dispatch, str(refusal)[:500]
            return await self._ledger.settle(call, usage, answer, invalid=None), dispatch, None
        raise unavailable or ModelUnavailable("the route names no model")

    async def _reserve(self, call: "Call", ask: AskRoleInput, target: "ModelTarget", version: str) -> None:
        holder = {"role": ask.role, "model": target.model, "prompt_version": version}
        while not await self._ledger.reserve(call, **holder):  # noqa: ASYNC110 (the room is in the database)
            # The siblings of this call hold the room it needs; they settle for less than they hold.
            await asyncio.sleep(ROOM_POLL_SECONDS)

    async def _material(self, ask: AskRoleInput) -> "Material":
        from activities.briefs import Material

        spec = await self._store.spec(ask.ref.task_id, ask.ref.tenant)
        plan, candidate, report, objections = await self._store.texts(
            ask.ref.tenant, ask.plan, ask.candidate, ask.report, ask.objections
        )
        run = SandboxRun.model_validate_json(report) if report is not None else None
        return Material(spec, plan, candidate, run, objections)

    def _judge(self, ask: AskRoleInput, material: "Material", target: "ModelTarget", reply: "Reply") -> str:
        """The answer in its canonical form, or AnswerRefused."""
        from activities.answers import AnswerRefused, parser_for

        if reply.cut and not (ask.role == "developer" and target.lean):
            raise AnswerRefused("the answer was cut off at the token limit: be shorter")
        return parser_for(ask.role, material.spec, ask.evidence, lean=target.lean)(reply.text)

    async def _finish(self, ask: AskRoleInput, response: str) -> AskRoleResult:

        ballot, events = None, []
        if ask.evidence is not None:
            (text,) = await self._store.texts(ask.ref.tenant, response)
            ballot = Ballot.model_validate_json(text or "")
            _, voter, number = ask.ref.step.split("/")
            data = ballot.model_dump(include={"choice", "confidence", "rationale"})
            events.append(Event("ballot", {"voter": voter, "round": int(number), **data}))
        result = AskRoleResult(response=response, ballot=ballot)
        await self._store.finish_step(ask.ref, result, events=events)
        return result


def worst_case(question: "Question") -> int:
    """The most tokens a call may use: every answer token it may have, and one input token for two bytes, which
    is above what tokenizers make of text and code."""
    schema_bytes = len(str(question.schema)) if question.schema else 0
    return question.max_tokens + (len(question.system.encode()) + len(question.user.encode()) + schema_bytes) // 2 + 64


def believed(usage: "Usage", call: "Call", target: "ModelTarget") -> "Usage":
    """What a provider says a call used; what can't be so is not believed, and charged at the reservation instead."""
    from activities.ledger import Usage

    total = usage.input_tokens + usage.output_tokens
    if usage.input_tokens >= 0 and usage.output_tokens >= 0 and 0 < total <= OVERRUN * call.reserved:
        return usage
    return Usage(call.reserved, 0, target.cost(call.reserved, 0))


async def _heartbeat() -> None:
    with suppress(asyncio.CancelledError):
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)
