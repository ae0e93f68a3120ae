"""The drill of docs/disaster-recovery.md: under load back up, lose everything, come back in several ways.

Short, the two that end furthest from each other; with `GOLDEN_CHAOS_SECONDS` (`make chaos`) all four.
`GOLDEN_CHAOS_SEED` repeats the moment of the loss; `GOLDEN_RECORD=1` writes the figures into the page.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.chaos.storm_plan import Plan
from tests.support.drill import ROOT, Drill, write_figures
from tests.support.golden import Golden
from tests.support.processes import until
from tests.support.provider import Provider, Script, files
from tests.support.specs import GOOD, spec
from tests.support.storm_books import Books, read_books
from tests.support.storm_checks import Promised, findings, unsettled_tasks

AT_ONCE = 3
PLAN = Plan.from_environment()
REST_SECONDS = 240
HELD = "held back"
CALLS = 6
"""Of one task: its plan, its candidate, four ballots."""
WAYS = {
    "aligned with the backup": "--until backup",
    "the book older than Temporal": '--temporal-from "$LATER"',
    "Temporal older than the book": 'golden restore "$BACKUP"',
    "Temporal lost": "--without-temporal",
}
SHORT = tuple(WAYS)[:2]


class Load:
    """What clients were promised."""

    def __init__(self, golden: Golden, provider: Provider) -> None:
        self.golden = golden
        self.provider = provider
        self.accepted: dict[str, tuple[UUID, float]] = {}
        self.gate = threading.Event()

    async def submit(self, title: str, *, held: bool = False) -> None:
        gates = {"developer": self.gate} if held else {}
        self.provider.script(title, Script(developer=[files(work=GOOD)], gates=gates))
        task_id = UUID(await self.golden.submit(spec(title), **{"Idempotency-Key": title.replace(" ", "-")}))
        self.accepted[title] = (task_id, time.time())

    async def wave(self, name: str, *, held: bool = False) -> None:
        await asyncio.gather(*(self.submit(f"{name} {number}", held=held) for number in range(AT_ONCE)))

    async def ended(self, name: str) -> None:
        await asyncio.gather(*(self.golden.final(str(self.accepted[title][0])) for title in self.titles(name)))

    def titles(self, name: str) -> list[str]:
        return [title for title in self.accepted if title.startswith(name)]

    def asked(self, name: str) -> int:
        return sum(asked.title.startswith(name) for asked in self.provider.asked)


async def at_rest(golden: Golden) -> Books:
    """The books once nothing goes on by itself."""
    books = Books()

    def settled() -> bool:
        nonlocal books
        try:
            books = read_books(golden.settings)
        except psycopg.OperationalError:
            return False
        return not list(unsettled_tasks(books))

    try:
        await until(lambda: asyncio.to_thread(settled), REST_SECONDS)
    except TimeoutError:
        pytest.fail("; ".join(unsettled_tasks(books)))
    return books


def wrong(books: Books, load: Load) -> list[str]:
    """What the books say that they must not; what was lost is none of it."""
    there = {task.task_id for task in books.tasks}
    kept = {
        ("default", title.replace(" ", "-")): task_id
        for title, (task_id, _) in load.accepted.items()
        if task_id in there
    }
    return findings(books, Promised(kept, kept, {}))


def epochs(golden: Golden) -> list[str]:
    command = [sys.executable, "-m", "gateway.cli", "audit", "verify", "--json"]
    told = subprocess.run(command, env=golden.environment, cwd=ROOT, capture_output=True, text=True, check=False)
    report = json.loads(told.stdout)
    assert report["intact"], told.stdout
    return [gap["epoch"] for chain in report["chains"] for gap in chain["epochs"]]


async def ledger_is_right(golden: Golden) -> bool:
    async with golden.client("admin") as client:
        checked = await client.get("/v1/budgets/default/check")
    return checked.status_code == httpx.codes.OK and bool(checked.json()["ok"])


def archive_anew(golden: Golden, folder: Path, name: str) -> None:
    """Each way back begins a history of its own, in a copy of the archive as it was when all was lost."""
    archive = folder / f"archive-{name}"
    shutil.copytree(folder / "archive", archive)
    golden.environment["GOLDEN_ARCHIVE"] = str(archive)
    golden.settings = golden.settings.model_copy(update={"archive": archive})


def told_of(said: str, before: str, after: str) -> str:
    """What `golden restore` printed between two words of its own."""
    return said.split(before, 1)[1].split(after, 1)[0].strip()


class Loss:
    """A stack that is lost under load, with two backups and the archive of it."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self.folder = folder
        values = {"models": provider.models, "archive": folder / "archive", "archive_seconds": 1}
        self.golden = Golden(folder / "home", reconcile_seconds=2, log_level="warning", **values)
        self.drill, self.load = Drill(self.golden, folder), Load(self.golden, provider)
        self.backups = {"BACKUP": folder / "first", "LATER": folder / "later"}
        self.at = 0.0
        self.table: list[str] = []

    async def happen(self, moment: int) -> None:
        """`moment` is how many calls of the last wave the provider sees before the end."""
        load = self.load
        await asyncio.to_thread(self.golden.start)
        try:
            await load.wave("ended before")
            await load.ended("ended before")
            await load.wave(HELD, held=True)
            await load.wave("under way")
            await until(lambda: load.asked(HELD) >= 2 * AT_ONCE, REST_SECONDS)
            await self._back_up("BACKUP")
            load.gate.set()
            await load.ended(HELD)
            await load.ended("under way")
            await load.wave("ended between")
            await load.ended("ended between")
            await self._back_up("LATER")
            await load.wave("under way at the end")
            await until(lambda: load.asked("under way at the end") >= moment, REST_SECONDS)
        finally:
            self.at = time.time()
            await asyncio.to_thread(self.golden.kill)
            await asyncio.to_thread(self.drill.lose_everything)

    async def _back_up(self, name: str) -> None:
        await asyncio.to_thread(self.drill.run, '--to "$BACKUP"', BACKUP=self.backups[name])

    async def come_back(self, way: str) -> None:
        """One way back from it, to the end of all tasks; then that stack is lost too."""
        archive_anew(self.golden, self.folder, way.replace(" ", "-"))
        before, began = self.load.asked("ended before"), time.monotonic()
        said = await asyncio.to_thread(self.drill.run, WAYS[way], **self.backups)
        rto = time.monotonic() - began
        try:
            books = await at_rest(self.golden)
            there = {task.task_id for task in books.tasks}
            lost = [title for title, (task_id, _) in self.load.accepted.items() if task_id not in there]
            known = datetime.fromisoformat(told_of(said, "the book is as of ", "\n")).astimezone(UTC)
            rpo, workflows = self.at - known.timestamp(), told_of(said, "workflows: ", "\n")
            self.table.append(
                f"| {way} | {len(lost)} of {len(self.load.accepted)} | {rpo:.1f} | {rto:.1f} | {workflows} |"
            )
            assert wrong(books, self.load) == [], way
            assert self.load.asked("ended before") == before, way
            assert not [title for title in lost if title.startswith(("ended before", HELD))], way
            assert await ledger_is_right(self.golden)
            assert len(set(epochs(self.golden))) == 1
            if "--until" not in WAYS[way] and "$LATER" not in WAYS[way]:
                assert not [title for title in lost if not title.startswith("under way at the end")]
        finally:
            await asyncio.to_thread(self.drill.lose_everything)


@pytest.mark.chaos
@pytest.mark.timeout(1200)
async def test_from_a_backup_and_the_archive_each_way_back_keeps_its_promises(
    tmp_path: Path, provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = Loss(tmp_path, provider)
    moment = Random(PLAN.seed).randrange(1, CALLS * AT_ONCE)  # noqa: S311 - not a secret
    with capsys.disabled():
        print(f"\nGOLDEN_CHAOS_SEED={PLAN.seed}: lost after call {moment} of the last tasks", flush=True)
    await loss.happen(moment)
    for way in WAYS if PLAN.is_long else SHORT:
        await loss.come_back(way)
    heads = ["| way back | tasks lost | RPO, s | RTO, s | workflows |", "| --- | --- | --- | --- | --- |"]
    table = "\n".join((*heads, *loss.table))
    with capsys.disabled():
        print(table, flush=True)
    if os.environ.get("GOLDEN_RECORD") and PLAN.is_long:
        write_figures(table)
