"""Ten times the load: `python bench/load.py [--rate R] [--seconds N] [--factor F] [--seed S] [--write]`.

Tasks arrive at a whole stack (`golden up`, sandboxes and all; only the model provider is scripted) by a Poisson process
that waits for no answer, first at the sustained rate, then at `--factor` times it, then at the sustained rate again,
`--seconds` each. Latencies count from the moment at which a task was to arrive. Every tenth is sent twice at once
under one key; what is refused with 429 is sent again when `Retry-After` says so, three times. Without `--rate` the
sustained rate is SHARE of what a closed loop reaches first. At the end everything has to be over and the books have to
agree: else it ends with 1. With `--write`: docs/load.md's table and picture, and bench/service_times.json.
"""

import argparse
import asyncio
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

import httpx  # noqa: E402
import psycopg  # noqa: E402

from bench.load_report import LIMITED, Arrival, Run, Sent, picture, table  # noqa: E402
from schema.settings import Settings  # noqa: E402
from tests.support.golden import Golden, running_golden  # noqa: E402
from tests.support.processes import until  # noqa: E402
from tests.support.provider import Provider, Script, files, running_provider  # noqa: E402
from tests.support.specs import GOOD, spec  # noqa: E402
from tests.support.storm_books import Books, read_books  # noqa: E402
from tests.support.storm_checks import Promised, findings, left_holds, unsettled_tasks  # noqa: E402

PAGE, PICTURE, TIMES = ROOT / "docs" / "load.md", ROOT / "docs" / "load.svg", ROOT / "bench" / "service_times.json"
BEGIN, END = "<!-- measured: bench/load.py -->", "<!-- measured: end -->"

SHARE = 0.7
PROBE_TASKS, PROBE_AT_ONCE, ALONE_TASKS, PROBE_SECONDS = 24, 8, 8, 120.0
A_MINUTE_A_TENANT = 4
"""Tasks of a tenant at the sustained rate: its limit of 30 requests holds that, and not ten times it."""
TRIES, TWICE = 3, 0.1
ACCEPTED = httpx.codes.ACCEPTED
LIMITS = "admin=5000,operator=5000,developer=30,approver=5000,viewer=5000,unauthenticated=5000"
SCRIPT = Script(developer=[files(work=GOOD)])


def arrivals(rate: float, factor: float, seconds: float, tenants: Sequence[str], seed: int) -> list[Arrival]:
    """The three phases, one after the other."""
    dice, began = random.Random(seed), 0.0  # noqa: S311 (not a secret)
    found: list[Arrival] = []
    for phase, speed in (("before", rate), ("spike", rate * factor), ("after", rate)):
        at = began + dice.expovariate(speed)
        while at < began + seconds:
            found.append(Arrival(at, phase, dice.choice(tenants), f"load-{seed}-{len(found)}", dice.random() < TWICE))
            at += dice.expovariate(speed)
        began += seconds
    return found


class Clients:
    """One HTTP client a tenant."""

    def __init__(self, golden: Golden, provider: Provider, tenants: Iterable[str]) -> None:
        self._provider = provider
        self.clients = {tenant: golden.client("developer", tenant, sub=f"of-{tenant}") for tenant in tenants}

    async def submit(self, sent: Sent, began: float) -> None:
        """Until it is accepted or the tries are spent."""
        arrival = sent.arrival
        self._provider.script(arrival.title, SCRIPT)
        for _ in range(TRIES):
            answers = await asyncio.gather(*(self._send(arrival) for _ in range(1 + arrival.twice)))
            sent.statuses += [answer.status_code for answer in answers]
            sent.task_ids |= {UUID(each.json()["task_id"]) for each in answers if each.status_code == ACCEPTED}
            if sent.task_ids:
                sent.accepted_at = time.monotonic() - began
                return
            waits = [int(answer.headers.get("Retry-After", 0)) for answer in answers]
            if any(answer.status_code != LIMITED for answer in answers):
                return
            await asyncio.sleep(max(waits))

    async def _send(self, arrival: Arrival) -> httpx.Response:
        http = self.clients[arrival.tenant]
        return await http.post("/v1/tasks", json=spec(arrival.title), headers={"Idempotency-Key": arrival.title})

    async def close(self) -> None:
        for http in self.clients.values():
            await http.aclose()


