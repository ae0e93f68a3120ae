"""Charges of calls to a provider of our own, through this build's activity and the functions of the stack's ledger.

The task stands in line, so that nobody else works on it. What the ledger charged is held against what the provider
itself counted: a ledger that charged twice can still agree with itself.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from temporalio.testing import ActivityEnvironment

from activities.circuit import Rules
from activities.circuits import Circuits
from activities.dispatch import Dispatcher
from activities.ledger import Call, Ledger, Usage
from activities.llm import LlmActivities
from activities.models import Models
from activities.routes import read_routes
from activities.store import TaskStore
from deploy.prove.cascade import forget
from deploy.prove.proof import Broken, Ground, NotShown, expect, spec
from deploy.prove.provider import READ_TOKENS, WRITTEN_TOKENS, Provider, running_provider
from schema.database import Database
from schema.errors import ModelUnavailable, Overtaken
from schema.messages.steps import AskRoleInput, StepRef
from schema.messages.task import TaskState
from schema.tables import ledger_entries, tasks

PLAN = '{"summary": "Write it.", "steps": ["write", "test"]}'
STEP, SETTLED_STEP = "prove-ask", "prove-settle"
AT_ONCE = 8
CHARGES = ("settle", "uncertain", "overrun", "expire")


@dataclass(frozen=True)
class _Books:
    """What the attacks need of the stack and of the build."""

    database: Database
    ledger: Ledger
    llm: LlmActivities


async def charge_once(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    tenant = ground.tenant("paid")
    await ground.limit(tenant, slots=0, limit_tokens=60_000)
    async with ground.client("developer", tenant) as client:
        answer = expect(await client.post("/v1/tasks", json=spec(f"prove paid {ground.run}")), 202)
    task_id = UUID(answer.json()["task_id"])
    await ground.state_in(tenant, str(task_id), ("queued",), 30)
    with running_provider(PLAN) as provider:
        async with _books(ground, provider) as books:
            ref = StepRef(task_id=task_id, tenant=tenant, step=STEP)
            await _retried(books, provider, ref)
            await _delivered_again(books, provider, ref)
            await _settled_at_once(books, ref.model_copy(update={"step": SETTLED_STEP}))
            charged = await _judge(books, ref, provider)
            await _written_again(books, ref)
    return f"{charged} calls that a provider worked for: {charged} charges, {AT_ONCE} ends at once: 1"


@asynccontextmanager
async def _books(ground: Ground, provider: Provider) -> AsyncIterator[_Books]:
    settings = ground.settings.model_copy(update={"models": provider.routes(f"{ground.run}-paid")})
    database, rules = Database.from_settings(settings, pool_size=AT_ONCE), Rules.from_settings(settings)
    models = Models(read_routes(settings), timeout_seconds=5)
    ledger = Ledger(database)
    circuits = Circuits(database, f"prove-{ground.run}", rules)
    dispatcher = Dispatcher(ledger, models, circuits, rules)
    try:
        yield _Books(database, ledger, LlmActivities(TaskStore(database), ledger, dispatcher))
    finally:
        name = models.route("architect")[0].circuit
        await models.close()
        await circuits.flush()
        await forget(database, name)
        await database.close()


async def _ask(books: _Books, ref: StepRef) -> str:
    ask = AskRoleInput(ref=ref, state=TaskState.QUEUED, role="architect")
    result = await ActivityEnvironment().run(books.llm.ask_role, ask)
    return result.response


async def _retried(books: _Books, provider: Provider, ref: StepRef) -> None:
    """The activity is tried until it is answered: a refusal first, then an answer that is lost on its way."""
    for mood in ("down", "lost"):
        provider.mood = mood
        try:
            await _ask(books, ref)
        except ModelUnavailable:
            continue
        raise Broken(f"a provider that is {mood} was taken for one that answers")
    provider.mood = "well"
    await _ask(books, ref)


async def _delivered_again(books: _Books, provider: Provider, ref: StepRef) -> None:
    """The activity's end is lost, and it is delivered several times more: its answer is there, nobody is asked."""
    asked = provider.asked
    answers = await asyncio.gather(*(_ask(books, ref) for _ in range(AT_ONCE)))
    if provider.asked > asked:
        raise Broken(f"a step that is done asked its provider {provider.asked - asked} times more")
    if len(set(answers)) > 1:
        raise Broken("a step that is done gave another answer")


async def _settled_at_once(books: _Books, ref: StepRef) -> None:
    """One call is ended by many at the same time, given up after that, and answered late with something else."""
    call, usage = Call(ref, 1, 1, 500, 1_000, "architect"), Usage(READ_TOKENS, WRITTEN_TOKENS, 140)
    await books.ledger.reserve(call, role="architect", model="prove", prompt_version="prove")
    ends = await asyncio.gather(
        *(books.ledger.settle(call, usage, PLAN, invalid=None) for _ in range(AT_ONCE)), return_exceptions=True
    )
    failed = [type(end).__name__ for end in ends if isinstance(end, BaseException)]
    if failed:
        raise Broken(f"{len(failed)} of {AT_ONCE} ends of one call broke off: {failed[0]}")
    await books.ledger.uncertain(call)
    try:
        await books.ledger.settle(call, Usage(1, 1, 1), '{"late": true}', invalid=None)
    except Overtaken:
        return
    raise Broken("a call that was ended took a second answer")


async def _judge(books: _Books, ref: StepRef, provider: Provider) -> int:
    """How many calls were charged; raises Broken where it isn't once for each that the provider worked for."""
    each = ledger_entries.c
    async with books.database.tenant(ref.tenant) as connection:
        rows = (await connection.execute(select(ledger_entries).where(each.task_id == ref.task_id))).all()
        account = (await connection.execute(select(tasks).where(tasks.c.task_id == ref.task_id))).one()
    charges = [row for row in rows if row.account == "task" and row.kind in CHARGES]
    # The one more is the call that was ended many times, which went to nobody.
    worked = provider.worked + 1
    if worked < 3:
        raise NotShown(f"our provider was asked {provider.worked} times, not twice")
    if len(charges) != worked:
        kinds = dict(Counter(row.kind for row in charges))
        raise Broken(f"{worked} calls were worked for, {len(charges)} charges are there: {kinds}")
    held = sum(row.held_tokens for row in rows if row.kind == "reserve" and _same_call(row, charges, "uncertain"))
    due = 2 * (READ_TOKENS + WRITTEN_TOKENS) + held
    if account.spent_tokens != due or account.held_tokens:
        raise Broken(f"the task paid {account.spent_tokens:,} tokens for calls of {due:,}")
    return worked


def _same_call(row: Any, charges: list[Any], kind: str) -> bool:
    names = ("step", "epoch", "ask", "dispatch")
    return any(all(getattr(row, name) == getattr(one, name) for name in names) for one in charges if one.kind == kind)


async def _written_again(books: _Books, ref: StepRef) -> None:
    """The same charge once more, written into the ledger past its functions: the table itself refuses it."""
    each = ledger_entries.c
    names = [column for column in ledger_entries.columns if column.name not in ("id", "at")]
    charge = select(*names).where(each.task_id == ref.task_id, each.step == ref.step, each.kind == "settle")
    try:
        async with books.database.tenant(ref.tenant) as connection:
            await connection.execute(insert(ledger_entries).from_select([column.name for column in names], charge))
            raise Broken("the ledger's table takes a charge twice")
    except IntegrityError:
        return
