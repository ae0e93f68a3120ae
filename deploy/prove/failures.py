"""Service failures: kill -9 of the worker and of the gateway in the middle of a task."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from sqlalchemy import select

from deploy.prove.proof import FINAL, TESTS, Broken, Ground, NotShown, expect, spec, until
from schema.database import Database
from schema.tables import model_calls, task_steps

DONE = "kill -9 of the worker and the gateway in the middle of a task"
BACK_WITHIN = 45.0
ENDS_WITHIN, CANCELLED_WITHIN = 50.0, 20.0
SLOW = {"test_mean.py": f"import time\n\ntime.sleep(3)\n{TESTS['test_mean.py']}"}
"""So that a quick model's task is not over before anything is killed."""
ENDS = (*FINAL, "escalated", "parked")


async def prove(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    ground.need_local("kills processes")
    if ground.gentle:
        raise NotShown("--gentle: it kills the worker and the gateway, and whatever they run is tried again")
    tenant = ground.tenant("fail")
    await ground.limit(tenant, slots=1, limit_tokens=60_000)
    async with ground.client("developer", tenant) as client:
        body = spec(f"prove failures {ground.run}", tests=SLOW, candidates=3)
        answer = expect(await client.post("/v1/tasks", json=body), 202)
    task_id = str(answer.json()["task_id"])
    await ground.state_in(tenant, task_id, ("planning", "developing", "proving", "voting", *ENDS), 30)
    found = await ground.task(tenant, task_id)
    if found.get("state", "accepted") in ENDS:
        raise NotShown("the task was over before anything was killed")
    before = _done(found)
    killed, began = _kill(ground.supervisor), time.monotonic()

    async def back() -> bool:
        return len(_parts(ground.supervisor)) == len(killed) and bool(await ground.task(tenant, task_id))

    if not await until(back, BACK_WITHIN):
        raise Broken(f"{' and '.join(sorted(killed))} killed: not back after {BACK_WITHIN:.0f} s")
    answered = time.monotonic() - began
    task = await _end(ground, tenant, task_id, before)
    steps = await _done_once(ground, tenant)
    return (
        f"both answered again after {answered:.1f} s; the task {task['state']} after "
        f"{time.monotonic() - began:.1f} s, {steps} steps, none done twice"
    )


def _done(task: dict[str, Any]) -> set[str]:
    return {step["step"] for step in task.get("progress", ()) if step["state"] == "done"}


async def _end(ground: Ground, tenant: str, task_id: str, before: set[str]) -> dict[str, Any]:
    """The task at its end. One that goes on, but slowly as its model is, is cancelled; one that stands is Broken."""
    try:
        return await ground.state_in(tenant, task_id, ENDS, ENDS_WITHIN)
    except Broken:
        if not _done(await ground.task(tenant, task_id)) - before:
            raise
        await ground.cancel_all(tenant)
        return await ground.state_in(tenant, task_id, FINAL, CANCELLED_WITHIN)


def _parts(supervisor: int) -> dict[str, int]:
    """The worker and the gateway: children of the stack's supervisor, by name."""
    found: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == supervisor:
            found |= {name: int(folder.name) for name in ("worker", "gateway") if name.encode() in words}
    return found


def _kill(supervisor: int) -> dict[str, int]:
    parts = _parts(supervisor)
    if len(parts) < 2:
        raise Broken("the worker or the gateway is not running")
    for number in parts.values():
        os.kill(number, signal.SIGKILL)
    return parts


async def _done_once(ground: Ground, tenant: str) -> int:
    """How many steps were done; raises Broken where one of them was answered by two calls."""
    answered = model_calls.c.response.is_not(None) & model_calls.c.invalid.is_(None)
    database = Database.from_settings(ground.settings, pool_size=1)
    try:
        async with database.tenant(tenant) as connection:
            steps = (await connection.execute(select(task_steps.c.step).where(task_steps.c.state == "done"))).all()
            calls = (await connection.execute(select(model_calls).where(answered))).all()
    finally:
        await database.close()
    times = Counter((call.step, call.epoch) for call in calls)
    double = [key for key, count in times.items() if count > 1]
    if double:
        raise Broken(f"the step {double[0][0]} was answered {times[double[0]]} times")
    return len(steps)
