"""Pictures of the dashboards from a stack under load: `python bench/dashboards.py [--seconds N]`.

Starts a stack whose models are played and answer within half a second to two, an exporter and a Prometheus, and works:
tasks that are accepted, rejected, escalated and parked, programs of a client's own, reads, and a proposal for a prompt.
After two fifths of the time the provider fails for OUTAGE seconds, so that circuits open and close. Then every query of
every dashboard is asked for that time, and docs/dashboards/*.svg are drawn from the answers.
"""

import argparse
import asyncio
import itertools
import math
import random
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
# In place of this folder, where files have the names of packages.
sys.path[0] = str(ROOT)

import httpx  # noqa: E402

from deploy.dashboards.build import DASHBOARDS  # noqa: E402
from deploy.dashboards.draw import Series, picture  # noqa: E402
from deploy.dashboards.expressions import WINDOW  # noqa: E402
from deploy.dashboards.panel import Panel  # noqa: E402
from tests.support.golden import Golden, running_golden  # noqa: E402
from tests.support.prometheus import Prometheus, running_prometheus  # noqa: E402
from tests.support.provider import Fault, Provider, Script, ballot, files, running_provider  # noqa: E402
from tests.support.specs import BAD, GOOD, spec  # noqa: E402

PICTURES = ROOT / "docs" / "dashboards"
STEP = 2.0
RATE_WINDOW = "20s"
OUTAGE = 10.0
IN_FLIGHT = 2
NO_USE = ["no json"] * 3
SPLIT = {"reviewer": [ballot("reject")], "tester": [ballot("abstain")], "security": [ballot("abstain")]}
COURSES = (
    *(Script(developer=[files(work=GOOD)]) for _ in range(5)),
    Script(developer=[files(work=BAD)]),
    *(Script(developer=[files(work=GOOD)]) for _ in range(5)),
    Script(developer=[files(work=GOOD)], ballots=SPLIT),
    *(Script(developer=[files(work=GOOD)]) for _ in range(5)),
    Script(developer=NO_USE),
)
PROGRAMS = ("print(sum(range(10)))", "while True: pass")
ENDS = ("accepted", "rejected", "failed", "cancelled", "escalated", "parked")
"""States in which a task needs nothing of the load's any more."""


class Thinking(threading.Event):
    """A gate of the provider's that opens after as long as a quick model thinks."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for half a second to two."""
        del timeout
        return super().wait(random.uniform(0.5, 2.0))  # noqa: S311 - no secret


async def tasks(golden: Golden, provider: Provider, numbers: "itertools.count[int]") -> None:
    """One task after the other, until cancelled."""
    gates: dict[str, threading.Event] = {role: Thinking() for role in ("architect", "developer", "reviewer", "tester")}
    for number in numbers:
        script = COURSES[number % len(COURSES)]
        title = f"seen {number:04}"
        provider.script(title, Script(developer=script.developer, ballots=script.ballots, gates=gates))
        task_id = await golden.submit(spec(title, candidates=1))
        await golden.until(task_id, lambda task: task["state"] in ENDS, within=600)


async def programs(golden: Golden) -> None:
    """Programs of a client's own, one of two of which runs for ever."""
    async with golden.client() as client:
        client.timeout = httpx.Timeout(120)
        for code in itertools.cycle(PROGRAMS):
            body = {"files": {"main.py": code}, "command": ["python", "main.py"], "limits": {"seconds": 1}}
            await client.post("/v1/sandbox/executions", json=body)
            await asyncio.sleep(8)


async def reads(golden: Golden) -> None:
    """What people look at, and one who may not."""
    async with golden.client("viewer") as client:
        for path in itertools.cycle(("/v1/tasks", "/v1/tasks", "/v1/circuits", "/v1/budgets/default", "/v1/tasks")):
            await client.get(path)
            await asyncio.sleep(0.2)


async def outage(provider: Provider, after: float) -> None:
    """The provider fails for a while."""
    await asyncio.sleep(after)
    provider.down = Fault(500)
    await asyncio.sleep(OUTAGE)
    provider.down = None


async def proposal(golden: Golden, after: float) -> None:
    """A developer proposes one more guideline for a prompt."""
    await asyncio.sleep(after)
    said = {"kind": "prompt", "role": "security", "add": "Check that every file that is opened is closed."}
    async with golden.client(sub="proposer") as client:
        answer = await client.post("/v1/proposals", json=said, headers={"Idempotency-Key": "seen"})
        answer.raise_for_status()


async def load(golden: Golden, provider: Provider, seconds: float) -> None:
    """Work for so long; what fails meanwhile, as in an outage, is not the load's business."""
    numbers = itertools.count()
    courses: list[Callable[[], Awaitable[None]]] = [lambda: tasks(golden, provider, numbers)] * IN_FLIGHT
    courses += [lambda: programs(golden), lambda: reads(golden), lambda: outage(provider, seconds * 0.4)]
    courses.append(lambda: proposal(golden, seconds * 0.2))
    running = [asyncio.ensure_future(course()) for course in courses]
    done, _ = await asyncio.wait(running, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    for each in done:
        each.result()


async def asked(prometheus: Prometheus, panel: Panel, begin: float, end: float) -> list[Series]:
    """What a panel's queries return for that time."""
    found = []
    for number, query in enumerate(panel.queries):
        for labels, values in await prometheus.over(query.expr.replace(WINDOW, RATE_WINDOW), begin, end, STEP):
            points = [(at - begin, value) for at, value in values if not math.isnan(value)]
            if points:
                found.append(Series(number, labels, points))
    return found


async def draw(prometheus: Prometheus, begin: float, end: float) -> int:
    """Write the pictures; how many panels have nothing to show."""
    PICTURES.mkdir(exist_ok=True)
    empty = 0
    for name, dashboard in DASHBOARDS.items():
        data = [await asked(prometheus, panel, begin, end) for panel in dashboard.panels]
        empty += sum(not series for series in data)
        (PICTURES / f"{name}.svg").write_text(picture(dashboard, data, end - begin))
    return empty


async def measure(seconds: float) -> None:
    """Start everything, work, draw."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with running_provider() as provider:
            values = {"models": provider.models, "log_level": "warning", "reconcile_seconds": 2}
            async with (
                running_golden(home / "golden", **values) as golden,
                running_prometheus(golden, home / "prometheus", every=f"{STEP:g}s") as prometheus,
            ):
                async with golden.client("admin") as client:
                    limits = {"limit_tokens": 50_000_000, "limit_micro_usd": 100_000_000}
                    (await client.put("/v1/budgets/default", json=limits)).raise_for_status()
                begin = time.time()
                await load(golden, provider, seconds)
                empty = await draw(prometheus, begin, time.time())
    print(f"{len(DASHBOARDS)} pictures of {seconds:.0f} s; {empty} panels had nothing to show")


def main() -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=180.0)
    asyncio.run(measure(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
