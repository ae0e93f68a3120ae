"""The ledger of model calls: what is held before a call goes out, what is charged after. One charge for a call.

Each move is one function of the database (`ledger_reserve`, `ledger_settle`), and so one transaction: the task's
account, the call and its entries change together or not at all. `sent` is committed before a byte leaves; a retry that
finds it without a response charges that dispatch at its estimate, and opens the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, BindParameter, Integer, Text, Uuid, bindparam, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from activities.meters import count
from schema import metrics
from schema.database import Database, after_commit
from schema.errors import BudgetBusy, BudgetExhausted, Overtaken, PriceUnknown, TaskGone
from schema.messages.steps import StepRef
from schema.tables import model_calls, tasks, texts
from schema.texts import digest_of, storable

_KEY: tuple[BindParameter[Any], ...] = (
    bindparam("tenant", type_=Text()),
    bindparam("task", type_=Uuid()),
    bindparam("step", type_=Text()),
    *(bindparam(name, type_=Integer()) for name in ("epoch", "ask", "dispatch")),
)
_RESERVE = text(
    "SELECT ledger_reserve(:tenant, :task, :step, :epoch, :ask, :dispatch, "
    ":role, :model, :prompt_version, :tokens, :micro_usd)"
).bindparams(*_KEY, bindparam("tokens", type_=BigInteger), bindparam("micro_usd", type_=BigInteger))
_SETTLE = text(
    "SELECT ledger_settle(:tenant, :task, :step, :epoch, :ask, :dispatch, "
    ":kind, :input, :output, :micro_usd, :response, :body, :invalid)"
).bindparams(
    *_KEY,
    *(bindparam(name, type_=BigInteger) for name in ("input", "output", "micro_usd")),
    bindparam("body", type_=texts.c.body.type),
    bindparam("invalid", type_=model_calls.c.invalid.type),
)

End = Literal["settle", "uncertain", "release", "expire"]


@dataclass(frozen=True)
class Call:
    """One dispatch of one ask of one step.

    Attributes:
        reserved: tokens that it may use at most.
        reserved_micro_usd: what they cost at most; None where the price is unknown.
        role: whose call it is, for what is counted; nothing of the ledger goes by it.
    """

    ref: StepRef
    ask: int
    dispatch: int
    reserved: int
    reserved_micro_usd: int | None = None
    role: str = ""

    @property
    def key(self) -> dict[str, Any]:
        ref = self.ref
        named = {"tenant": ref.tenant, "task": ref.task_id, "step": ref.step, "epoch": ref.epoch}
        return {**named, "ask": self.ask, "dispatch": self.dispatch}


@dataclass(frozen=True)
class Usage:
    """What a call used. `micro_usd` is None where the price is unknown."""

    input_tokens: int
    output_tokens: int
    micro_usd: int | None = None


@dataclass(frozen=True)
class Past:
    """What an earlier attempt of a step left behind.

    Attributes:
        response: reference of the valid response, if there is one.
        asks: asks that were answered, all of them invalidly.
        dispatches: dispatches of the ask that is still open.
        error: why the last answer was invalid.
    """

    response: str | None = None
    asks: int = 0
    dispatches: int = 0
    error: str | None = None


class Ledger:
    """The accounts of tasks."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def past(self, ref: StepRef) -> Past:
        """What happened to a step so far; a dispatch whose end is unknown is charged as uncertain."""
        async with self.database.tenant(ref.tenant) as connection:
            await _lock_task(connection, ref.task_id)
            return await past_of(connection, ref)

    async def is_busy(self, ref: StepRef) -> bool:
        """Whether calls of the task are under way, which hold a part of its budget."""
        async with self.database.tenant(ref.tenant) as connection:
            held = await connection.scalar(select(tasks.c.held_tokens).where(tasks.c.task_id == ref.task_id))
        return bool(held)

    async def reserve(self, call: Call, *, role: str, model: str, prompt_version: str) -> None:
        """Hold the worst case of a call and mark it as sent.

        Raises:
            BudgetBusy: siblings hold what it needs; they will settle for less, or for no more.
            BudgetExhausted: even with everything released, the task's budget has no room for it.
            Overtaken: another attempt of the step has made this very call.
            PriceUnknown: money is limited, and the call has no price.
            TaskGone: the task is unknown or final.
        """
        named = {"role": role, "model": model, "prompt_version": prompt_version}
        values = {**call.key, **named, "tokens": call.reserved, "micro_usd": call.reserved_micro_usd}
        try:
            async with self.database.function() as connection:
                answer = await connection.scalar(_RESERVE, values)
        except IntegrityError:
            raise Overtaken("another attempt of the step has made this call") from None
        if answer == "busy":
            raise BudgetBusy("other calls of the task hold what this one may need")
        if answer == "spent":
            raise BudgetExhausted(await self._lack(call))
        if answer == "unpriced":
            raise PriceUnknown(f"money is limited and {model} has no price: set `price` in GOLDEN_MODELS")
        if answer != "held":
            raise TaskGone("the task is unknown or already final")

    async def _lack(self, call: Call) -> str:
        """What is missing, in words for whoever tops the task up."""
        async with self.database.tenant(call.ref.tenant) as connection:
            found = await connection.execute(select(tasks).where(tasks.c.task_id == call.ref.task_id))
            row = found.one()
        left = row.budget_tokens - row.spent_tokens
        if call.reserved > left:
            return (
                f"the call may need {call.reserved:,} tokens, and the task has {left:,} of {row.budget_tokens:,} left"
            )
        money = (row.budget_micro_usd or 0) - row.spent_micro_usd
        return f"the call may cost {call.reserved_micro_usd:,} micro-dollars, and the task has {money:,} left"

    async def settle(self, call: Call, usage: Usage | None, body: str, *, invalid: str | None) -> str:
        """Store the response and charge what it used, in one transaction. Returns the response's reference.

        Args:
            usage: None charges what was held, as `uncertain`: the provider did not say, or said what can't be.

        Raises:
            Overtaken: the call was given up before, and charged: another attempt of the step goes on without it.
        """
        stored = storable(body)
        reference = digest_of(stored)
        values = {"response": reference, "body": stored, "invalid": None if invalid is None else storable(invalid)}
        async with self.database.function() as connection:
            ended = await _end(connection, call, "uncertain" if usage is None else "settle", usage, **values)
        if not ended and await self._response(call) != reference:
            raise Overtaken("the call was given up before its answer came")
        return reference

    async def _response(self, call: Call) -> str | None:
        """The reference of what a call was answered, as the ledger has it."""
        each, ref = model_calls.c, call.ref
        step = (each.task_id == ref.task_id, each.step == ref.step, each.epoch == ref.epoch)
        mine = (*step, each.ask == call.ask, each.dispatch == call.dispatch)
        async with self.database.tenant(call.ref.tenant) as connection:
            found: str | None = await connection.scalar(select(model_calls.c.response).where(*mine))
        return found

    async def uncertain(self, call: Call) -> None:
        """Charge a dispatch whose end is unknown at its reservation."""
        async with self.database.function() as connection:
            await _end(connection, call, "uncertain")

    async def release(self, call: Call, why: str) -> None:
        """Settle a dispatch that the provider refused before doing any work: nothing is charged."""
        async with self.database.function() as connection:
            await _end(connection, call, "release", Usage(0, 0, 0), invalid=why)


