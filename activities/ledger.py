"""Every model call on the task's account: reserve and mark as sent, call, then settle. Once, whatever crashes.

For each dispatch the worst case is reserved and `sent` is committed before the bytes leave. A retry that finds
`sent` without a response can't know what the provider did: it charges that dispatch as `uncertain`, at its
reservation, and opens the next (design §9).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Update, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.database import Database
from schema.errors import BudgetExhausted
from schema.messages.steps import StepRef
from schema.tables import model_calls, tasks
from schema.texts import put_text, storable


@dataclass(frozen=True)
class Call:
    """One dispatch of one ask of a step."""

    ref: StepRef
    ask: int
    dispatch: int
    reserved: int


@dataclass(frozen=True)
class Usage:
    """What a provider says a call used. `micro_usd` is None where the price is unknown."""

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

    response: str | None
    asks: int
    dispatches: int
    error: str | None


class Ledger:
    """The accounts of tasks."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def past(self, ref: StepRef) -> Past:
        """What happened to a step so far; a dispatch whose end is unknown is charged as uncertain."""
        async with self.database.tenant(ref.tenant) as connection:
            rows = (
                await connection.execute(
                    select(model_calls)
                    .where(
                        model_calls.c.task_id == ref.task_id,
                        model_calls.c.step == ref.step,
                        model_calls.c.epoch == ref.epoch,
                    )
                    .order_by(model_calls.c.ask, model_calls.c.dispatch)
                )
            ).all()
            for row in rows:
                if row.state == "sent":
                    call = Call(ref, row.ask, row.dispatch, row.reserved_tokens)
                    await _charge_uncertain(connection, call)
        return _summary(rows)

    async def reserve(self, call: Call, *, role: str, model: str, prompt_version: str) -> bool:
        """Hold the worst case of a call and mark it as sent; False if siblings hold what it needs for now.

        Raises:
            BudgetExhausted: even with everything released, the task's budget has no room for it.
        """
        async with self.database.tenant(call.ref.tenant) as connection:
            held = await connection.execute(
                update(tasks)
                .where(
                    tasks.c.task_id == call.ref.task_id,
                    tasks.c.spent_tokens + tasks.c.held_tokens + call.reserved <= tasks.c.budget_tokens,
                )
                .values(held_tokens=tasks.c.held_tokens + call.reserved)
                .returning(tasks.c.task_id)
            )
            if held.scalar_one_or_none() is None:
                await _refuse_if_hopeless(connection, call)
                return False
            await connection.execute(
                insert(model_calls).values(
                    task_id=call.ref.task_id,
                    step=call.ref.step,
                    epoch=call.ref.epoch,
                    ask=call.ask,
                    dispatch=call.dispatch,
                    tenant=call.ref.tenant,
                    role=role,
                    model=model,
                    prompt_version=prompt_version,
                    state="sent",
                    reserved_tokens=call.reserved,
                )
            )
            return True

    async def settle(self, call: Call, usage: Usage, body: str, *, invalid: str | None) -> str:
        """Store the response and charge what it used, in one transaction. Returns the response's reference."""
        async with self.database.tenant(call.ref.tenant) as connection:
            reference = await put_text(connection, call.ref.tenant, storable(body))
            settled = await connection.execute(
                _open_call(call)
                .values(
                    state="settled",
                    input_tokens=usage.input_tokens,
                    output_tokens=usage.output_tokens,
                    micro_usd=usage.micro_usd,
                    response=reference,
                    invalid=None if invalid is None else storable(invalid),
                    ended_at=func.now(),
                )
                .returning(model_calls.c.ask)
            )
            if settled.scalar_one_or_none() is not None:
                await _charge(connection, call, usage.input_tokens + usage.output_tokens, usage.micro_usd or 0)
        return reference

    async def uncertain(self, call: Call) -> None:
        """Charge a dispatch whose end is unknown at its reservation."""
        async with self.database.tenant(call.ref.tenant) as connection:
            await _charge_uncertain(connection, call)

    async def release(self, call: Call, why: str) -> None:
        """Settle a dispatch that the provider refused before doing any work: nothing is charged."""
        async with self.database.tenant(call.ref.tenant) as connection:
            released = await connection.execute(
                _open_call(call)
                .values(state="settled", input_tokens=0, output_tokens=0, micro_usd=0, invalid=why, ended_at=func.now())
                .returning(model_calls.c.ask)
            )
            if released.scalar_one_or_none() is not None:
                await _charge(connection, call, 0, 0)


def _open_call(call: Call) -> Update:
    return update(model_calls).where(
        model_calls.c.task_id == call.ref.task_id,
        model_calls.c.step == call.ref.step,
        model_calls.c.epoch == call.ref.epoch,
        model_calls.c.ask == call.ask,
        model_calls.c.dispatch == call.dispatch,
        model_calls.c.state == "sent",
    )


async def _charge_uncertain(connection: AsyncConnection, call: Call) -> None:
    marked = await connection.execute(
        _open_call(call).values(state="uncertain", ended_at=func.now()).returning(model_calls.c.ask)
    )
    if marked.scalar_one_or_none() is not None:
        await _charge(connection, call, call.reserved, 0)


async def _charge(connection: AsyncConnection, call: Call, tokens: int, micro_usd: int) -> None:
    await connection.execute(
        update(tasks)
        .where(tasks.c.task_id == call.ref.task_id)
        .values(
            held_tokens=tasks.c.held_tokens - call.reserved,
            spent_tokens=tasks.c.spent_tokens + tokens,
            spent_micro_usd=tasks.c.spent_micro_usd + micro_usd,
        )
    )


async def _refuse_if_hopeless(connection: AsyncConnection, call: Call) -> None:
    row = await connection.execute(
        select(tasks.c.budget_tokens, tasks.c.spent_tokens).where(tasks.c.task_id == call.ref.task_id)
    )
    budget, spent = row.one()
    if spent + call.reserved > budget:
        raise BudgetExhausted(f"the call may need {call.reserved} tokens; {budget - spent} of {budget} are left")


def _summary(rows: Sequence[Any]) -> Past:
    response, asks, dispatches, error = None, 0, 0, None
    for row in rows:
        if row.state == "settled" and row.response is not None:
            if row.invalid is None:
                response = row.response
            else:
                asks, dispatches, error = row.ask, 0, row.invalid
        else:
            dispatches = row.dispatch
    return Past(response, asks, dispatches, error)
