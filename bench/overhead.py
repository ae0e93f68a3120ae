"""What governance costs: `python bench/overhead.py [--rounds N] [--tasks N] [--check] [--write]`.

Whole tasks (a plan, three candidates developed and proven, four ballots, a verdict) beside the same course on bare
Temporal (`bench/bare_task.py`), on one Temporal server, by turns, 20 in flight. The provider is a process of its own
that answers in 50 ms, the sandbox is played; PostgreSQL and everything else are real. Prints a Markdown table of the
medians of the rounds; with `--check` it ends with 1 where the ratio is below the goal, with
`--write` the table goes into docs/load.md.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from uuid import UUID

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

from sqlalchemy import insert  # noqa: E402
from sqlalchemy.dialects.postgresql import insert as upsert  # noqa: E402
from temporalio.client import Client  # noqa: E402
from temporalio.contrib.pydantic import pydantic_data_converter  # noqa: E402
from uuid_utils.compat import uuid7  # noqa: E402

from bench import bare_task  # noqa: E402
from bench.played import SANDBOXES, TASK, cpu_seconds, models, process  # noqa: E402
from schema import engine  # noqa: E402
from schema.database import Database  # noqa: E402
from schema.messages.task import TaskSpec  # noqa: E402
from schema.settings import Settings  # noqa: E402
from schema.tables import accounts, tasks  # noqa: E402
from schema.texts import canonical_json, put_text  # noqa: E402
from tests.support.parts import free_port, running_postgres, running_temporal  # noqa: E402

GOAL = 0.8
BEGIN, END = "<!-- measured: bench/overhead.py -->", "<!-- end of bench/overhead.py -->"
IN_FLIGHT = 20

Run = Callable[[], Awaitable[None]]
"""One task from its start to its end."""


@dataclass(frozen=True)
class Round:
    """Tasks a second of one round, and milliseconds of processor that a task took in the worker."""

    per_second: float
    cpu_ms: float


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: how to run a task, and the worker that does."""

    run: Run
    worker: int


async def submit(database: Database, tenant: str, slots: int = 1_000_000) -> UUID:
    """The rows of one task, as the gateway writes them; its id."""
    task_id, spec = uuid7(), TaskSpec.model_validate(TASK)
    async with database.tenant(tenant) as connection:
        await connection.execute(upsert(accounts).values(tenant=tenant, slots=slots).on_conflict_do_nothing())
        reference = await put_text(connection, tenant, canonical_json(spec.model_dump(mode="json")))
        await connection.execute(
            insert(tasks).values(
                task_id=task_id,
                tenant=tenant,
                title=spec.title,
                spec=reference,
                submitted_by="bench",
                budget_tokens=spec.budget_tokens,
            )
        )
    return task_id


def governed(database: Database, client: Client) -> Run:
    """A task of ours."""

    async def run() -> None:
        task_id = await submit(database, "bench")
        await engine.start_task(client, task_id, "bench", TASK["title"])
        ended = await engine.task_handle(client, task_id).result()
        if ended != "accepted":
            raise SystemExit(f"the task ended as {ended}")

    return run


def bare(client: Client) -> Run:
    """The same course on bare Temporal."""
    numbers, text = count(), canonical_json(TASK)

    async def run() -> None:
        ended = await client.execute_workflow(
            bare_task.BareTask.run,
            bare_task.Said(text=text),
            id=f"bare/{next(numbers)}",
            task_queue=bare_task.QUEUES[0],
        )
        if ended != "accepted":
            raise SystemExit(f"the bare task ended as {ended}")

    return run


async def one_round(side: Side, number: int) -> Round:
    """So many tasks, IN_FLIGHT at once."""
    left, used, started = iter(range(number)), cpu_seconds(side.worker), time.perf_counter()

    async def some() -> None:
        for _ in left:
            await side.run()

    await asyncio.gather(*(some() for _ in range(min(IN_FLIGHT, number))))
    took = time.perf_counter() - started
    return Round(number / took, (cpu_seconds(side.worker) - used) / number * 1000)


@asynccontextmanager
async def parts(home: Path) -> AsyncIterator[tuple[Settings, dict[str, str]]]:
    """Temporal, PostgreSQL and the provider; the settings, and the environment of workers."""
    port = free_port()
    async with (
        running_temporal(home) as address,
        running_postgres(home) as prepared,
        process(["bench.played", str(port)], {}),
    ):
        settings = prepared.model_copy(update={"temporal_address": address})
        named = {
            "HOME": settings.home,
            "MODELS": models(port),
            "SANDBOX_POOL": SANDBOXES,
            "METRICS_PORT": free_port(),
            "LOG_LEVEL": "error",
        }
        environment = {f"GOLDEN_{name}": str(value) for name, value in named.items()}
        yield settings, environment | {"TEMPORAL_ADDRESS": address}


async def measure(home: Path, rounds: int, number: int) -> dict[str, list[Round]]:
    """The rounds of each side, after one that doesn't count."""
    async with (
        parts(home) as (settings, environment),
        process(["tests.support.played"], environment) as our_worker,
        process(["bench.bare_task"], environment) as bare_worker,
    ):
        database = Database.from_settings(settings)
        client = await engine.connect(settings)
        plain = await Client.connect(settings.temporal_target, data_converter=pydantic_data_converter)
        sides = {"golden": Side(governed(database, client), our_worker), "bare": Side(bare(plain), bare_worker)}
        found: dict[str, list[Round]] = {name: [] for name in sides}
        for turn in range(rounds + 1):
            for name, side in sides.items() if turn % 2 else reversed(sides.items()):
                done = await one_round(side, number)
                if turn:
                    found[name].append(done)
        await database.close()
        return found


def report(found: dict[str, list[Round]]) -> tuple[str, float]:
    """The medians as Markdown, and the median of the ratios."""
    lines = ["| | tasks a second | CPU ms a task, worker |", "| --- | --- | --- |"]
    for name, rounds in found.items():
        rate, used = (
            statistics.median(values) for values in zip(*((r.per_second, r.cpu_ms) for r in rounds), strict=True)
        )
        lines.append(f"| {name} | {rate:.1f} | {used:.0f} |")
    ratio = statistics.median(
        ours.per_second / other.per_second for ours, other in zip(found["golden"], found["bare"], strict=True)
    )
    return "\n".join([*lines, "", f"{ratio:.2f} of the bare throughput (goal {GOAL})"]), ratio


def write(told: str) -> None:
    """The table into the page, between its marks."""
    page = ROOT / "docs" / "load.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")


def main() -> int:
    """0, or 1 where `--check` is asked for and the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="golden-bench-") as folder:
        told, ratio = report(asyncio.run(measure(Path(folder), arguments.rounds, arguments.tasks)))
    print(told)
    if arguments.write:
        write(told)
    return 1 if arguments.check and ratio < GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
