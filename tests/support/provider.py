"""The one thing that tests play: an OpenAI-compatible provider that answers from a script."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.support.parts import free_port

# The security reviewer is a reviewer too: the more particular comes first.
ROLES = ("supervisor", "architect", "developer", "security", "reviewer", "tester")
VOTERS = ("reviewer", "security", "tester", "architect")


@dataclass(frozen=True)
class Asked:
    """One request that the provider saw."""

    title: str
    role: str
    voting: bool
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        return "\n".join(message["content"] for message in self.body["messages"])


@dataclass(frozen=True)
class Fault:
    """Instead of an answer: an error, or with status 200 a completion without a choice."""

    status: int = 500
    retry_after: int | None = None
    message: str = "as scripted"


Answer = dict[str, Any] | str | Fault


@dataclass
class Script:
    """What the models say about one task, by role; a list is used in order, its last item for ever. What the supervisor
    words is the `developer`'s, in a script that is named for the rule.

    `gates` holds requests of a role back until the event is set.
    """

    plan: Sequence[Answer] = field(default_factory=lambda: [{"summary": "Write it.", "steps": ["write", "test"]}])
    developer: Sequence[Answer] = ()
    ballots: Mapping[str, Sequence[Answer]] = field(default_factory=dict)
    gates: dict[str, threading.Event] = field(default_factory=dict)
    usage: tuple[int, int] = (100, 20)


def files(**contents: str) -> dict[str, Any]:
    """A developer's answer: `name` is `name.py`."""
    return {"files": [{"path": f"{name}.py", "content": content} for name, content in contents.items()]}


def ballot(choice: str = "approve", *objections: dict[str, Any], confidence: float = 0.9) -> dict[str, Any]:
    """A voter's answer."""
    return {
        "choice": choice,
        "confidence": confidence,
        "rationale": f"I {choice}.",
        "evidence": ["tests"],
        "objections": list(objections),
    }


class Provider:
    """Scripts by task title, and the requests that came."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self.scripts: dict[str, Script] = {}
        self.asked: list[Asked] = []
        self.down: Fault | None = None
        self._counts: dict[tuple[str, str], int] = {}

    @property
    def models(self) -> str:
        """`GOLDEN_MODELS` for this provider."""
        return json.dumps(
            {
                "default": [
                    {
                        "model": "openai:scripted",
                        "base_url": self.url,
                        "api_key": "none",
                        "max_tokens": 1000,
                        "price": {"input": 1.0, "output": 2.0},
                    }
                ]
            }
        )

    def script(self, title: str, script: Script) -> None:
        self.scripts[title] = script

    def asked_about(self, title: str, keep: Callable[[Asked], bool] = lambda asked: True) -> list[Asked]:
        return [asked for asked in self.asked if asked.title == title and keep(asked)]

    async def answer(self, request: Request) -> Response:
        asked = self._read(await request.json())
        self.asked.append(asked)
        script = self.scripts[asked.title]
        gate = script.gates.get(asked.role)
        if gate is not None:
            await asyncio.to_thread(gate.wait, 120)
        said = self.down or self._next(script, asked)
        if isinstance(said, Fault):
            headers = {} if said.retry_after is None else {"Retry-After": str(said.retry_after)}
            broken = {**_completion("", script.usage), "choices": []}
            return JSONResponse(
                broken if said.status == 200 else {"error": {"message": said.message}}, said.status, headers
            )
        return JSONResponse(_completion(said if isinstance(said, str) else json.dumps(said), script.usage))

    def _read(self, body: dict[str, Any]) -> Asked:
        # Whose answer is begun for it is told no role, and writes code.
        said = {message["role"]: message["content"] for message in body["messages"]}
        system, user = said.get("system", "developer"), said["user"]
        role = next(role for role in ROLES if role in system.split(".")[0])
        # From a word's beginning, and the longest, so that one title may begin with another.
        title = max((title for title in self.scripts if re.search(rf"\b{re.escape(title)}", user)), key=len)
        return Asked(title, role, "Vote:" in user, body)

    def _next(self, script: Script, asked: Asked) -> Answer:
        answers: Sequence[Answer]
        if asked.voting:
            answers = script.ballots.get(asked.role, (ballot(),))
        else:
            answers = script.plan if asked.role == "architect" else script.developer
        key = (asked.title, f"{asked.role}/{asked.voting}")
        count = self._counts[key] = self._counts.get(key, 0) + 1
        return answers[min(count, len(answers)) - 1]


def _completion(text: str, usage: tuple[int, int]) -> dict[str, Any]:
    return {
        "id": "scripted",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)},
    }


@asynccontextmanager
async def running_provider() -> AsyncIterator[Provider]:
    """A provider that listens, in a thread of its own so that no test can starve it."""
    port = free_port()
    provider = Provider(port)
    app = Starlette(routes=[Route("/v1/chat/completions", provider.answer, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield provider
    finally:
        for script in provider.scripts.values():
            for gate in script.gates.values():
                gate.set()
        server.should_exit = True
        await asyncio.to_thread(thread.join)
