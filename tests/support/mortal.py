"""A process that runs one step of a task and kills itself, with SIGKILL, where it is told to.

`python -m tests.support.mortal POINT` with the step on stdin. The points are reached by wrapping methods here, in this
process: nothing in the product knows of them. Prints the step's result if it lives to its end.
"""

import asyncio
import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import psycopg
from temporalio.testing import ActivityEnvironment

from activities.circuit import Rules
from activities.circuits import Circuits
from activities.dispatch import Dispatcher
from activities.ledger import Call, Ledger
from activities.llm import LlmActivities
from activities.models import Models
from activities.routes import read_routes
from activities.store import TaskStore
from schema.database import Database
from schema.errors import BudgetBusy
from schema.messages.steps import AskRoleInput, StepRef
from schema.settings import Settings

Method = Callable[..., Awaitable[Any]]


def die(*_: Any, **__: Any) -> Any:
    """The end, without a word: no cleanup runs and no connection is closed politely."""
    os.kill(os.getpid(), signal.SIGKILL)
    # The signal is on its way.
    signal.pause()


def before(method: Method) -> Method:
    async def dies(*_: Any, **__: Any) -> None:
        die()

    return dies


def after(method: Method) -> Method:
    @functools.wraps(method)
    async def dies(*arguments: Any, **named: Any) -> None:
        await method(*arguments, **named)
        die()

    return dies


def die_within(function: str) -> None:
    """Die when the statement that calls a function of the database has gone out, before its answer is read."""
    execute: Method = psycopg.AsyncCursor.execute

    async def wait(_: Any, steps: Generator[Any, Any, Any], interval: float = 0.0) -> Any:
        # psycopg gives control back for the first time when all is sent and it would read.
        next(steps)
        die()

    @functools.wraps(execute)
    async def dies(cursor: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        if function in str(query):
            psycopg.AsyncConnection.wait = wait  # type: ignore[assignment, method-assign]
        return await execute(cursor, query, *arguments, **named)

    psycopg.AsyncCursor.execute = dies  # type: ignore[assignment, method-assign]


POINTS: dict[str, Callable[[], None]] = {
    "never": lambda: None,
    "before reserve": lambda: setattr(Ledger, "reserve", before(Ledger.reserve)),
    "within reserve": lambda: die_within("ledger_reserve"),
    "after reserve": lambda: setattr(Ledger, "reserve", after(Ledger.reserve)),
    # While the provider thinks it is killed from outside.
    "while the provider thinks": lambda: None,
    "before settle": lambda: setattr(Ledger, "settle", before(Ledger.settle)),
    "within settle": lambda: die_within("ledger_settle"),
    "after settle": lambda: setattr(Ledger, "settle", after(Ledger.settle)),
    "before finish": lambda: setattr(TaskStore, "finish_step", before(TaskStore.finish_step)),
    "after finish": lambda: setattr(TaskStore, "finish_step", after(TaskStore.finish_step)),
}


def activities_of(settings: Settings, database: Database) -> LlmActivities:
    """The activities as a worker composes them."""
    models = Models(read_routes(settings), timeout_seconds=settings.model_timeout_seconds)
    rules, ledger = Rules.from_settings(settings), Ledger(database)
    circuits = Circuits(database, f"mortal:{os.getpid()}", rules)
    return LlmActivities(TaskStore(database), ledger, Dispatcher(ledger, models, circuits, rules))


async def run(point: str, said: str) -> str:
    """The step's result as JSON; for the point `race`, how many of ten calls were held."""
    settings = Settings()
    database = Database.from_settings(settings)
    try:
        if point == "race":
            return str(await race(database, StepRef.model_validate_json(said)))
        llm = activities_of(settings, database)
        POINTS[point]()
        result = await ActivityEnvironment().run(llm.ask_role, AskRoleInput.model_validate_json(said))
        return result.model_dump_json()
    finally:
        await database.close()


async def race(database: Database, ref: StepRef) -> int:
    """Ten calls of a thousand tokens each, at once; returns how many were held."""
    ledger = Ledger(database)

    async def is_held(number: int) -> bool:
        step = ref.model_copy(update={"step": f"{ref.step}/{number}"})
        try:
            await ledger.reserve(Call(step, 1, 1, 1_000), role="developer", model="m", prompt_version="v")
        except BudgetBusy:
            return False
        return True

    return sum(await asyncio.gather(*(is_held(number) for number in range(10))))


if __name__ == "__main__":
    sys.stdout.write("started\n")
    sys.stdout.flush()
    # Whoever races waits for the others to be there.
    sys.stdout.write(asyncio.run(run(sys.argv[1], sys.stdin.readline())))
