"""A sandbox pool that runs nothing, and a worker with it: for tests and measurements of everything around it.

`python -m tests.support.played [KIND...]` is the worker, with the settings of its environment.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

from schema.messages.sandbox import SandboxJob, SandboxRun, TestOutcome

RUN_SECONDS = 0.05
"""Of one run; a candidate that passes has a second, its control."""


class PlayedPool:
    """Every candidate passes, and its control finds nothing."""

    async def start(self) -> None:
        """There is nothing to start."""

    async def ready(self) -> None:
        """It always is."""

    async def close(self) -> None:
        """There is nothing to end."""

    async def run(self, job: SandboxJob) -> SandboxRun:
        """Take as long as a short program."""
        await asyncio.sleep(RUN_SECONDS)
        names = ("test_it_doubles", "test_it_doubles_nothing")
        tests = tuple(TestOutcome(id=f"test_work.py::{name}", outcome="passed") for name in names)
        return SandboxRun(exit_code=0, tests=tests, isolation="gvisor")


@asynccontextmanager
async def working(environment: dict[str, str], *kinds: str) -> AsyncIterator[int]:
    """The worker in a process of its own, so that it does not share a test's event loop; its id."""
    root = Path(__file__).parent.parent.parent
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.played", *kinds), cwd=root, env={**os.environ, **environment}
    )
    try:
        yield running.pid
    finally:
        with suppress(ProcessLookupError):  # a test may have ended it
            running.terminate()
        await running.wait()


def run_worker() -> None:
    """The kinds of workers that a task needs, in this process, until SIGTERM; does not return."""
    asyncio.run(_worker())
    # As workers/main.py: the SDK's threads may crash the interpreter on its way out.
    os._exit(0)


async def _worker() -> None:
    from activities.sandbox import SandboxActivities
    from activities.store import TaskStore
    from schema.engine import connect
    from schema.logs import configure_logs
    from schema.settings import Settings
    from workers.kinds import KINDS
    from workers.main import _serve
    from workers.parts import compose

    stop, settings = asyncio.Event(), Settings()
    configure_logs(settings.log_level, "worker-played")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await connect(settings)
    composed = compose(settings, client)
    pool = PlayedPool()
    sandbox = SandboxActivities(TaskStore(composed.database), pool)
    parts = replace(composed, pool=pool, sandbox=sandbox)  # type: ignore[arg-type]
    kinds = {name: KINDS[name] for name in sys.argv[1:] or ("orchestrator", "peer-hub", "sandbox")}
    await asyncio.gather(*(_serve(name, kind, parts, client, settings, stop) for name, kind in kinds.items()))
    await parts.circuits.flush()
    await parts.database.close()


if __name__ == "__main__":
    run_worker()
