"""Asks a role's model: brief, reserve, call, validate, settle. A retry pays nothing twice."""

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING

from temporalio import activity

from activities.events import Event
from activities.meters import count
from schema import metrics
from schema.errors import (
    BudgetBusy,
    BudgetExhausted,
    InvalidModelOutput,
    ModelUnavailable,
    NotYet,
    PriceUnknown,
    RouteClosed,
)
from schema.messages.steps import AskRoleInput, AskRoleResult
from schema.messages.vote import Ballot

if TYPE_CHECKING:
    from activities.briefs import Material
    from activities.dispatch import Dispatcher
    from activities.ledger import Ledger
    from activities.models import Reply
    from activities.routes import ModelTarget
    from activities.store import TaskStore
    from activities.wording import Lesson

MAX_ASKS = 3
HEARTBEAT_SECONDS = 1.0
LOOK_SECONDS = (0.5, 1.5)
"""Between two looks at a task's budget, drawn at random."""


class LlmActivities:
    """The model calls of all roles."""

    def __init__(self, store: "TaskStore", ledger: "Ledger", dispatcher: "Dispatcher") -> None:
        self._store = store
        self._ledger = ledger
        self._dispatcher = dispatcher

    @activity.defn(name="ask_role")
    async def ask_role(self, ask: AskRoleInput) -> AskRoleResult:
        """One role's validated answer.

        Raises:
            InvalidModelOutput: as many answers in a row as an epoch allows were not of the type asked for.
            ModelUnavailable: no model of the route answered.
            RouteClosed: no model of the route may be called now.
            BudgetBusy: other calls of the task hold what this one needs.
            BudgetExhausted, PriceUnknown: the task's budget has no room for the call, or nobody knows its price.
            Overtaken: another attempt of the step is under way.
            SealBroken: the prompt, or a text that is asked about, is not the one that was stored.
            RouteUnknown: a redrive named a model that is in no route.
        """
        heartbeat = asyncio.create_task(_heartbeat())
        try:
            return await self._answer(ask)
        except (InvalidModelOutput, BudgetExhausted, PriceUnknown) as error:
            await self._store.fail_step(ask.ref, error.type)
            raise
        except ModelUnavailable as error:
            await self._store.tell_step(ask.ref, "retrying", error.type)
            raise
        finally:
            heartbeat.cancel()

    @activity.defn(name="await_turn")
    async def await_turn(self, ask: AskRoleInput) -> None:
        """Returns when a call of this step may go out: a circuit of its route lets it, its budget has room.

        Raises:
            NotYet: it is tried again without limit; that writes no events.
        """
        blocked = await self._dispatcher.blocked(ask)
        # An attempt that lost the database left its call open: what that holds is nobody else's to end.
        await self._ledger.past(ask.ref)
        busy = blocked is None and await self._ledger.is_busy(ask.ref)
        if (blocked is not None or busy) and activity.info().attempt == 1:
            await self._store.tell_step(ask.ref, "waiting", BudgetBusy.type if busy else RouteClosed.type)
        if blocked is not None:
            raise NotYet("every circuit of the route is open, or paused by its provider", retry_after=blocked)
        if busy:
            wait = random.uniform(*LOOK_SECONDS)  # noqa: S311
            raise NotYet("other calls of the task hold what this one may need", retry_after=wait)

    async def _answer(self, ask: AskRoleInput) -> AskRoleResult:
        from activities.ask_store import open_ask

        opened = await open_ask(self._ledger.database, ask)
        if opened.material is None:
            return AskRoleResult.model_validate(opened.result)
        past, material = opened.past, opened.material
        if past.response is None and not self._dispatcher.targets(ask):
            return await self._finish_by_rule(ask, material)
        response, asked, error, dispatch = past.response, past.asks, past.error, past.dispatches
        while response is None:
            if asked >= MAX_ASKS:
                raise InvalidModelOutput(f"{MAX_ASKS} answers in a row were not of the type asked for")
            response, dispatch, error = await self._ask_once(ask, material, asked + 1, dispatch, error)
            if response is None:
                asked, dispatch = asked + 1, 0
        return await self._finish(ask, response)

    async def _ask_once(
        self, ask: AskRoleInput, material: "Material | Lesson", number: int, dispatch: int, error: str | None
    ) -> tuple[str | None, int, str | None]:
        """One ask along the route: the stored valid response, or None with why it was invalid."""
        from activities.answers import AnswerRefused
        from schema.texts import digest_of

        answered = await self._dispatcher.ask(ask, material, number, dispatch, error)
        try:
            answer = self._judge(ask, material, answered.target, answered.reply)
        except AnswerRefused as refusal:
            told = str(refusal)[:500]
            await self._ledger.settle(answered.call, answered.usage, answered.reply.text, invalid=told)
            count(metrics.LLM_REQUESTS, 1, answered.target.model, "invalid")
            return None, answered.call.dispatch, told
        stored = await self._ledger.settle(answered.call, answered.usage, answer, invalid=None)
        count(metrics.LLM_REQUESTS, 1, answered.target.model, "ok")
        if stored == digest_of(answer):
            self._store.remember(ask.ref.tenant, stored, answer)
        return stored, answered.call.dispatch, None

    def _judge(self, ask: AskRoleInput, material: "Material | Lesson", target: "ModelTarget", reply: "Reply") -> str:
        """The answer in its canonical form, or AnswerRefused."""
        from activities.answers import AnswerRefused, parser_for
        from activities.wording import Lesson, parse_guideline

        if reply.cut and not (ask.role == "developer" and target.lean):
            raise AnswerRefused("the answer was cut off at the token limit: be shorter")
        if isinstance(material, Lesson):
            return parse_guideline(reply.text)
        return parser_for(ask.role, material.spec, ask.evidence, lean=target.lean)(reply.text)

    async def _finish_by_rule(self, ask: AskRoleInput, material: "Material | Lesson") -> AskRoleResult:
        """Where only small models could word a guideline a table does, and nothing is charged."""
        from activities.wording import Lesson, pattern_of
        from activities.wording_rules import worded_by_rule
        from schema.texts import canonical_json, digest_of

        if not isinstance(material, Lesson):
            raise RouteClosed("the route has no model to ask")
        body = canonical_json({"guideline": worded_by_rule(pattern_of(material.learning))})
        result = AskRoleResult(response=digest_of(body))
        first = await self._store.finish_step(ask.ref, result, texts=[body])
        return result if first is None else AskRoleResult.model_validate(first)

    async def _finish(self, ask: AskRoleInput, response: str) -> AskRoleResult:
        ballot, events = None, []
        if ask.evidence is not None:
            (text,) = await self._store.texts(ask.ref.tenant, response)
            ballot = Ballot.model_validate_json(text or "")
            _, voter, number = ask.ref.step.split("/")
            data = ballot.model_dump(include={"choice", "confidence", "rationale"})
            events.append(Event("ballot", {"voter": voter, "round": int(number), **data}))
        result = AskRoleResult(response=response, ballot=ballot)
        first = await self._store.finish_step(ask.ref, result, events=events)
        return result if first is None else AskRoleResult.model_validate(first)


async def _heartbeat() -> None:
    with suppress(asyncio.CancelledError):
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)
