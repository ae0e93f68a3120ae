"""SLO violation: a task that can't be done in its time, a vote whose voters are slow, and the gateway measured."""

import asyncio
import time

from deploy.prove.proof import FINAL, Broken, Ground, expect, spec

DONE = "a task with 10 s to live whose tests take a minute; 60 reads measured beside it"
DEADLINE_SECONDS = 10
LATE_SECONDS = 20.0
"""What its end may take beyond the deadline: the next step of its workflow, and a worker that is busy."""
READS = 60
OBJECTIVE_SECONDS, OBJECTIVE_SHARE = 0.5, 0.95
SLOW = {"test_mean.py": "import time\n\n\ndef test_mean():\n    time.sleep(60)\n    assert False\n"}


async def prove(ground: Ground) -> str:
    """The figure; raises Broken."""
    tenant = ground.tenant("slo")
    await ground.limit(tenant, slots=1, limit_tokens=400_000)
    body = spec(f"prove slo {ground.run}", tests=SLOW, deadline=f"{DEADLINE_SECONDS}s", candidates=4, repair_rounds=10,
                budget_tokens=200_000, show_tests=False)  # fmt: skip
    async with ground.client("developer", tenant) as client:
        task_id = str(expect(await client.post("/v1/tasks", json=body), 202).json()["task_id"])
    began = time.monotonic()
    told, task = await asyncio.gather(
        _reads(ground, tenant), ground.state_in(tenant, task_id, FINAL, DEADLINE_SECONDS + LATE_SECONDS)
    )
    seconds = time.monotonic() - began
    if task["state"] == "accepted":
        raise Broken("a task whose test fails was accepted")
    return f"the task {task['state']} ({task['reason']}) after {seconds:.1f} s; {told}"


async def _reads(ground: Ground, tenant: str) -> str:
    """The gateway's availability and latency, one read at a time."""
    took = []
    async with ground.client("admin", tenant) as client:
        for _ in range(READS):
            began = time.monotonic()
            expect(await client.get("/v1/tasks"), 200)
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
    took.sort()
    within = sum(seconds <= OBJECTIVE_SECONDS for seconds in took) / READS
    if within < OBJECTIVE_SHARE:
        raise Broken(f"{within:.0%} of reads within {OBJECTIVE_SECONDS * 1000:.0f} ms, not {OBJECTIVE_SHARE:.0%}")
    return f"{READS} of {READS} reads answered, p95 {took[int(READS * 0.95)] * 1000:.0f} ms"
