"""What one tenant's flood does to another: `python bench/fairness.py [--flood N] [--others N]`.

Tenant A submits many tasks at once, tenant B a few right after; the provider and the sandbox are played, as for
`bench/overhead.py`. B's delays from start to verdict: alone, behind the flood, and behind the flood without fairness
keys, each on a stack of its own. Prints a Markdown table; `queued` is how many of A's tasks waited for a slot when B
was done.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

from sqlalchemy import func, select  # noqa: E402
from temporalio.client import Client  # noqa: E402
from temporalio.common import Priority  # noqa: E402

from bench.overhead import parts, submit  # noqa: E402
from bench.played import process  # noqa: E402
from schema import engine  # noqa: E402
from schema.database import Database  # noqa: E402
from schema.messages.steps import AgentTaskInput  # noqa: E402
from schema.messages.task import FINAL_STATES  # noqa: E402
from schema.tables import tasks  # noqa: E402

UNLIMITED = 1_000_000
FINAL = [state.value for state in FINAL_STATES]


@dataclass(frozen=True)
class Case:
    """What stands against B: how many tasks of A, whether keys tell them apart, and how many slots A has."""

    name: str
    flood: int
    keys: bool = True
    slots: int = UNLIMITED


@dataclass(frozen=True)
class Found:
    """Seconds of each of B's tasks, and A's tasks that were over, or queued, when the last of them was."""

    seconds: list[float]
    over: int
    queued: int


async def start(client: Client, task_id: UUID, tenant: str, *, keys: bool) -> None:
    """As the gateway does, or without the fairness key."""
    if keys:
        await engine.start_task(client, task_id, tenant, "Double")
        return
    await client.start_workflow(
        "AgentTask",
        AgentTaskInput(task_id=task_id, tenant=tenant),
        id=engine.task_workflow_id(task_id),
        task_queue=engine.ORCHESTRATOR_QUEUE,
        priority=Priority(),
    )


async def counted(database: Database, *which: str) -> int:
    """A's tasks in these states."""
    async with database.service() as connection:
        wanted = select(func.count()).select_from(tasks).where(tasks.c.tenant == "a", tasks.c.state.in_(which))
        return int(await connection.scalar(wanted) or 0)


async def run(home: Path, case: Case, others: int) -> Found:
    """One case on a stack of its own; A's flood need not end."""
    async with parts(home) as (settings, environment), process(["tests.support.played"], environment):
        database, client = Database.from_settings(settings), await engine.connect(settings)
        warm = await submit(database, "warm")
        await start(client, warm, "warm", keys=case.keys)
        await engine.task_handle(client, warm).result()
        of_a = [await submit(database, "a", case.slots) for _ in range(case.flood)]
        of_b = [await submit(database, "b") for _ in range(others)]
        for task_id in of_a:
            await start(client, task_id, "a", keys=case.keys)

        async def timed(task_id: UUID) -> float:
            began = time.perf_counter()
            await start(client, task_id, "b", keys=case.keys)
            await engine.task_handle(client, task_id).result()
            return time.perf_counter() - began

        seconds = list(await asyncio.gather(*(timed(task_id) for task_id in of_b)))
        found = Found(seconds, await counted(database, *FINAL), await counted(database, "queued"))
        await database.close()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flood", type=int, default=300)
    parser.add_argument("--others", type=int, default=10)
    arguments = parser.parse_args()
    cases = (
        Case("alone", 0),
        Case("behind the flood", arguments.flood),
        Case("behind the flood, A with 20 slots", arguments.flood, slots=20),
        Case("behind the flood, without keys", arguments.flood, keys=False),
    )
    print("| B's tasks | p50 s | worst s | of alone | A's over by then | A's queued |")
    print("| --- | --- | --- | --- | --- | --- |")
    alone = 0.0
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="golden-bench-") as folder:
            found = asyncio.run(run(Path(folder), case, arguments.others))
        middle, worst = statistics.median(found.seconds), max(found.seconds)
        alone = alone or middle
        told = f"{middle / alone:.1f} | {found.over} of {case.flood} | {found.queued}"
        print(f"| {case.name} | {middle:.1f} | {worst:.1f} | {told} |", flush=True)


if __name__ == "__main__":
    main()
