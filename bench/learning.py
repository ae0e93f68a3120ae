"""Does learning help? A simulated developer over 500 tasks: without learning, without the gate, and as Golden learns.

    python bench/learning.py [--runs 20] [--tasks 500] [--picture docs/learning.svg]

What is real: PostgreSQL with its limits, approvals and pointers, the pins of tasks, the scan and its patterns, the
verdict of an evaluation, the test of a canary. What is played: the developer, whose defects depend on the guidelines in
its prompt; the supervisor, who words a lesson wrongly at times; and the clock, by which a task comes every ten minutes.
Nobody decides on what is unclear: it is rejected.
"""

import argparse
import asyncio
import json
import logging
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import structlog
from sqlalchemy import TextClause, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from uuid_utils.compat import uuid7

from activities.canary_stats import CanaryRules, CanarySeen, decide
from activities.evaluation_stats import report_of
from activities.evaluation_subjects import seeds_for
from activities.scan import ScanActivities
from bench.picture import Line, chart
from schema.database import Database
from schema.messages.learning import EvaluationReport, Pattern
from schema.prompts import active_version, read_prompt
from schema.proposals import set_guideline
from schema.settings import Settings
from schema.tables import learning_updates, outcomes, prompt_limits, prompt_pointers, tasks
from schema.texts import digest_of
from tests.support.learning import install_prompts
from tests.support.parts import running_postgres

Arm = Literal["none", "ungated", "golden"]
ARMS: tuple[Arm, ...] = ("none", "ungated", "golden")
LESSONS = {"security/B602": 0.25, "tests/IndexError": 0.20, "lint/B006": 0.15}
"""Rules that the right guideline answers: how often they fail without it."""
LEARNED = 0.03
NOISE = {f"lint/N{number}": 0.01 + 0.005 * number for number in range(8)}
"""Rules that no guideline answers."""
WRONG_COSTS = 0.10
"""Each wrong guideline fails so many more tasks."""
MISWORDED = 0.3
"""Of the lessons that there are, those that the supervisor words wrongly."""
REROLLED = 0.5
"""Of the runs of one past task, those that differ from the others by chance too, as a model's answers do."""
EVERY = timedelta(minutes=10)
SCAN_EVERY = 10
"""Tasks between two scans."""


@dataclass
class Run:
    """One run of one arm."""

    failed: list[bool] = field(default_factory=list)
    right: list[int] = field(default_factory=list)
    wrong: int = 0
    wrong_proposed: int = 0
    proposed: int = 0


