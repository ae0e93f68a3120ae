"""Message loss: a gateway that can't reach Temporal accepts a task and a cancel, and nobody hears of either."""

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local import services
from deploy.prove.proof import Broken, Ground, expect, spec, until

DONE = "a start and a cancel are accepted by a gateway cut off from Temporal: both messages are lost"
READY_WITHIN = 30.0
SLACK_SECONDS = 25.0


async def prove(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    ground.need_local("starts a gateway of its own beside the stack's")
    tenant = ground.tenant("loss")
    await ground.limit(tenant, slots=0)
    async with ground.client("admin", tenant) as client:
        answer = await client.post("/v1/tasks", json=spec(f"prove cancel {ground.run}"))
        unwanted = str(expect(answer, 202).json()["task_id"])
    await ground.state_in(tenant, unwanted, ("queued",), READY_WITHIN)
    async with _cut_off(ground) as url, ground.client("admin", tenant, url=url) as client:
        answer = await client.post("/v1/tasks", json=spec(f"prove start {ground.run}"))
        lost = str(expect(answer, 202).json()["task_id"])
        expect(await client.post(f"/v1/tasks/{unwanted}/cancel"), 200, 202)
    began, within = time.monotonic(), 3 * ground.settings.reconcile_seconds + SLACK_SECONDS

    async def mended(task_id: str, state: str) -> float:
        async def there() -> bool:
            return (await ground.task(tenant, task_id)).get("state") == state

        return time.monotonic() - began if await until(there, within) else 0.0

    started, cancelled = await asyncio.gather(mended(lost, "queued"), mended(unwanted, "cancelled"))
    left = [name for name, seconds in (("start", started), ("cancel", cancelled)) if not seconds]
    if left:
        raise Broken(f"the lost {' and '.join(left)} was not mended within {within:.0f} s")
    return f"Reconcile started it after {started:.1f} s, the other was cancelled after {cancelled:.1f} s"


@asynccontextmanager
async def _cut_off(ground: Ground) -> AsyncIterator[str]:
    """A gateway of the same database and keys, whose Temporal is a port where nobody listens."""
    port, metrics, nobody = _free_ports()
    settings = ground.settings
    values = {"TEMPORAL_ADDRESS": f"127.0.0.1:{nobody}", "GOLDEN_GATEWAY_PORT": str(port),
              "GOLDEN_METRICS_PORT": str(metrics), "GOLDEN_LOG_LEVEL": "error"}  # fmt: skip
    process = subprocess.Popen(  # noqa: ASYNC220 - a moment, once
        services.python("gateway.cli", "gateway"),
        env=services.environment(settings, **values),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.fspath(settings.home),
    )
    url = f"{settings.scheme}://127.0.0.1:{port}"
    try:
        if not await until(lambda: services.answers(f"{url}/healthz"), READY_WITHIN):
            raise Broken("the gateway that is cut off from Temporal does not start")
        yield url
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, 10)
        process.kill()
        process.wait()


def _free_ports() -> tuple[int, int, int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        first, second, third = (probe.getsockname()[1] for probe in probes)
    return first, second, third
