"""kill -9 of real processes in the middle of tasks: nothing is lost, nothing that was done is done or paid again."""

import asyncio
import os
import signal
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.golden import Golden, running_golden
from tests.support.processes import is_gone, until
from tests.support.provider import Provider, Script, ballot, files
from tests.support.specs import GOOD, HALF, spec

PARTS = {
    "postgres": "postgres -D",
    "temporal": "server start-dev",
    "worker": "gateway.cli worker",
    "gateway": "gateway.cli gateway",
}


def rows(golden: Golden, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    url = golden.settings.database("service").replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        return connection.execute(query, arguments).fetchall()


def kill(golden: Golden, part: str) -> int:
    """kill -9 of a part; returns the id that its process had."""
    (pid,) = golden.pids(PARTS[part])
    os.kill(pid, signal.SIGKILL)
    return pid


async def step_is(golden: Golden, task_id: str, step: str, state: str) -> None:
    await golden.until(
        task_id, lambda task: any(row["step"] == step and row["state"] == state for row in task["progress"])
    )


def assert_books_balance(golden: Golden, *task_ids: str) -> None:
    """What each task spent is the sum of its calls, nothing is held, and no slot is taken."""
    for task_id in task_ids:
        ((spent, held, calls),) = rows(
            golden,
            "SELECT spent_tokens, held_tokens, (SELECT sum(CASE state WHEN 'settled' THEN input_tokens + output_tokens "
            "ELSE reserved_tokens END) FROM model_calls c WHERE c.task_id = t.task_id) FROM tasks t WHERE task_id = %s",
            task_id,
        )
        assert (spent, held) == (calls, 0)
    ((unbalanced,),) = rows(
        golden,
        "SELECT count(*) FROM accounts a WHERE (slots_used, held_tokens, spent_tokens) <> (SELECT "
        "count(*) FILTER (WHERE open), coalesce(sum(budget_tokens) FILTER (WHERE open), 0), "
        "coalesce(sum(charged_tokens), 0) FROM (SELECT *, admitted AND state NOT IN "
        "('accepted', 'rejected', 'failed', 'cancelled') AS open FROM tasks t WHERE t.tenant = a.tenant) t)",
    )
    assert unbalanced == 0


async def test_a_worker_killed_in_mid_task_repeats_no_step_that_was_done(golden: Golden, provider: Provider) -> None:
    gate = threading.Event()
    script = Script(developer=[files(work=HALF), files(work=GOOD)], gates={"security": gate})
    provider.script("worker killed", script)
    task_id = await golden.submit(spec("worker killed", candidates=2))
    await step_is(golden, task_id, "ballot/reviewer/1", "done")
    await step_is(golden, task_id, "ballot/security/1", "running")
    kill(golden, "worker")
    gate.set()
    result = await golden.result(task_id)
    assert result["state"] == "accepted"

    # The one call that was under way is the only one sent again, and both of its dispatches are on the books.
    asked = [item.role for item in provider.asked_about("worker killed")]
    assert {role: asked.count(role) for role in set(asked)} == {
        "architect": 2,
        "developer": 2,
        "reviewer": 1,
        "security": 2,
        "tester": 1,
    }
    calls = rows(golden, "SELECT step, dispatch, state FROM model_calls WHERE task_id = %s ORDER BY 1, 2", task_id)
    assert [call for call in calls if call[0] == "ballot/security/1"] == [
        ("ballot/security/1", 1, "uncertain"),
        ("ballot/security/1", 2, "settled"),
    ]
    assert all(call[2] == "settled" for call in calls if call[0] != "ballot/security/1")
    assert_books_balance(golden, task_id)


async def explanation_of(golden: Golden, task_id: str) -> dict[str, Any]:
    """Of a task's vote, but for the voters' records, which grow with every vote."""
    vote: dict[str, Any] = (await golden.result(task_id))["consensus"]
    for voter in vote["voters"]:
        del voter["record"]
    return vote


async def test_a_worker_killed_in_mid_vote_changes_nothing_of_the_vote(golden: Golden, provider: Provider) -> None:
    shown = {"category": "correctness", "severity": "high", "where": "work.py:1", "evidence": ["diff"]}
    said = {"security": [ballot("reject", shown)], "tester": [ballot("abstain")]}
    gates = {voter: threading.Event() for voter in ("reviewer", "security", "tester")}
    provider.script("vote undisturbed", Script(developer=[files(work=GOOD)], ballots=said))
    provider.script("vote killed", Script(developer=[files(work=GOOD)], ballots=said, gates=gates))
    undisturbed = await golden.submit(spec("vote undisturbed"))
    expected = await explanation_of(golden, undisturbed)
    killed = await golden.submit(spec("vote killed"))
    await step_is(golden, killed, "ballot/architect/1", "done")
    await until(lambda: len(provider.asked_about("vote killed", lambda asked: asked.voting)) == 4)
    kill(golden, "worker")
    for gate in gates.values():
        gate.set()
    assert await explanation_of(golden, killed) == expected

    # Of what was out, the first dispatch is charged at its estimate, as nobody knows its end; and each vote once.
    calls = "SELECT step, dispatch, state FROM model_calls WHERE task_id = %s AND step LIKE 'ballot/%%' ORDER BY 1, 2"
    asked_twice = [(f"ballot/{voter}/1", number, state)
                   for voter in gates for number, state in ((1, "uncertain"), (2, "settled"))]  # fmt: skip
    assert rows(golden, calls, killed) == [("ballot/architect/1", 1, "settled"), *asked_twice]
    ballots = (
        "SELECT round, voter, choice, weight, effective_weight, late FROM ballots WHERE task_id = %s ORDER BY 1, 2"
    )
    assert rows(golden, ballots, killed) == rows(golden, ballots, undisturbed)
    assert len(rows(golden, ballots, killed)) == 4
    assert_books_balance(golden, undisturbed, killed)


async def test_a_worker_killed_in_the_sandbox_proves_again_and_leaves_no_container(
    golden: Golden, provider: Provider
) -> None:
    slow = "import time\ntime.sleep(8)\n" + GOOD
    provider.script("killed in sandbox", Script(developer=[files(work=slow)]))
    task_id = await golden.submit(spec("killed in sandbox"))
    await step_is(golden, task_id, "prove/1", "running")
    kill(golden, "worker")
    assert (await golden.result(task_id))["state"] == "accepted"
    assert_books_balance(golden, task_id)


@pytest.mark.parametrize("part", ["postgres", "temporal", "gateway"])
async def test_any_other_part_killed_in_mid_task_comes_back_and_the_task_goes_on(
    golden: Golden, provider: Provider, part: str
) -> None:
    title, gate = f"{part} killed", threading.Event()
    provider.script(title, Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    task_id = await golden.submit(spec(title, candidates=2))
    await step_is(golden, task_id, "develop/2", "running")
    killed = kill(golden, part)
    gate.set()
    result = await golden.result(task_id)
    assert result["state"] == "accepted"
    assert killed not in golden.pids(PARTS[part])
    assert_books_balance(golden, task_id)


async def test_a_stack_killed_whole_goes_on_with_its_tasks_when_it_is_started_again(
    tmp_path: Path, provider: Provider
) -> None:
    golden = Golden(tmp_path, models=provider.models, reconcile_seconds=2, log_level="warning")
    await asyncio.to_thread(golden.start)
    try:
        gate = threading.Event()
        script = Script(developer=[files(work=GOOD)], gates={"developer": gate})
        provider.script("stack killed", script)
        task_ids = [await golden.submit(spec("stack killed")) for _ in range(3)]
        await step_is(golden, task_ids[2], "develop/1", "running")
        parts = golden.pids()
        golden.kill()
        gate.set()
        await until(lambda: all(is_gone(pid) for pid in parts), 20)
        await asyncio.to_thread(golden.start)
        for task_id in task_ids:
            assert (await golden.final(task_id))["state"] == "accepted"
        assert_books_balance(golden, *task_ids)
        parts = golden.pids()
    finally:
        await asyncio.to_thread(golden.stop)
    assert all(is_gone(pid) for pid in parts)


async def test_two_stacks_run_side_by_side_and_know_nothing_of_each_other(
    golden: Golden, provider: Provider, tmp_path: Path
) -> None:
    provider.script("side by side", Script(developer=[files(work=GOOD)]))
    async with running_golden(tmp_path, models=provider.models, log_level="warning") as other:
        here, there = await golden.submit(spec("side by side")), await other.submit(spec("side by side"))
        assert (await golden.final(here))["state"] == "accepted"
        assert (await other.final(there))["state"] == "accepted"
        # Each has keys of its own: a token of one is no token of the other.
        async with other.client("viewer", sub="stranger") as client:
            client.base_url = golden.settings.gateway_url
            assert (await client.get(f"/v1/tasks/{here}")).status_code == 401
        assert rows(other, "SELECT count(*) FROM tasks WHERE task_id = %s", here) == [(0,)]


async def test_what_is_accepted_while_temporal_is_away_starts_by_itself(golden: Golden, provider: Provider) -> None:
    provider.script("temporal away", Script(developer=[files(work=GOOD)]))
    (pid,) = golden.pids(PARTS["temporal"])
    os.kill(pid, signal.SIGSTOP)
    try:
        task_id = await golden.submit(spec("temporal away"))
        assert (await golden.task(task_id))["state"] == "submitted"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (await golden.final(task_id))["state"] == "accepted"