class Simulation:
    """One tenant's tasks, one after the other."""

    def __init__(self, database: Database, settings: Settings, arm: Arm, seed: int) -> None:
        self._database, self._settings, self._arm = database, settings, arm
        self._tenant = f"{arm}-{seed}"
        # The same tasks for every arm.
        self._tasks = random.Random(seed)  # noqa: S311
        self._dice = random.Random(f"{arm} {seed}")  # noqa: S311
        self._texts: dict[UUID, tuple[str, ...]] = {}
        self.run = Run()

    async def play(self, number: int) -> Run:
        start = datetime.now(UTC) - number * EVERY
        scan = ScanActivities(self._database, NoClient(), self._settings)  # type: ignore[arg-type]
        for index in range(number):
            at = start + index * EVERY
            await self._task(at)
            if self._arm == "none":
                continue
            await self._watch(index, at)
            if index % SCAN_EVERY == SCAN_EVERY - 1:
                await scan.scan()
                await self._take_up(index, at)
        return self.run

    async def _task(self, at: datetime) -> None:
        task_id, spec = UUID(str(uuid7())), digest_of(str(self._tasks.random()))
        async with self._database.tenant(self._tenant) as connection:
            values = {"title": "t", "submitted_by": "ann", "budget_tokens": 1_000, "state": "accepted"}
            await connection.execute(insert(tasks).values(task_id=task_id, tenant=self._tenant, spec=spec, **values))
            pins = await connection.scalar(
                text("SELECT pin_prompts(:tenant, :task)"), {"tenant": self._tenant, "task": task_id}
            )
            version = UUID(pins["developer"])
            rules = self._defects(await self._guidelines(connection, version), self._tasks.randrange(2**32))
            outcome = {"model": "played", "rules": rules, "failed": bool(rules), "prompt_version": version, "at": at}
            await connection.execute(
                insert(outcomes).values(
                    task_id=task_id, step="develop/1", epoch=1, tenant=self._tenant, role="developer", spec=spec,
                    findings={}, repair_rounds=0, input_tokens=0, output_tokens=0, **outcome,
                )
            )  # fmt: skip
        self.run.failed.append(bool(rules))

    async def _guidelines(self, connection: Any, version: UUID) -> tuple[str, ...]:
        if version not in self._texts:
            self._texts[version] = tuple(each.text for each in (await read_prompt(connection, version)).guidelines)
        return self._texts[version]

    def _defects(self, guidelines: Sequence[str], seed: int) -> list[str]:
        """What goes wrong in a task: the same dice for every prompt, so that pairs differ by the prompt alone."""
        dice = random.Random(seed)  # noqa: S311
        found = []
        for rule, rate in {**LESSONS, **NOISE}.items():
            learned = f"Right: mind {rule}." in guidelines
            if dice.random() < (LEARNED if learned else rate):
                found.append(rule)
        wrong = sum(each.startswith("Wrong") for each in guidelines)
        if dice.random() < 1 - (1 - WRONG_COSTS) ** wrong:
            found.append("tests/failed")
        return found

    async def _take_up(self, index: int, at: datetime) -> None:
        """Word what is new, and press every open proposal as far as it gets."""
        async with self._database.tenant(self._tenant) as connection:
            mine = learning_updates.c.tenant == self._tenant
            rows = (
                await connection.execute(
                    select(learning_updates).where(mine, learning_updates.c.state.in_(("proposed", "waiting")))
                )
            ).all()
        for row in rows:
            if row.new_guideline is None:
                await self._word(row)
            if await self._call(text("SELECT admit_prompt_update(:id, :at)"), id=row.id, at=at) != "evaluating":
                continue
            await self._decide(row.id, index, at)

    async def _word(self, row: Any) -> None:
        rule = Pattern.model_validate(row.evidence[0]["pattern"]).rule
        right = rule in LESSONS and self._dice.random() >= MISWORDED
        guideline = f"Right: mind {rule}." if right else f"Wrong: about {rule}, {row.id}."
        self.run.proposed += 1
        self.run.wrong_proposed += not right
        async with self._database.tenant(self._tenant) as connection:
            await set_guideline(
                connection, update_id=row.id, tenant=self._tenant, role="developer", guideline=guideline,
                parent=row.parent_version,
            )  # fmt: skip

    async def _decide(self, update_id: UUID, index: int, at: datetime) -> None:
        async with self._database.tenant(self._tenant) as connection:
            row = (await connection.execute(select(learning_updates).where(learning_updates.c.id == update_id))).one()
            old = await self._guidelines(connection, row.parent_version)
        report = self._evaluate(row, old, index) if self._arm == "golden" else None
        if report is not None and report.verdict != "better":
            # Nobody is there to decide on what is unclear.
            await self._call(text("SELECT reject_prompt_update(:id, 'bob', 'no gain', :at)"), id=update_id, at=at)
            return
        async with self._database.service() as connection:
            evaluation = json.loads(report.model_dump_json()) if report else {"verdict": "unclear"}
            await connection.execute(
                update(learning_updates)
                .where(learning_updates.c.id == update_id)
                .values(state="pending", evaluation=evaluation)
            )
        said = text(
            "SELECT approve_prompt_update(:id, 'bob', 'fine', digest, :at) FROM learning_updates WHERE id = :id"
        )
        await self._call(said, id=update_id, at=at)
        if self._arm == "ungated":
            await self._finish(update_id, "adopted", index, at)

    def _evaluate(self, row: Any, old: Sequence[str], index: int) -> EvaluationReport:
        """Both versions on past tasks, as many and as often as Golden takes, by Golden's verdict."""
        settings, pattern = self._settings, Pattern.model_validate(row.evidence[0]["pattern"])
        held_out = min(settings.evaluation_tasks, index + 1 - len(pattern.task_ids))
        new, whole, own = (*old, row.diff["after"]), [], []
        for _ in range(held_out):
            task, dice = UUID(int=self._dice.getrandbits(128)), self._dice.getrandbits(32)
            for seed in range(seeds_for(held_out, settings.evaluation_pairs)):
                first = self._again(dice)
                before, after = self._defects(old, first), self._defects(new, self._again(first))
                whole.append((task, seed, not before, not after))
                own.append((task, seed, pattern.rule not in before, pattern.rule not in after))
        margin, least = settings.evaluation_margin, settings.evaluation_min_tasks
        return report_of(row.id, whole, margin=margin, min_tasks=least, rule=pattern.rule, rule_runs=own)

    def _again(self, dice: int) -> int:
        return self._dice.getrandbits(32) if self._dice.random() < REROLLED else dice

    async def _watch(self, index: int, at: datetime) -> None:
        """Look at the canary, if there is one, after each task."""
        async with self._database.tenant(self._tenant) as connection:
            mine = (prompt_pointers.c.tenant == self._tenant, prompt_pointers.c.role == "developer")
            pointer = (await connection.execute(select(prompt_pointers).where(*mine))).one_or_none()
            if pointer is None or pointer.canary is None:
                return
            share = await connection.scalar(
                select(prompt_limits.c.canary_share).where(
                    prompt_limits.c.tenant == "*", prompt_limits.c.role == "developer"
                )
            )
            rows = (
                await connection.execute(
                    select(outcomes.c.prompt_version, outcomes.c.failed)
                    .where(outcomes.c.tenant == self._tenant, outcomes.c.at > pointer.canary_since)
                    .order_by(outcomes.c.at)
                )
            ).all()
        tried = [row.failed for row in rows if row.prompt_version == pointer.canary]
        parent = [row.failed for row in rows if row.prompt_version != pointer.canary]
        failures = [row.prompt_version == pointer.canary for row in rows if row.failed]
        seen = CanarySeen(
            len(tried), sum(tried), len(parent), sum(parent), failures, (at - pointer.canary_since) / timedelta(hours=1)
        )
        settings = self._settings
        rules = CanaryRules(
            (share or 20) / 100,
            settings.canary_false_alarms,
            settings.canary_tasks,
            settings.evaluation_margin,
            settings.canary_hours,
        )
        outcome, _ = decide(seen, rules)
        if outcome is not None:
            await self._finish(pointer.canary_update, outcome, index, at)

    async def _finish(self, update_id: UUID, outcome: str, index: int, at: datetime) -> None:
        statement = text("SELECT finish_prompt_canary(:id, :outcome, 'golden', 'played', :at)")
        if await self._call(statement, id=update_id, outcome=outcome, at=at) != "adopted":
            return
        async with self._database.tenant(self._tenant) as connection:
            version = await active_version(connection, self._tenant, "developer")
            assert version is not None
            guidelines = await self._guidelines(connection, version)
        if guidelines[-1].startswith("Right"):
            self.run.right.append(index + 1)
        else:
            self.run.wrong += 1

    async def _call(self, statement: TextClause, **values: Any) -> Any:
        try:
            async with self._database.service() as connection:
                return await connection.scalar(statement, values)
        except DBAPIError as error:
            return getattr(error.orig, "sqlstate", None)


