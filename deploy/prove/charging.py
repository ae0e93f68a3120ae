"""Double charging: one key many times at once, calls retried and ended many times, activities delivered again."""

import asyncio
import contextlib
import subprocess
from collections import Counter
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from deploy.local.temporal import binary
from deploy.prove.paid import charge_once
from deploy.prove.proof import FINAL, Broken, Ground, NotShown, expect, spec
from schema import engine

DONE = "one Idempotency-Key 50 times at once; calls refused, lost, delivered again, ended 8 times; a workflow reset"
TIMES = 50
ENDS = (*FINAL, "escalated", "parked")
ADMITTED_WITHIN, PLANNED_WITHIN = 30.0, 20.0
ENDS_WITHIN = 25.0
CANCELLED_WITHIN = 25.0


async def prove(ground: Ground) -> str:
    """The figure; raises Broken."""
    paid = await charge_once(ground) if ground.local else ""
    tenant = ground.tenant("charge")
    await ground.limit(tenant, slots=1, limit_tokens=60_000)
    task_id = await _once(ground, tenant)
    again = ""
    if ground.local and ground.settings.temporal_address is None:
        await _under_way(ground, tenant, task_id)
        await _deliver_again(await engine.connect(ground.settings), ground, task_id)
        again = ", workflow reset to its start"
    task = await _end(ground, tenant, task_id)
    settled, tokens = await _charges(ground, tenant)
    if not settled and not paid:
        raise NotShown(f"the model charged no call, so none could be charged twice (the task: {task['state']})")
    told = f"{TIMES} answers, 1 task ({task['state']}){again}, {settled} calls charged once each, {tokens:,} tokens"
    return f"{paid}; {told}" if paid else told


async def _once(ground: Ground, tenant: str) -> str:
    """Submit the same thing many times at the same time; the one task that it made."""
    async with ground.client("admin", tenant) as client:
        body, headers = spec(f"prove charge {ground.run}"), {"Idempotency-Key": f"prove-{ground.run}"}
        answers = await asyncio.gather(*(client.post("/v1/tasks", json=body, headers=headers) for _ in range(TIMES)))
    others = Counter(answer.status_code for answer in answers if answer.status_code != 202)
    if others:
        raise Broken(f"{sum(others.values())} of {TIMES} repeats were answered with {dict(others)}")
    told = {answer.json()["task_id"] for answer in answers}
    there = {task["task_id"] for task in await ground.tasks(tenant)}
    if len(told) != 1 or there != told:
        raise Broken(f"one key made {len(there)} tasks")
    return str(told.pop())


async def _end(ground: Ground, tenant: str, task_id: str) -> dict[str, Any]:
    """The task at its end; one that a slow model makes wait is cancelled, and charged for what it did."""
    try:
        return await ground.state_in(tenant, task_id, ENDS, ENDS_WITHIN)
    except Broken:
        await ground.cancel_all(tenant)
        return await ground.state_in(tenant, task_id, FINAL, CANCELLED_WITHIN)


async def _under_way(ground: Ground, tenant: str, task_id: str) -> None:
    """Wait until the task is admitted, and for its plan if the model is quick: as much as can be delivered again."""
    planned = ("developing", "proving", "repairing", "voting", *ENDS)
    await ground.state_in(tenant, task_id, ("planning", *planned), ADMITTED_WITHIN)
    with contextlib.suppress(Broken):
        await ground.state_in(tenant, task_id, planned, PLANNED_WITHIN)


async def _deliver_again(client: Client, ground: Ground, task_id: str) -> None:
    """Reset the workflow to its first task: all of its activities run once more."""
    workflow_id = f"task/{task_id}"
    ended = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    point = next(event.event_id for event in history.events if event.event_type == ended)
    command = [str(binary()), "workflow", "reset", "--address", ground.settings.temporal_target,
               "--namespace", ground.settings.temporal_namespace, "--workflow-id", workflow_id,
               "--event-id", str(point), "--reason", "golden prove"]  # fmt: skip
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)


async def _charges(ground: Ground, tenant: str) -> tuple[int, int]:
    """How many calls were charged and the tokens of all; raises Broken where one was charged twice."""
    async with ground.client("operator", tenant) as client:
        page = expect(await client.get(f"/v1/budgets/{tenant}/entries", params={"limit": "1000"}), 200).json()
        check = expect(await client.get(f"/v1/budgets/{tenant}/check"), 200).json()
        account = expect(await client.get(f"/v1/budgets/{tenant}"), 200).json()
    return _judge(page["items"], check, account)


def _judge(entries: list[dict[str, Any]], check: dict[str, Any], account: dict[str, Any]) -> tuple[int, int]:
    if not check["ok"]:
        raise Broken(f"the ledger does not agree with itself: {len(check['findings'])} findings")
    names = ("account", "task_id", "step", "epoch", "ask", "dispatch")
    settled = Counter(
        tuple(entry[name] for name in names) for entry in entries if entry["kind"] in ("settle", "uncertain")
    )
    double = [key for key, times in settled.items() if times > 1]
    if double:
        raise Broken(f"{len(double)} calls were charged more than once, {double[0][2]} first")
    # A step that is answered again out of its row asks nobody. A call that the reset cut off went out, and is paid too.
    steps = Counter((entry["step"], entry["epoch"], entry["ask"]) for entry in entries if entry["kind"] == "settle")
    again = [key for key, times in steps.items() if times > 1]
    if again:
        raise Broken(f"the step {again[0][0]} was paid {steps[again[0]]} times")
    return len(settled), int(account["spent_tokens"])