async def past_of(connection: AsyncConnection, ref: StepRef) -> Past:
    """As `Ledger.past`, in the caller's transaction, which has the task's lock: no answer comes in between."""
    rows = (
        await connection.execute(
            select(model_calls)
            .where(
                model_calls.c.task_id == ref.task_id, model_calls.c.step == ref.step, model_calls.c.epoch == ref.epoch
            )
            .order_by(model_calls.c.ask, model_calls.c.dispatch)
        )
    ).all()
    for row in rows:
        if row.state == "sent":
            await _end(connection, _call_of(ref, row), "uncertain")
    return _summary(rows)


async def expire_calls(connection: AsyncConnection, tenant: str, task_id: UUID, step: str | None = None) -> None:
    """Charge every call of a task, or of one step, that is still open at its estimate: nobody will settle it.

    Takes the task's lock: until the caller's transaction ends no other call is made.
    """
    await _lock_task(connection, task_id)
    which = [model_calls.c.task_id == task_id, model_calls.c.state == "sent"]
    if step is not None:
        which.append(model_calls.c.step == step)
    open_calls = await connection.execute(select(model_calls).where(*which))
    for row in open_calls.all():
        ref = StepRef(task_id=task_id, tenant=tenant, step=row.step, epoch=row.epoch)
        await _end(connection, _call_of(ref, row), "expire")


async def _lock_task(connection: AsyncConnection, task_id: UUID) -> None:
    await connection.execute(select(tasks.c.task_id).where(tasks.c.task_id == task_id).with_for_update())


async def _end(connection: AsyncConnection, call: Call, kind: End, usage: Usage | None = None, **stored: Any) -> bool:
    """End an open call; False if it was ended before, and then nothing is charged."""
    used: dict[str, int | None] = {"input": None, "output": None, "micro_usd": None}
    if usage is not None:
        used = {"input": usage.input_tokens, "output": usage.output_tokens, "micro_usd": usage.micro_usd}
    values = {"response": None, "body": None, "invalid": None, **stored}
    ended = bool(await connection.scalar(_SETTLE, {**call.key, "kind": kind, **used, **values}))
    if ended and kind != "release":
        after_commit(connection, partial(_count_charge, call, usage))
    return ended


def _count_charge(call: Call, usage: Usage | None) -> None:
    """Count what the ledger charged: the use, or the hold where nobody knows the use."""
    if usage is None:
        count(metrics.LLM_TOKENS, call.reserved, call.role, "uncertain")
        count(metrics.LLM_MICRO_USD, call.reserved_micro_usd or 0, call.role)
    else:
        count(metrics.LLM_TOKENS, usage.input_tokens, call.role, "input")
        count(metrics.LLM_TOKENS, usage.output_tokens, call.role, "output")
        count(metrics.LLM_MICRO_USD, usage.micro_usd or 0, call.role)


def _call_of(ref: StepRef, row: Any) -> Call:
    return Call(ref, row.ask, row.dispatch, row.reserved_tokens, row.reserved_micro_usd, row.role)


def _summary(rows: Sequence[Any]) -> Past:
    response, asks, dispatches, error = None, 0, 0, None
    for row in rows:
        if row.response is not None:
            if row.invalid is None:
                response = row.response
            else:
                asks, dispatches, error = row.ask, 0, row.invalid
        else:
            dispatches = row.dispatch
    return Past(response, asks, dispatches, error)
