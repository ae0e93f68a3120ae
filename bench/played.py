"""What the measurements of whole tasks play: a provider in a process of its own, a sandbox, and the worker with it.

`python -m bench.played provider PORT` answers after 50 ms; `python -m bench.played worker` is a worker of ours, with
its own settings, whose sandbox runs nothing.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from schema.messages.sandbox import SandboxJob, SandboxRun, TestOutcome
from tests.support.provider import ROLES, ballot, files
from tests.support.specs import GOOD, spec

ROOT = Path(__file__).parent.parent
ANSWER_SECONDS = 0.05
RUN_SECONDS = 0.05
"""Of one run; a candidate that passes has a second, its control."""
SANDBOXES = 20
TASK = spec("Double", candidates=3, show_tests=True)
PLAN = {"summary": "Write it.", "steps": ["write", "test"]}


async def answer(request: Request) -> JSONResponse:
    """One completion, by the role that is asked."""
    body = await request.json()
    system, user = body["messages"][0]["content"], body["messages"][-1]["content"]
    role = next(role for role in ROLES if role in system.split(".")[0])
    said = ballot() if "Vote:" in user else PLAN if role == "architect" else files(work=GOOD)
    await asyncio.sleep(ANSWER_SECONDS)
    return JSONResponse(
        {
            "id": "played",
            "object": "chat.completion",
            "created": 0,
            "model": "played",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(said)}}
            ],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    )


def models(port: int) -> str:
    """`GOLDEN_MODELS` for the provider on a port."""
    target = {
        "model": "openai:played",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": "none",
        "max_tokens": 1000,
        "at_once": 200,
        "price": {"input": 1.0, "output": 2.0},
    }
    return json.dumps({"default": [target]})


class PlayedPool:
    """A sandbox pool in which every candidate passes, and its control finds nothing."""

    async def start(self) -> None:
        """There is nothing to start."""

    async def ready(self) -> None:
        """It always is."""

    async def close(self) -> None:
        """There is nothing to end."""

    async def run(self, job: SandboxJob) -> SandboxRun:  # noqa: ARG002 (whatever it is)
        """Take as long as a short program."""
        await asyncio.sleep(RUN_SECONDS)
        names = ("test_it_doubles", "test_it_doubles_nothing")
        tests = tuple(TestOutcome(id=f"test_work.py::{name}", outcome="passed") for name in names)
        return SandboxRun(exit_code=0, tests=tests, isolation="gvisor")


def worker() -> None:
    """The kinds of workers that a task needs, in this process, until SIGTERM; does not return."""
    profile = os.environ.get("GOLDEN_BENCH_PROFILE")
    if profile:
        import cProfile

        profiler = cProfile.Profile()
        profiler.runcall(asyncio.run, _worker())
        profiler.dump_stats(profile)
    else:
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
    parts = replace(composed, pool=pool, sandbox=SandboxActivities(TaskStore(composed.database), pool))
    kinds = {name: KINDS[name] for name in ("orchestrator", "peer-hub", "sandbox")}
    await asyncio.gather(*(_serve(name, kind, parts, client, settings, stop) for name, kind in kinds.items()))
    await parts.circuits.flush()
    await parts.database.close()


@asynccontextmanager
async def process(arguments: Sequence[str], environment: dict[str, str]) -> AsyncIterator[int]:
    """`python -m …` in a process of its own; its id."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}
    )
    try:
        yield running.pid
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far."""
    words = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if sys.argv[1] == "provider":
        app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
        uvicorn.run(app, port=int(sys.argv[2]), log_level="error", access_log=False)
    else:
        worker()