class NoClient:
    """Stands for Temporal, which nothing of this needs: the simulation presses the proposals itself."""

    async def start_workflow(self, *_: Any, **__: Any) -> None:
        return None


def summary(arm: Arm, runs: Sequence[Run]) -> str:
    """A line of the table."""
    last = [sum(run.failed[-100:]) / len(run.failed[-100:]) for run in runs]
    right = [at for run in runs for at in run.right[:1]]
    lessons, wrong = sum(len(run.right) for run in runs), sum(run.wrong for run in runs)
    proposed = sum(run.wrong_proposed for run in runs)
    return (
        f"| {arm} | {sorted(right)[len(right) // 2] if right else '–'} | {lessons / len(runs):.1f} of {len(LESSONS)} | "
        f"{wrong} of {proposed} | {wrong / (wrong + lessons):.1%} | {sum(last) / len(last):.1%} |"
        if wrong + lessons
        else f"| {arm} | – | – | – | – | {sum(last) / len(last):.1%} |"
    )


def rolling(runs: Sequence[Run], width: int = 50) -> list[tuple[float, float]]:
    """The share of failing tasks over the last `width`, mean of all runs, in percent."""
    length = len(runs[0].failed)
    points = []
    for end in range(width, length + 1, 5):
        share = sum(sum(run.failed[end - width : end]) for run in runs) / (width * len(runs))
        points.append((float(end), 100 * share))
    return points


async def play(arm: Arm, seed: int, number: int) -> Run:
    """One run in a database of its own, so that a scan counts nobody else's tasks."""
    with tempfile.TemporaryDirectory() as home:
        async with running_postgres(Path(home)) as settings:
            database = Database.from_settings(settings)
            try:
                await install_prompts(database)
                return await Simulation(database, settings, arm, seed).play(number)
            finally:
                await database.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    lines = []
    print("| arm | first right lesson | right lessons | wrong adopted, of proposed | of adopted | failing at the end |")
    print("| --- | --- | --- | --- | --- | --- |")
    for arm in ARMS:
        runs = [await play(arm, seed, asked.tasks) for seed in range(asked.runs)]
        print(summary(arm, runs), flush=True)
        lines.append(Line(arm, rolling(runs)))
    if asked.picture:
        asked.picture.write_text(chart("Failing tasks, % of the last 50", "task", lines))


if __name__ == "__main__":
    asyncio.run(main())
