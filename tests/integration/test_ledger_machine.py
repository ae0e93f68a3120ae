"""Any course of admissions, calls, parkings, top-ups and ends: the ledger says what a plain model says."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, Phase
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, update
from uuid_utils.compat import uuid7

from activities.accounts import Accounts
from activities.ledger import Call, Ledger, Usage
from activities.parking import ParkingActivities
from activities.verdicts import Verdicts
from gateway.problems import Problem
from gateway.top_up import top_up
from schema.database import Database
from schema.errors import BudgetBusy, BudgetExhausted, Overtaken, PriceUnknown, TaskGone
from schema.messages.letters import ParkInput
from schema.messages.steps import AgentTaskInput, EscalateInput, FinishInput, StepRef
from schema.messages.task import FINAL_STATES, TaskState
from schema.settings import Settings
from schema.tables import accounts, dead_letters, tasks
from tests.integration.test_ledger import HOLDER
from tests.support.books import books_of
from tests.support.ledger_model import ModelCall, ModelTask, ModelTenant

STEPS = ("plan", "develop/1", "develop/2")
PARKED = "prove/1"
MOST_TASKS = 6
REFUSALS = {BudgetBusy: "busy", BudgetExhausted: "spent", PriceUnknown: "unpriced", TaskGone: "gone"}

Answer = TypeVar("Answer")
limits = st.none() | st.integers(0, 20_000)
picks = st.integers(0, 100)


class LedgerMachine(RuleBasedStateMachine):
    """Does the same to a tenant of the real ledger and to one of the model."""

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._runner, self._database = runner, database
        self._tenant = f"machine-{uuid7().hex}"
        self._model = ModelTenant(slots=1)
        self._accounts = Accounts(database, self._worst_price)
        self._ledger, self._verdicts = Ledger(database), Verdicts(self._accounts)
        self._parking = ParkingActivities(self._accounts)

    def _worst_price(self, tokens: int) -> int | None:
        return None if self._model.price is None else self._model.price * tokens

    def _run(self, coroutine: Coroutine[Any, Any, Answer]) -> Answer:
        return self._runner.run(coroutine)

    def _task(self, pick: int) -> ModelTask:
        return self._model.tasks[pick % len(self._model.tasks)]

    def _ref(self, task: ModelTask, step: str, epoch: int = 1) -> StepRef:
        return StepRef(task_id=task.task_id, tenant=self._tenant, step=step, epoch=epoch)

    def _call(self, task: ModelTask, call: ModelCall) -> Call:
        return Call(self._ref(task, call.step), call.ask, call.dispatch, call.tokens, call.micro_usd)

    @property
    def _calls(self) -> list[tuple[ModelTask, ModelCall]]:
        return [(task, call) for task in self._model.tasks for call in task.calls]

    @initialize()
    def open_account(self) -> None:
        async def opened() -> None:
            async with self._database.service() as connection:
                await connection.execute(insert(accounts).values(tenant=self._tenant, slots=1))

        self._run(opened())

    @precondition(lambda self: len(self._model.tasks) < MOST_TASKS)
    @rule(budget=st.integers(1, 5_000), asks=st.booleans())
    def submit(self, budget: int, asks: bool) -> None:
        task = ModelTask(uuid7(), budget)
        named = {"title": "t", "spec": "0", "submitted_by": "s", "budget_tokens": budget}

        async def submitted() -> None:
            async with self._database.service() as connection:
                values = {"task_id": task.task_id, "tenant": self._tenant, **named}
                await connection.execute(insert(tasks).values(values))

        self._run(submitted())
        self._model.tasks.append(task)
        if asks:
            self.admit(len(self._model.tasks) - 1)

    @precondition(lambda self: self._model.tasks)
    @rule(pick=picks)
    def admit(self, pick: int) -> None:
        task = self._task(pick)

        async def asked() -> str:
            try:
                place = await self._accounts.admit(AgentTaskInput(task_id=task.task_id, tenant=self._tenant))
            except (PriceUnknown, TaskGone) as error:
                return REFUSALS[type(error)]
            return "queued" if place else "admitted"

        assert self._run(asked()) == self._model.admit(task)

    @precondition(lambda self: self._model.tasks)
    @rule(
        pick=picks,
        step=st.sampled_from(STEPS),
        tokens=st.integers(1, 2_500),
        micro_usd=st.none() | st.integers(0, 5_000),
    )
    def reserve(self, pick: int, step: str, tokens: int, micro_usd: int | None) -> None:
        task = self._task(pick)
        _, asks, dispatches = task.past(step)
        call = ModelCall(step, asks + 1, dispatches + 1, tokens, micro_usd)

        async def asked() -> str:
            try:
                await self._ledger.reserve(self._call(task, call), **HOLDER)
            except (BudgetBusy, BudgetExhausted, PriceUnknown, TaskGone) as error:
                return REFUSALS[type(error)]
            return "held"

        answer = self._run(asked())
        assert answer == self._model.reserve(task, call)
        if answer == "held":
            assert task.spent + task.held <= task.budget
            assert task.budget_usd is None or task.spent_usd + task.held_usd <= task.budget_usd

    @precondition(lambda self: self._calls)
    @rule(
        pick=picks,
        part=st.sampled_from((0, 1, 50, 99, 100, 101, 250)),
        micro_usd=st.none() | st.integers(0, 8_000),
        invalid=st.booleans(),
        told=st.booleans(),
    )
    def settle(self, pick: int, part: int, micro_usd: int | None, invalid: bool, told: bool) -> None:
        """Below, at and above what is held; in money, too; also one that was ended before."""
        task, call = self._calls[pick % len(self._calls)]
        used = call.tokens * part // 100
        usage = Usage(used // 2, used - used // 2, micro_usd) if told else None
        why, body = ("no JSON" if invalid else None), f"{call.step}/{call.ask}/{call.dispatch}/{pick}/{used}"

        async def asked() -> bool:
            try:
                await self._ledger.settle(self._call(task, call), usage, body, invalid=why)
            except Overtaken:
                return False
            return True

        was_open = call.is_open
        answered = self._run(asked())
        # Who settles again with the very same answer is told that it is there.
        assert answered or not was_open
        if self._model.end(task, call, used if told else None, micro_usd):
            call.answered, call.invalid = True, invalid

    @precondition(lambda self: self._calls)
    @rule(pick=picks, refused=st.booleans())
    def lose(self, pick: int, refused: bool) -> None:
        """The provider refuses a call, or nobody knows what became of it."""
        task, call = self._calls[pick % len(self._calls)]
        each = self._call(task, call)
        self._run(self._ledger.release(each, "refused") if refused else self._ledger.uncertain(each))
        self._model.end(task, call, 0 if refused else None, 0)

    @precondition(lambda self: self._model.tasks)
    @rule(pick=picks, step=st.sampled_from(STEPS))
    def look_back(self, pick: int, step: str) -> None:
        task = self._task(pick)
        past = self._run(self._ledger.past(self._ref(task, step)))
        self._model.give_up(task, step)
        answered, asks, dispatches = task.past(step)
        assert (past.response is not None, past.asks, past.dispatches) == (answered, asks, dispatches)

    @precondition(lambda self: any(task.admitted and task.state != "parked" for task in self._model.tasks))
    @rule(pick=picks)
    def escalate(self, pick: int) -> None:
        able = [task for task in self._model.tasks if task.admitted and task.state != "parked"]
        task = able[pick % len(able)]
        self._run(self._verdicts.escalate(EscalateInput(ref=self._ref(task, "escalate"), question="undecided")))
        task.state = "escalated"
        self._model.give_back(task)

    @precondition(lambda self: any(task.admitted for task in self._model.tasks))
    @rule(pick=picks, yields=st.booleans())
    def park(self, pick: int, yields: bool) -> None:
        task = self._model.admitted[pick % len(self._model.admitted)]
        task.letters += 1
        letter = ParkInput(
            ref=self._ref(task, PARKED, task.letters), kind="sandbox", cause="c", attempts=5, workflow_id="w", input={}
        )
        self._run(self._parking.park(letter))
        task.state, task.has_open_letter = "parked", True
        if yields:
            self._run(self._parking.yield_slot(AgentTaskInput(task_id=task.task_id, tenant=self._tenant)))
            self._model.give_back(task)

    @precondition(lambda self: any(task.has_open_letter for task in self._model.tasks))
    @rule(pick=picks)
    def redrive(self, pick: int) -> None:
        parked = [task for task in self._model.tasks if task.has_open_letter]
        task = parked[pick % len(parked)]

        async def redriven() -> None:
            async with self._database.service() as connection:
                mine = dead_letters.c.task_id == task.task_id
                await connection.execute(update(dead_letters).where(mine).values(state="redriven"))

        self._run(redriven())
        task.has_open_letter = False
        self.admit(self._model.tasks.index(task))

    @precondition(lambda self: self._model.tasks)
    @rule(pick=picks, tokens=st.integers(0, 3_000), micro_usd=st.just(0) | st.integers(1, 6_000))
    def add(self, pick: int, tokens: int, micro_usd: int) -> None:
        task = self._task(pick)
        more = {"tokens": tokens, "micro_usd": micro_usd}

        async def asked() -> bool:
            try:
                async with self._database.tenant(self._tenant) as connection:
                    await top_up(connection, tenant=self._tenant, task_id=task.task_id, actor="t", **more)
            except Problem:
                return False
            return True

        assert self._run(asked()) == self._model.top_up(task, tokens, micro_usd)

    @rule(tokens=limits, micro_usd=limits, slots=st.integers(0, 3), price=st.integers(0, 3) | st.none())
    def limit(self, tokens: int | None, micro_usd: int | None, slots: int, price: int | None) -> None:
        """Also below what is spent: what was admitted goes on. Prices become known and unknown."""

        async def done() -> None:
            values = {"limit_tokens": tokens, "limit_micro_usd": micro_usd, "slots": slots}
            async with self._database.service() as connection:
                await connection.execute(update(accounts).where(accounts.c.tenant == self._tenant).values(values))

        self._run(done())
        self._model.limit, self._model.limit_usd, self._model.slots = tokens, micro_usd, slots
        self._model.price = price

    @precondition(lambda self: self._model.tasks)
    @rule(pick=picks, state=st.sampled_from(sorted(state.value for state in FINAL_STATES)))
    def finish(self, pick: int, state: str) -> None:
        task = self._task(pick)
        assert self._run(self._finish(task.task_id, state)) == self._model.finish(task, state)

    async def _finish(self, task_id: UUID, state: str) -> bool:
        end = FinishInput(task_id=task_id, tenant=self._tenant, state=TaskState(state), reason="r")
        return await self._verdicts.finish(end)

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        books, model = self._run(books_of(self._database, self._tenant)), self._model
        assert books.faults() == []
        assert books.account == {
            **books.account,
            "spent_tokens": model.spent,
            "held_tokens": model.held,
            "spent_micro_usd": model.spent_usd,
            "held_micro_usd": model.held_usd,
            "slots_used": len(model.admitted),
        }
        for task in model.tasks:
            row = books.tasks[task.task_id]
            assert row == {
                **row,
                "state": task.state,
                "admitted": task.admitted,
                "budget_tokens": task.budget,
                "budget_micro_usd": task.budget_usd,
                "spent_tokens": task.spent,
                "held_tokens": task.held,
                "spent_micro_usd": task.spent_usd,
                "held_micro_usd": task.held_usd,
            }

    def teardown(self) -> None:
        for task in self._model.tasks:
            self._run(self._finish(task.task_id, "failed"))
        books = self._run(books_of(self._database, self._tenant))
        assert books.faults() == []
        assert [books.account[name] for name in ("held_tokens", "held_micro_usd", "slots_used")] == [0, 0, 0]


def test_the_ledger_says_what_a_plain_model_says_in_any_course(settings: Settings) -> None:
    with asyncio.Runner() as runner:
        # Each course is a tenant of its own; whatever makes a machine will do for the class.
        database = Database.from_settings(settings)
        try:
            run_state_machine_as_test(
                lambda: LedgerMachine(runner, database),  # type: ignore[arg-type]
                settings=examples(
                    max_examples=15,
                    stateful_step_count=30,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(database.close())
