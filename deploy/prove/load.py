"""10x load: one tenant submits ten times what it may, and a neighbour is served as before."""

import asyncio
import re
import time
from collections import Counter
from typing import Any

import httpx

from deploy.prove.proof import Broken, Ground, expect, spec

DONE = "one developer submits at 10x its rate for 5 s, while a neighbour reads"
TIMES = 10
MOST = 300
"""Submissions of the burst; a limit that lets all of them in bounds nothing here."""
BURST_SECONDS = 5.0
NEIGHBOUR_EVERY = 0.5
NEIGHBOUR_SECONDS = 3.0
"""The longest a neighbour's answer may take meanwhile."""
ENDS_WITHIN = 60.0

Answers = list[tuple[str, int, str | None, Any]]


async def prove(ground: Ground) -> str:
    """The figure; raises Broken."""
    tenant, near = ground.tenant("load"), ground.tenant("near")
    # Without a slot all that is accepted stands in line: the burst costs no model call.
    await ground.limit(tenant, slots=0, limit_tokens=10_000_000)
    async with ground.client("developer", tenant) as client:
        first = expect(await client.get("/v1/tasks"), 200)
        found = re.search(r'"principal";q=(\d+)', first.headers.get("RateLimit-Policy", ""))
        if found is None:
            raise Broken("no limit is told")
        quota = int(found[1])
        count = min(TIMES * quota, MOST)
        burst = asyncio.create_task(_burst(client, ground.run, count))
        slowest = await _neighbour(ground, near, burst)
        answers = await burst
    accepted = _judge(answers, quota)
    await _nothing_lost(ground, tenant, accepted)
    if slowest > NEIGHBOUR_SECONDS:
        raise Broken(f"a neighbour waited {slowest:.1f} s for an answer")
    refused = sum(status == 429 for _, status, _, _ in answers)
    return (
        f"{count} sent at {count / BURST_SECONDS:.0f}/s: {len(accepted)} queued, {refused} refused (429), "
        f"0 lost, 0 double; neighbour's slowest {slowest * 1000:.0f} ms"
    )


async def _burst(client: httpx.AsyncClient, run: str, count: int) -> Answers:
    """Open-loop: each is sent at its time, whether those before it are answered or not."""
    began = time.monotonic()

    async def one(number: int) -> tuple[str, int, str | None, Any]:
        await asyncio.sleep(began + number * BURST_SECONDS / count - time.monotonic())
        title = f"prove load {run} {number}"
        headers = {"Idempotency-Key": f"prove-{run}-{number}"}
        answer = await client.post("/v1/tasks", json=spec(title), headers=headers)
        return title, answer.status_code, answer.headers.get("Retry-After"), answer.json()

    return list(await asyncio.gather(*(one(number) for number in range(count))))


async def _neighbour(ground: Ground, tenant: str, burst: asyncio.Task[Answers]) -> float:
    """The longest that another tenant waited for an answer during the burst, in seconds."""
    slowest = 0.0
    async with ground.client("operator", tenant) as client:
        while not burst.done():
            began = time.monotonic()
            expect(await client.get("/v1/tasks"), 200)
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(NEIGHBOUR_EVERY)
    return slowest


def _judge(answers: Answers, quota: int) -> dict[str, str]:
    """The accepted ones, title by task; raises Broken where an answer is neither 202 nor a 429 that says when."""
    others = Counter(status for _, status, _, _ in answers if status not in (202, 429))
    if others:
        raise Broken(f"{sum(others.values())} of {len(answers)} were answered with {dict(others)}")
    if any(status == 429 and not wait for _, status, wait, _ in answers):
        raise Broken("a refusal does not say when to come back")
    accepted = {body["task_id"]: title for title, status, _, body in answers if status == 202}
    if len(accepted) > quota or len(accepted) == len(answers):
        raise Broken(f"{len(accepted)} of {len(answers)} submissions in {BURST_SECONDS:.0f} s were let in: "
                     f"the limit of {quota} a minute bounds nothing")  # fmt: skip
    return accepted


async def _nothing_lost(ground: Ground, tenant: str, accepted: dict[str, str]) -> None:
    """What was accepted is there, once, waits for a slot, and comes to its end when it is told to."""
    there = {task["task_id"]: task for task in await ground.tasks(tenant)}
    if {key: task["title"] for key, task in there.items()} != accepted:
        raise Broken(f"{len(accepted)} were accepted, {len(there)} are there")
    running = [task["state"] for task in there.values() if task["state"] not in ("submitted", "queued")]
    if running:
        raise Broken(f"{len(running)} tasks of a tenant without a slot are {running[0]}")
    await ground.cancel_all(tenant)
    left: list[str] = []
    end = time.monotonic() + ENDS_WITHIN
    while time.monotonic() < end:
        left = [task["state"] for task in await ground.tasks(tenant) if task["state"] != "cancelled"]
        if not left:
            return
        await asyncio.sleep(1)
    raise Broken(f"{len(left)} accepted tasks never ended: {left[0]}")
