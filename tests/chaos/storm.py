"""A storm on a whole stack: a load while parts are killed and the provider misbehaves; the calm; what is wrong."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.chaos.storm_kills import Killer, orphans_of
from tests.chaos.storm_load import Load
from tests.chaos.storm_plan import Plan
from tests.support.golden import Golden
from tests.support.processes import until
from tests.support.storm_books import Books, read_books
from tests.support.storm_checks import Promised, count_states, findings, left_holds, unsettled_tasks
from tests.support.stormy_provider import StormyProvider

ORPHAN_SECONDS = 60
ROOT = Path(__file__).parents[2]


class Storm:
    """One storm, step by step: `rage`, `calm`, `findings`; `table` tells what it came to at any time."""

    def __init__(self, golden: Golden, provider: StormyProvider, plan: Plan) -> None:
        self.owner = f"{socket.gethostname()}:{golden.settings.home}"
        self.books = Books()
        self.found: list[str] = []
        self._golden = golden
        self._provider = provider
        self._plan = plan
        self._load = Load(golden, provider)
        self._killer = Killer(golden, provider, self.owner)
        self._redriven = plan.tenants[: len(plan.tenants) // 2]
        self._began = time.monotonic()

    @property
    def kills(self) -> dict[str, int]:
        """How often each part was killed."""
        return self._killer.kills

    async def rage(self) -> None:
        """Load, faults and kills until the plan's time is over, and each client has its answer.

        Raises:
            TimeoutError: one never got it.
        """
        async with asyncio.timeout(self._plan.seconds + self._plan.patience), asyncio.TaskGroup() as group:
            for tenant in self._plan.tenants:
                group.create_task(self._submit(tenant))
            group.create_task(self._kill())

    async def calm(self) -> None:
        """No faults any more. All comes to rest; half of the tenants redrive what is parked, and that comes to rest."""
        self._provider.calm = True
        await self._rest()
        for tenant in self._redriven:
            await self._act("operator", tenant, "POST", "/v1/dead-letters/redrive", json={"filter": {}})
        await self._rest()

    async def findings(self) -> list[str]:
        """All that is wrong, and nothing if all is well."""
        again = await self._load.ask_again()
        self.books = await asyncio.to_thread(read_books, self._golden.settings)
        accepted = {(one.tenant, one.key): one.task_id for one in self._load.accepted}
        self.found = [
            *findings(self.books, Promised(accepted, again, self._load.asked())),
            *(f"refused: {told} ({count} times)" for told, count in self._load.refused.items()),
            *self._still_parked(),
            *await self._failed(),
            *[told for tenant in self._plan.tenants for told in await self._ledger_faults(tenant)],
            *await asyncio.to_thread(self._audit_faults),
            *await self._orphans(),
        ]
        return self.found

    async def _submit(self, tenant: str) -> None:
        """One client of a tenant."""
        end = time.monotonic() + self._plan.seconds
        async with self._golden.client("developer", tenant) as http:
            for planned in self._plan.tasks(tenant):
                await self._load.submit(http, tenant, planned)
                await asyncio.sleep(min(planned.pause, max(0.0, end - time.monotonic())))
                if time.monotonic() >= end:
                    return

    async def _kill(self) -> None:
        end = time.monotonic() + self._plan.seconds
        for pause, part in self._plan.kills():
            # A pause between kills, so that work goes on.
            await asyncio.sleep(pause)
            if time.monotonic() >= end:
                return
            await self._killer.kill(part)

    async def _rest(self) -> None:
        """Until nothing goes on by itself, or patience is over; what then is not at rest is found by the checks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._plan.patience):
                while not await self._is_at_rest():  # noqa: ASYNC110 (each look reads everything)
                    await asyncio.sleep(0.5)

    async def _is_at_rest(self) -> bool:
        try:
            self.books = await asyncio.to_thread(read_books, self._golden.settings)
        except psycopg.OperationalError:
            return False
        for task in self.books.tasks:
            if task.state == "escalated":
                # A vote without quorum is a person's to decide; a second decision is refused, which is as good.
                decided = {"decision": "reject", "reason": "after the storm"}
                await self._act("approver", task.tenant, "POST", f"/v1/tasks/{task.task_id}/decision", json=decided)
        return not any((*unsettled_tasks(self.books), *left_holds(self.books)))

    async def _act(self, role: Any, tenant: str, method: str, path: str, **request: Any) -> httpx.Response:
        async with self._golden.client(role, tenant, sub=f"{role} of {tenant}".replace(" ", "-")) as http:
            return await self._load.send(http, method, path, **request)

    def _still_parked(self) -> Iterable[str]:
        """What was redriven in the calm is parked again only where it lacks budget."""
        redriven = {task.task_id for task in self.books.tasks if task.tenant in self._redriven}
        for letter in self.books.letters:
            if letter.state == "open" and letter.task_id in redriven and letter.kind != "budget":
                yield f"redriven: {letter.step} of {letter.task_id} is parked again ({letter.kind})"

    async def _failed(self) -> list[str]:
        """Tasks that were given up: here nobody discards a step, no deadline is near, and what is spent is parked."""
        failed = [task for task in self.books.tasks if task.state == "failed"]
        shown = [await self._act("viewer", task.tenant, "GET", f"/v1/tasks/{task.task_id}") for task in failed]
        return [f"failed: {task.task_id}: {view.json()['reason']}" for task, view in zip(failed, shown, strict=True)]

    async def _ledger_faults(self, tenant: str) -> list[str]:
        """What `golden budget check` says."""
        checked = await self._act("admin", tenant, "GET", f"/v1/budgets/{tenant}/check")
        ok = checked.status_code == httpx.codes.OK and checked.json()["ok"]
        return [] if ok else [f"ledger of {tenant}: {checked.text}"]

    def _audit_faults(self) -> list[str]:
        """What `golden audit verify` says of every chain."""
        command = [sys.executable, "-m", "gateway.cli", "audit", "verify", "--json"]
        verified = subprocess.run(
            command, env=self._golden.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        if verified.returncode != 0:
            return [f"audit: {verified.stdout} {verified.stderr}"]
        chains = {chain["tenant"] for chain in json.loads(verified.stdout)["chains"]}
        return [f"audit: {tenant} has no chain" for tenant in self._plan.tenants if tenant not in chains]

    async def _orphans(self) -> list[str]:
        """Containers of workers that were killed: they go when their connection does, or with the next worker."""
        with suppress(TimeoutError):
            await until(lambda: not orphans_of(self.owner), ORPHAN_SECONDS)
        return [f"orphan: container {name}" for name in orphans_of(self.owner)]

    def table(self) -> str:
        """What was done to the stack, and what it did."""
        calls = self.books.calls
        uncertain = [call for call in calls if call.state == "uncertain"]
        letters = self.books.letters
        rows = {
            "seed": str(self._plan.seed),
            "seconds of storm / in all": f"{self._plan.seconds:g} / {time.monotonic() - self._began:.0f}",
            "faults of the provider": _counts(self._provider.faults),
            "kills": _counts(self._killer.kills),
            "submissions accepted / sent again / refused": (
                f"{len(self._load.accepted)} / {self._load.repeats} / {sum(self._load.refused.values())}"
            ),
            "tasks": _counts(count_states(self.books.tasks)),
            "dead letters": _counts(
                {state: sum(row.state == state for row in letters) for state in ("open", "redriven")}
            ),
            "model calls": str(len(calls)),
            "uncertain, charged once at their estimate": (
                f"{len(uncertain)}, {sum(call.reserved_tokens for call in uncertain):,} tokens"
            ),
            "lost": self._count("lost"),
            "double charges": self._count("charged"),
            "findings": str(len(self.found)),
        }
        lines = ["| chaos | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows.items())]
        return "\n".join((*lines, *self.found))

    def _count(self, kind: str) -> str:
        return str(sum(told.startswith(kind) for told in self.found))


def _counts(counts: dict[str, int]) -> str:
    total = sum(counts.values())
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()) if count)
    return f"{total}: {told}" if told else "0"
