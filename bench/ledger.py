"""What a reservation costs: `python bench/ledger.py [--rounds N] [--check]`.

Reservations as workers make them (`Ledger.reserve`: the task's account, the call and both its entries, in one
transaction), beside the least that any reservation could be: one `UPDATE … RETURNING` of one row, committed by itself,
on the same PostgreSQL, with the same driver and as many connections. By turns, on one task that all callers want and
on one task for each, with 1, 8 and 32 callers at once. Prints a Markdown table of the medians; with `--check` it ends
with 1 where the ratio is below the goal.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from uuid import UUID

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

from sqlalchemy import insert, text  # noqa: E402
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine  # noqa: E402
from uuid_utils.compat import uuid7  # noqa: E402

from activities.ledger import Call, Ledger  # noqa: E402
from schema.database import Database  # noqa: E402
from schema.messages.steps import StepRef  # noqa: E402
from schema.settings import Settings  # noqa: E402
from schema.tables import accounts, tasks  # noqa: E402
from tests.support.parts import running_postgres  # noqa: E402

GOAL = 0.5
SECONDS = 0.6
POOL = 10
"""What `Database` has for tenants."""
CALLERS = (1, 8, 32)
TENANT = "bench"
HOLDER = {"role": "developer", "model": "bench", "prompt_version": "bench"}

Move = Callable[[int], Awaitable[None]]
"""One reservation, or what it is measured against, of the account with a number."""


async def open_tasks(database: Database) -> list[UUID]:
    """As many tasks as there may be callers, each with all the budget in the world."""
    made = [uuid7() for _ in range(max(CALLERS))]
    rows = [
        {"task_id": task_id, "tenant": TENANT, "title": "t", "spec": "0", "submitted_by": "s", "budget_tokens": 10**15}
        for task_id in made
    ]
    async with database.service() as connection:
        await connection.execute(insert(accounts).values(tenant=TENANT, slots=1))
        await connection.execute(insert(tasks), rows)
    return made


async def bare_table(settings: Settings) -> None:
    """A table of one number for each caller, without keys to others, triggers or policies."""
    owner = create_async_engine(settings.database("migrator"))
    async with owner.begin() as connection:
        await connection.execute(text("CREATE TABLE bench_bare (id integer PRIMARY KEY, held bigint NOT NULL)"))
        await connection.execute(text("INSERT INTO bench_bare SELECT n, 0 FROM generate_series(0, 99) n"))
        await connection.execute(text("GRANT SELECT, UPDATE ON bench_bare TO golden_tenant"))
    await owner.dispose()


def reserving(ledger: Ledger, made: list[UUID]) -> Move:
    steps = count()

    async def reserve(account: int) -> None:
        ref = StepRef(task_id=made[account], tenant=TENANT, step=f"develop/{next(steps)}")
        await ledger.reserve(Call(ref, 1, 1, 1_000, 10), **HOLDER)

    return reserve


def updating(engine: AsyncEngine) -> Move:
    statement = text("UPDATE bench_bare SET held = held + :more WHERE id = :id RETURNING held")

    async def update(account: int) -> None:
        async with engine.connect() as connection:
            await connection.scalar(statement, {"more": 1_000, "id": account})

    return update


async def a_second(move: Move, callers: int, *, hot: bool) -> float:
    """Moves a second, with so many callers at once."""
    done, started = 0, time.perf_counter()

    async def caller(number: int) -> None:
        nonlocal done
        while time.perf_counter() - started < SECONDS:
            await move(0 if hot else number)
            done += 1

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return done / (time.perf_counter() - started)


async def measure(home: Path, rounds: int) -> dict[tuple[bool, int], list[tuple[float, float]]]:
    """Pairs of rates, ours and the bare one, of each round."""
    async with running_postgres(home) as settings:
        database = Database.from_settings(settings, pool_size=POOL)
        bare = create_async_engine(
            settings.database("tenant"), pool_size=POOL, max_overflow=0, isolation_level="AUTOCOMMIT"
        )
        await bare_table(settings)
        reserve, update = reserving(Ledger(database), await open_tasks(database)), updating(bare)
        pairs: dict[tuple[bool, int], list[tuple[float, float]]] = {}
        for number in range(rounds + 1):
            for hot in (True, False):
                for callers in CALLERS:
                    ours = await a_second(reserve, callers, hot=hot)
                    theirs = await a_second(update, callers, hot=hot)
                    # The first round warms up.
                    if number:
                        pairs.setdefault((hot, callers), []).append((ours, theirs))
        await bare.dispose()
        await database.close()
        return pairs


def report(pairs: dict[tuple[bool, int], list[tuple[float, float]]]) -> bool:
    """Print the medians; whether the goal was met everywhere."""
    print(
        "| accounts | callers | reservations a second | bare UPDATE a second | ratio |\n| --- | --- | --- | --- | --- |"
    )
    met = True
    for (hot, callers), rounds in pairs.items():
        ours, theirs = (statistics.median(rates) for rates in zip(*rounds, strict=True))
        ratio = statistics.median(mine / other for mine, other in rounds)
        met = met and ratio >= GOAL
        print(f"| {'one' if hot else 'many'} | {callers} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} |")
    print(f"\nGoal: {GOAL} of the bare throughput, everywhere.")
    return met


def main() -> int:
    """0, or 1 where `--check` is asked for and the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="golden-bench-") as folder:
        met = report(asyncio.run(measure(Path(folder), arguments.rounds)))
    return 0 if met or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