@asynccontextmanager
async def stack(home: Path) -> AsyncIterator[tuple[Golden, Provider]]:
    """A whole stack, its limits those of the product, but for who only looks."""
    async with AsyncExitStack() as parts:
        provider = await parts.enter_async_context(running_provider())
        golden = await parts.enter_async_context(
            running_golden(home, models=provider.models, rate_limits=LIMITS, log_level="error")
        )
        yield golden, provider


async def probe(golden: Golden, provider: Provider, count: int, at_once: int, name: str) -> float:
    """Tasks a second that a closed loop reaches with so many in flight."""
    clients = Clients(golden, provider, [f"{name}-{number}" for number in range(math.ceil(count / 8))])
    tenants, numbers, began = list(clients.clients), iter(range(count)), time.monotonic()

    async def some() -> None:
        for number in numbers:
            sent = Sent(Arrival(0.0, name, tenants[number % len(tenants)], f"{name}-{number}", twice=False))
            await clients.submit(sent, began)
            if not sent.task_ids:
                raise SystemExit(f"a task of the probe was answered with {sent.statuses}")
            ended = partial(asyncio.to_thread, _ends, golden.settings, list(sent.task_ids))
            await until(ended, PROBE_SECONDS)

    await asyncio.gather(*(some() for _ in range(at_once)))
    await clients.close()
    return count / (time.monotonic() - began)


async def play(golden: Golden, provider: Provider, plan: Sequence[Arrival], patience: float) -> Run:
    """Send every arrival at its time, wait until nothing goes on any more, and look at the books."""
    clients = Clients(golden, provider, sorted({arrival.tenant for arrival in plan}))
    began, wall = time.monotonic(), time.time()
    looks: list[tuple[float, int, int]] = []
    looking = asyncio.create_task(_look(golden.settings, began, looks))
    sent, under_way = [Sent(arrival) for arrival in plan], []
    for one in sent:
        await asyncio.sleep(max(0.0, one.arrival.at - (time.monotonic() - began)))
        under_way.append(asyncio.create_task(clients.submit(one, began)))
    await asyncio.gather(*under_way)
    await _until_rest(golden.settings, patience)
    drained = time.monotonic() - began
    looking.cancel()
    await asyncio.wait({looking})
    faults = await _faults(golden, provider, sent)
    await clients.close()
    ids = [task_id for one in sent for task_id in one.task_ids]
    ended = {task_id: at - wall for task_id, at in _ends(golden.settings, ids).items()}
    return Run(sent, ended, looks, faults, drained)


async def _look(settings: Settings, began: float, looks: list[tuple[float, int, int]]) -> None:
    while True:
        found = await asyncio.to_thread(_open_tasks, settings)
        looks.append((time.monotonic() - began, *found))
        await asyncio.sleep(1.0)


