"""How tasks end that are not judged: cancelled, out of time, terminated; and what waits for a person or a slot."""

import asyncio
import subprocess
import threading
from typing import Any

import psycopg
from temporalio.client import Client, WorkflowExecutionStatus

from deploy.local.temporal import binary
from tests.support.golden import Golden
from tests.support.histories import record
from tests.support.processes import until
from tests.support.provider import VOTERS, Provider, Script, ballot, files
from tests.support.specs import GOOD, spec

LOOP = "def double(number):\n    while True: pass\n"


def account(golden: Golden) -> tuple[int, int]:
    """Slots in use and tokens held of tenant `default`."""
    url = golden.settings.database("service").replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT slots_used, held_tokens FROM accounts WHERE tenant = 'default'",
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def admissions(golden: Golden, task_ids: list[str]) -> list[str]:
    """These tasks in the order in which they got their slots."""
    url = golden.settings.database("service").replace("+psycopg", "")
    query = "SELECT task_id FROM ledger_entries WHERE kind = 'admit' AND task_id = ANY(%s) ORDER BY id"
    with psycopg.connect(url) as connection:
        return [str(row[0]) for row in connection.execute(query, (task_ids,))]


async def step_runs(golden: Golden, task_id: str, step: str) -> None:
    await golden.until(
        task_id, lambda task: any(row["step"] == step and row["state"] == "running" for row in task["progress"])
    )


async def nothing_is_held(golden: Golden, task_ids: list[str]) -> None:
    """No slot and no hold belongs to these tasks any more."""
    url = golden.settings.database("service").replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        held = connection.execute("SELECT sum(held_tokens) FROM tasks WHERE task_id = ANY(%s)", (task_ids,)).fetchone()
        open_tasks = connection.execute(
            "SELECT count(*), coalesce(sum(budget_tokens), 0) FROM tasks WHERE tenant = 'default' AND admitted "
            "AND state NOT IN ('escalated', 'accepted', 'rejected', 'failed', 'cancelled')"
        ).fetchone()
    assert held == (0,)
    assert account(golden) == open_tasks


async def closed(temporal: Client, workflow_id: str) -> WorkflowExecutionStatus | None:
    """How a workflow ended; its row is closed a moment before it is."""
    handle = temporal.get_workflow_handle(workflow_id)

    async def ended() -> bool:
        return (await handle.describe()).status != WorkflowExecutionStatus.RUNNING

    await until(ended)
    return (await handle.describe()).status


async def cancel(golden: Golden, task_id: str) -> None:
    async with golden.client() as client:
        answer = await client.post(f"/v1/tasks/{task_id}/cancel")
    assert answer.status_code == 202, answer.text


