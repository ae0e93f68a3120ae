"""What the measurements of whole tasks play: the task, and a provider in a process of its own.

`python -m bench.played PORT` is the provider: it answers after 50 ms. The worker with a played sandbox is
`tests/support/played.py`.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support.provider import ROLES, ballot, files
from tests.support.specs import GOOD, spec

ROOT = Path(__file__).parent.parent
ANSWER_SECONDS = 0.05
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
    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    uvicorn.run(app, port=int(sys.argv[1]), log_level="error", access_log=False)