async def _until_rest(settings: Settings, patience: float) -> None:
    """What is not at rest when patience is over is found by the checks."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if (await asyncio.to_thread(_open_tasks, settings))[0] == 0:
            books = await asyncio.to_thread(read_books, settings)
            if not any((*unsettled_tasks(books), *left_holds(books))):
                return
        await asyncio.sleep(0.5)


async def _faults(golden: Golden, provider: Provider, sent: Sequence[Sent]) -> list[str]:
    """Everything that is lost, double, refused otherwise than by 429, wrongly booked or left behind."""
    books: Books = await asyncio.to_thread(read_books, golden.settings)
    mine = [one for one in sent if one.task_ids]
    accepted = {(one.arrival.tenant, one.arrival.title): next(iter(one.task_ids)) for one in mine}
    ids = {one.arrival.title: next(iter(one.task_ids)) for one in mine}
    asked = Counter((ids[each.title], each.voting) for each in provider.asked if each.title in ids)
    tenants = {one.arrival.tenant for one in sent}
    rows = partial(_of, tenants=tenants, ids=set(ids.values()))
    books = Books(
        *(rows(books.tasks), rows(books.events), rows(books.steps), rows(books.calls)),
        *(rows(books.entries), rows(books.letters), rows(books.accounts), rows(books.keys)),
    )
    others = Counter(status for one in sent for status in one.statuses if status not in (ACCEPTED, LIMITED))
    booked = sum(call.model == "openai:scripted" for call in books.calls)
    return [
        *findings(books, Promised(accepted, accepted, asked)),
        *(f"refused: {status}, {count} times" for status, count in others.items()),
        *(f"doubled: {one.arrival.title} is {one.task_ids}" for one in mine if len(one.task_ids) > 1),
        *(f"ended: {task.task_id} is {task.state}" for task in books.tasks if task.state != "accepted"),
        *([] if booked == sum(asked.values()) else [f"booked: {booked} calls, {sum(asked.values())} were made"]),
        *[fault for tenant in sorted(tenants) for fault in await _ledger_faults(golden, tenant)],
    ]


def _of(rows: Sequence[Any], *, tenants: set[str], ids: set[UUID]) -> tuple[Any, ...]:
    """Those of the run, and not of the probe before it."""
    return tuple(row for row in rows if getattr(row, "task_id", None) in ids or getattr(row, "tenant", None) in tenants)


async def _ledger_faults(golden: Golden, tenant: str) -> list[str]:
    """What `golden budget check` says; a tenant none of whose tasks was accepted has no account."""
    async with golden.client("admin", tenant) as http:
        checked = await http.get(f"/v1/budgets/{tenant}/check")
    ok = checked.status_code == httpx.codes.OK and checked.json()["ok"]
    return [] if ok or checked.status_code == httpx.codes.NOT_FOUND else [f"ledger of {tenant}: {checked.text}"]


def _connect(settings: Settings) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(settings.database("service").replace("+psycopg", ""), connect_timeout=5)


def _open_tasks(settings: Settings) -> tuple[int, int]:
    """How many have not ended, and how many of these wait for a slot."""
    with _connect(settings) as connection:
        row = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE state IN ('submitted', 'queued')) FROM tasks "
            "WHERE state NOT IN ('accepted', 'rejected', 'failed', 'cancelled')"
        ).fetchone()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))


def _ends(settings: Settings, ids: Sequence[UUID]) -> dict[UUID, float]:
    """When those of the tasks that have ended did, seconds since 1970."""
    with _connect(settings) as connection:
        rows = connection.execute(
            "SELECT task_id, extract(epoch FROM updated_at)::float8 FROM tasks WHERE task_id = ANY(%s) "
            "AND state IN ('accepted', 'rejected', 'failed', 'cancelled')",
            (list(ids),),
        ).fetchall()
    return {row[0]: float(row[1]) for row in rows}


def service_times(settings: Settings, name: str) -> dict[str, float]:
    """Median seconds of the steps of tasks that ran alone, by the kind of worker; the provider takes none of them."""
    with _connect(settings) as connection:
        rows = connection.execute(
            "SELECT split_part(step, '/', 1), extract(epoch FROM ended_at - started_at)::float8 FROM task_steps "
            "WHERE tenant LIKE %s AND ended_at IS NOT NULL",
            (f"{name}-%",),
        ).fetchall()
    kinds = {"plan": "orchestrator", "develop": "orchestrator", "prove": "sandbox", "ballot": "peer-hub"}
    found: dict[str, list[float]] = {kind: [] for kind in kinds.values()}
    for step, seconds in rows:
        if step in kinds:
            found[kinds[str(step)]].append(float(seconds))
    return {kind: round(statistics.median(values), 4) for kind, values in found.items()}


async def measure(home: Path, arguments: argparse.Namespace) -> int:
    """The probe, the run, the table; 1 where anything is wrong."""
    async with stack(home) as (golden, provider):
        await probe(golden, provider, ALONE_TASKS, 1, "alone")
        times = service_times(golden.settings, "alone")
        rate = arguments.rate or SHARE * await probe(golden, provider, PROBE_TASKS, PROBE_AT_ONCE, "probe")
        print(f"sustained: {rate:.2f} tasks a second", flush=True)
        tenants = [f"load-{number}" for number in range(max(2, math.ceil(rate * 60 / A_MINUTE_A_TENANT)))]
        plan = arrivals(rate, arguments.factor, arguments.seconds, tenants, arguments.seed)
        run = await play(golden, provider, plan, patience=arguments.patience)
    told = table(run, rate, arguments.factor, arguments.seconds, arguments.seed)
    print(told)
    if arguments.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")
        PICTURE.write_text(picture(run, rate))
        TIMES.write_text(json.dumps({"command": "python bench/load.py --write", "seconds": times}, indent=1) + "\n")
    return 1 if run.faults else 0


def main() -> int:
    """0, or 1 where anything was lost, doubled, wrongly refused, wrongly booked or left behind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, help="tasks a second; else probed")
    parser.add_argument("--seconds", type=float, default=120.0, help="of each of the three phases")
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=1_800.0, help="seconds to wait for the last task")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="golden-load-") as folder:
        return asyncio.run(measure(Path(folder), arguments))


if __name__ == "__main__":
    sys.exit(main())
