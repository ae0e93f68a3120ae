"""What a task leaves behind and asks for: `python bench/capacity.py [--tasks N] [--write]`.

Tasks of three candidates and four ballots run on a whole stack (`golden up`, sandboxes and all; only the model provider
is scripted). A first half of them fills caches and pages; of the second half it counts, for each task: model calls,
sandbox runs, bytes in PostgreSQL, in its log and in Temporal's histories, and the most connections that were open at
once. Nothing of it is a time. With `--write` the table goes into docs/operate/capacity.md.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

import httpx  # noqa: E402
import psycopg  # noqa: E402
from temporalio.client import Client  # noqa: E402

from schema import engine  # noqa: E402
from schema.settings import Settings  # noqa: E402
from tests.support.golden import Golden, running_golden  # noqa: E402
from tests.support.provider import Provider, Script, files, running_provider  # noqa: E402
from tests.support.specs import BAD, GOOD, HALF, spec  # noqa: E402

PAGE = ROOT / "docs" / "operate" / "capacity.md"
BEGIN, END = "<!-- measured: bench/capacity.py -->", "<!-- end of bench/capacity.py -->"
AT_ONCE = 4
RUNS = "golden_sandbox_run_seconds_count"


@dataclass(frozen=True)
class Counts:
    """What there is at a moment: rows, bytes and runs since the stack began."""

    calls: int
    texts: int
    book: int
    log: int
    anchors: int
    runs: int


async def measure(home: Path, tasks: int) -> str:
    """The table of a stack's tasks."""
    async with (
        running_provider() as provider,
        running_golden(home, models=provider.models, log_level="error") as golden,
    ):
        await _play(golden, provider, [f"before-{number}" for number in range(tasks)])
        before = await _counts(golden.settings)
        looking = asyncio.create_task(_most_connections(golden.settings))
        ids = await _play(golden, provider, [f"after-{number}" for number in range(tasks)])
        looking.cancel()
        after = await _counts(golden.settings)
        client = await engine.connect(golden.settings)
        histories = [await _history(client, task_id) for task_id in ids]
        return _table(tasks, before, after, histories, await looking)


async def _play(golden: Golden, provider: Provider, titles: Sequence[str]) -> list[str]:
    ids, numbers = [], iter(titles)

    async def some() -> None:
        for title in numbers:
            provider.script(title, Script(developer=[files(work=BAD), files(work=HALF), files(work=GOOD)]))
            ids.append(await golden.submit(spec(title, candidates=3)))
            task = await golden.final(ids[-1], within=300)
            if task["state"] != "accepted":
                raise SystemExit(f"a task ended {task['state']}: {task['reason']}")

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return ids


async def _counts(settings: Settings) -> Counts:
    with _connect(settings) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM model_calls), (SELECT sum(octet_length(body)) FROM texts), "
            "pg_database_size(current_database()), (SELECT wal_bytes::bigint FROM pg_stat_wal)"
        ).fetchone()
    calls, texts, book, log = (int(value) for value in row or (0, 0, 0, 0))
    # The worker's metrics are one port up.
    async with httpx.AsyncClient() as http:
        shown = (await http.get(f"http://127.0.0.1:{settings.metrics_port + 1}/metrics")).text
    runs = sum(int(float(line.split()[-1])) for line in shown.splitlines() if line.startswith(RUNS))
    return Counts(calls, texts, book, log, settings.audit_anchor_file.stat().st_size, runs)


async def _most_connections(settings: Settings) -> int:
    """Of our roles, without the one that looks; until it is cancelled."""
    most = 0
    asked = "SELECT count(*) FROM pg_stat_activity WHERE usename LIKE 'golden%' AND pid <> pg_backend_pid()"
    with _connect(settings) as connection:
        try:
            while True:
                row = connection.execute(asked).fetchone()
                connection.rollback()
                most = max(most, int(row[0]) if row else 0)
                await asyncio.sleep(0.25)
        except asyncio.CancelledError:
            return most


async def _history(client: Client, task_id: str) -> tuple[int, int]:
    """Events and bytes of a task's workflows, as Temporal counts them."""
    described = [await client.get_workflow_handle(name).describe() for name in (f"task/{task_id}", f"vote/{task_id}/1")]
    sizes = [each.raw_description.workflow_execution_info.history_size_bytes for each in described]
    return sum(each.history_length for each in described), sum(sizes)


def _connect(settings: Settings) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(settings.database("service").replace("+psycopg", ""), connect_timeout=5)


def _table(tasks: int, before: Counts, after: Counts, histories: Sequence[tuple[int, int]], most: int) -> str:
    def each(name: str) -> float:
        return float(getattr(after, name) - getattr(before, name)) / tasks

    events, size = (sum(values) / tasks for values in zip(*histories, strict=True))
    kib = 1024
    rows = [
        ("model calls", f"{each('calls'):.1f}"),
        ("sandbox runs, controls included", f"{each('runs'):.1f}"),
        ("PostgreSQL's data, KiB", f"{each('book') / kib:,.0f}"),
        ("of these texts, KiB", f"{each('texts') / kib:,.1f}"),
        ("PostgreSQL's log, KiB", f"{each('log') / kib:,.0f}"),
        ("Temporal's histories, KiB", f"{size / kib:,.0f}"),
        ("their events", f"{events:.0f}"),
        ("the audit anchors, KiB", f"{each('anchors') / kib:,.1f}"),
    ]
    told = [f"| {what} | {figure} |" for what, figure in rows]
    about = (
        f"{tasks} tasks of three candidates and four ballots, {AT_ONCE} at a time. The most connections that gateway "
        f"and worker had open at once: {most}."
    )
    return "\n".join([about, "", "| a task | |", "| --- | --- |", *told])


def main() -> int:
    """0, or an exit with what a task came to instead of accepted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=12, help="that are counted; as many come before them")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="golden-capacity-") as folder:
        told = asyncio.run(measure(Path(folder), arguments.tasks))
    print(told)
    if arguments.write:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
