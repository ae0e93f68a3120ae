"""Tasks of all ends, and their money added up by hand from the rows: nothing came from nowhere, nothing was lost."""

import asyncio
import threading
from uuid import UUID

from schema.database import Database
from tests.endtoend.test_ends import cancel
from tests.endtoend.test_parking import NONSENSE, budget_holds, decide, parked
from tests.support.books import Books, books_of
from tests.support.golden import Golden
from tests.support.processes import until
from tests.support.provider import Provider, Script, files
from tests.support.specs import BAD, GOOD, spec

INPUT, OUTPUT = 100, 20
USED = INPUT + OUTPUT
COST = INPUT + 2 * OUTPUT
"""Micro-dollars of an answer, at a dollar a million tokens read and two a million written."""


async def books(golden: Golden) -> Books:
    database = Database.from_settings(golden.settings)
    try:
        return await books_of(database, "default")
    finally:
        await database.close()


async def test_what_tasks_of_all_ends_were_charged_is_what_their_calls_used(golden: Golden, provider: Provider) -> None:
    gate = threading.Event()
    gates = {"developer": gate}
    provider.script("sum accepted", Script(developer=[files(work=GOOD)]))
    provider.script("sum rejected", Script(developer=[files(work=BAD)]))
    provider.script("sum discarded", Script(plan=NONSENSE))
    provider.script("sum cancelled", Script(developer=[files(work=GOOD)], gates=gates))
    provider.script("sum deadline", Script(developer=[files(work=GOOD)], gates=gates))
    submitted = {
        end: await golden.submit(spec(f"sum {end}", deadline="10s" if end == "deadline" else "5m"))
        for end in ("accepted", "rejected", "discarded", "cancelled", "deadline")
    }
    await until(lambda: len(provider.asked_about("sum cancelled")) == 2)
    await cancel(golden, submitted["cancelled"])
    await decide(golden, await parked(golden, submitted["discarded"]), "discard", reason="enough")
    ended = await asyncio.gather(*(golden.final(task_id) for task_id in submitted.values()))
    gate.set()
    assert [task["state"] for task in ended] == ["accepted", "rejected", "failed", "cancelled", "failed"]

    found = await books(golden)
    calls = {end: found.calls_of(UUID(task_id)) for end, task_id in submitted.items()}
    # A plan, a candidate and four ballots; a plan and a candidate; three answers that were no use; and twice a plan,
    # with a developer whose answer nobody waited for, charged at the estimate of its one call.
    answered = {"accepted": 6, "rejected": 2, "discarded": 3, "cancelled": 1, "deadline": 1}
    lost = {end: [call for call in calls[end] if call["state"] == "uncertain"] for end in calls}
    assert {end: len(calls[end]) - len(lost[end]) for end in calls} == answered
    assert {end: len(calls) for end, calls in lost.items() if calls} == {"cancelled": 1, "deadline": 1}
    tokens = {
        end: number * USED + sum(call["reserved_tokens"] for call in lost[end]) for end, number in answered.items()
    }
    money = {
        end: number * COST + sum(call["reserved_micro_usd"] for call in lost[end]) for end, number in answered.items()
    }
    rows = {end: found.tasks[UUID(task_id)] for end, task_id in submitted.items()}
    assert {end: row["spent_tokens"] for end, row in rows.items()} == tokens
    assert {end: row["spent_micro_usd"] for end, row in rows.items()} == money
    closed = [entry for entry in found.entries if entry["account"] == "tenant"]
    for end, task_id in submitted.items():
        mine = [entry for entry in closed if entry["task_id"] == UUID(task_id)]
        assert sum(entry["held_tokens"] for entry in mine) == 0
        assert sum(entry["spent_tokens"] for entry in mine) == tokens[end]
        assert sum(entry["spent_micro_usd"] for entry in mine) == money[end]
    assert found.faults() == []
    await budget_holds(golden)