async def test_a_task_cancelled_while_its_developer_thinks_leaves_nothing(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    provider.script("cancel developing", Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    task_id = await golden.submit(spec("cancel developing", candidates=2))
    await step_runs(golden, task_id, "develop/2")
    await cancel(golden, task_id)
    task = await golden.final(task_id)
    assert (task["state"], task["reason"]) == ("cancelled", "cancelled by tester")
    assert {row["state"] for row in task["progress"] if row["step"].startswith("develop")} == {"cancelled"}
    await nothing_is_held(golden, [task_id])
    assert await closed(temporal, f"task/{task_id}") == WorkflowExecutionStatus.CANCELED
    gate.set()


async def test_a_task_cancelled_in_the_sandbox_ends_the_run_at_once(golden: Golden, provider: Provider) -> None:
    provider.script("cancel proving", Script(developer=[files(work=LOOP)]))
    task_id = await golden.submit(spec("cancel proving"))
    await step_runs(golden, task_id, "prove/1")
    await cancel(golden, task_id)
    # The endless loop would run into its 30 s limit: cancelled comes long before.
    assert (await golden.final(task_id, within=20))["state"] == "cancelled"
    await nothing_is_held(golden, [task_id])


async def test_a_task_cancelled_while_it_votes_leaves_no_vote_behind(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    provider.script("cancel voting", Script(developer=[files(work=GOOD)], gates={"security": gate}))
    task_id = await golden.submit(spec("cancel voting"))
    await step_runs(golden, task_id, "ballot/security/1")
    await cancel(golden, task_id)
    assert (await golden.final(task_id))["state"] == "cancelled"
    assert await closed(temporal, f"vote/{task_id}/1") == WorkflowExecutionStatus.CANCELED
    await record(temporal, f"task/{task_id}", "AgentTask-cancelled")
    await record(temporal, f"vote/{task_id}/1", "ConsensusRound-cancelled")
    gate.set()


async def test_a_task_that_runs_out_of_time_fails_with_reason_deadline(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    provider.script("out of time", Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    task_id = await golden.submit(spec("out of time", deadline="10s"))
    task = await golden.final(task_id, within=60)
    assert (task["state"], task["reason"]) == ("failed", "deadline")
    await record(temporal, f"task/{task_id}", "AgentTask-deadline")
    await nothing_is_held(golden, [task_id])
    gate.set()


async def test_reconcile_closes_what_somebody_terminated_in_temporal(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    provider.script("terminated", Script(developer=[files(work=GOOD)], gates={"developer": gate}))
    task_id = await golden.submit(spec("terminated"))
    await step_runs(golden, task_id, "develop/1")
    await temporal.get_workflow_handle(f"task/{task_id}").terminate("an operator was in a hurry")
    task = await golden.final(task_id)
    assert (task["state"], task["reason"]) == ("failed", "workflow terminated")
    async for workflow in temporal.list_workflows("WorkflowType = 'Reconcile' AND ExecutionStatus = 'Completed'"):
        await record(temporal, workflow.id, "Reconcile-pass")
        break
    await nothing_is_held(golden, [task_id])
    gate.set()


def undecided() -> dict[str, list[Any]]:
    return {voter: [ballot("abstain")] for voter in VOTERS}


async def decide(golden: Golden, task_id: str, sub: str, decision: str = "accept") -> int:
    async with golden.client("approver", sub=sub) as client:
        answer = await client.post(f"/v1/tasks/{task_id}/decision", json={"decision": decision, "reason": "I looked."})
    return answer.status_code


async def test_a_vote_without_a_decision_is_a_persons_to_decide(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    provider.script("escalated", Script(developer=[files(work=GOOD)], ballots=undecided()))
    task_id = await golden.submit(spec("escalated"))
    task = await golden.until(task_id, lambda task: task["state"] == "escalated")
    async with golden.client("approver", sub="ann") as client:
        shown = (await client.get(f"/v1/tasks/{task_id}/result")).json()
    # Who decides sees on what.
    assert (shown["state"], shown["files"]["work.py"]) == ("escalated", GOOD)
    assert "silence rejects" in shown["reason"]
    assert "no ballot carries weight" in task["reason"]
    # While a person thinks it over, the tenant's slots are for those who work.
    await nothing_is_held(golden, [task_id])
    assert len(provider.asked_about("escalated", lambda asked: asked.voting)) == 8

    # A Signal by hand has no row behind it: the workflow looks, and goes on waiting.
    handle = temporal.get_workflow_handle(f"task/{task_id}")
    await handle.signal("decision_recorded")
    assert await decide(golden, task_id, sub="tester") == 403
    assert (await golden.task(task_id))["state"] == "escalated"

    assert await decide(golden, task_id, sub="ann") == 200
    assert await decide(golden, task_id, sub="bob", decision="reject") == 409
    result = await golden.result(task_id)
    assert (result["state"], result["reason"]) == ("accepted", "accepted by ann: I looked.")
    assert result["consensus"]["outcome"] == "undecided"
    assert result["consensus"]["round"] == 2
    await record(temporal, f"task/{task_id}", "AgentTask-escalated")
    await record(temporal, f"vote/{task_id}/1", "ConsensusRound-second-round")


async def test_a_task_reset_in_its_vote_votes_again_and_ends(
    golden: Golden, provider: Provider, temporal: Client
) -> None:
    gate = threading.Event()
    provider.script("reset", Script(developer=[files(work=GOOD)], gates={"security": gate}))
    task_id = await golden.submit(spec("reset"))
    await step_runs(golden, task_id, "ballot/security/1")
    command = [str(binary()), "workflow", "reset", "--address", golden.settings.temporal_target]
    target = ["--workflow-id", f"task/{task_id}", "--type", "FirstWorkflowTask", "--reason", "test"]
    await asyncio.to_thread(subprocess.run, [*command, *target], check=True, capture_output=True)
    gate.set()
    assert (await golden.result(task_id))["state"] == "accepted"
    asked = [item.role for item in provider.asked_about("reset") if not item.voting]
    assert sorted(asked) == ["architect", "developer"]
    await nothing_is_held(golden, [task_id])


async def test_tasks_beyond_the_tenants_slots_queue_and_start_in_order_of_arrival(
    golden: Golden, provider: Provider
) -> None:
    gate = threading.Event()
    provider.script("queued", Script(developer=[files(work=GOOD)], gates={"architect": gate}))
    task_ids = [await golden.submit(spec("queued")) for _ in range(11)]
    for task_id in task_ids[8:]:
        await golden.until(task_id, lambda task: task["state"] == "queued")
    await cancel(golden, task_ids[9])
    assert (await golden.final(task_ids[9]))["state"] == "cancelled"
    gate.set()
    tasks = await asyncio.gather(*(golden.final(task_id) for task_id in task_ids))
    assert [task["state"] for task in tasks] == ["accepted"] * 9 + ["cancelled"] + ["accepted"]
    # Their slots were given in this order; which of two workflows looks first is chance.
    queued = [task_ids[8], task_ids[10]]
    assert admissions(golden, queued) == queued
    await nothing_is_held(golden, task_ids)


async def test_temporals_own_command_lists_tasks_by_state_and_tenant(golden: Golden, provider: Provider) -> None:
    provider.script("listed", Script(developer=[files(work=GOOD)]))
    task_id = await golden.submit(spec("listed"))
    await golden.final(task_id)

    def listed() -> str:
        query = "GoldenState = 'accepted' AND GoldenTenant = 'default'"
        address = golden.settings.temporal_target
        command = [str(binary()), "workflow", "list", "--address", address, "--query", query, "--limit", "1000"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    await until(lambda: f"task/{task_id}" in listed(), 10)
