"""A whole Golden for tests: `golden up` as its users start it, on free ports, and an HTTP client for it."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from gateway.authorisation import Role
from gateway.tokens import issue_token
from schema.messages.task import FINAL_STATES
from schema.settings import Settings
from tests.support.parts import GENEROUS, local_settings

FINAL = {state.value for state in FINAL_STATES}
AWAY = 503


class Golden:
    """One stack and a client. `home` outlives it, so that a killed stack can be started again."""

    def __init__(self, home: Path, **values: Any) -> None:
        self.settings: Settings = local_settings(home, **values)
        self.environment = {**os.environ, **_environment(self.settings, values)}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start and wait for `ready`.

        Raises:
            RuntimeError: the stack ended instead; its output is in the message.
        """
        self.settings.home.mkdir(parents=True, exist_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "up"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if line.strip() == "ready":
                return
        raise RuntimeError("".join(said))

    def stop(self) -> None:
        """Ctrl-C, and wait for the end."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """kill -9 of the supervisor: the kernel ends its parts."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def token(self, role: Role = "developer", tenant: str = "default", sub: str = "tester") -> str:
        return issue_token(self.settings, sub=sub, role=role, tenant=tenant, ttl=timedelta(hours=1))

    def client(self, role: Role = "developer", tenant: str = "default", sub: str = "tester") -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self.settings.gateway_url,
            headers={"Authorization": f"Bearer {self.token(role, tenant, sub)}"},
            timeout=30,
        )

    async def submit(self, spec: dict[str, Any], **headers: str) -> str:
        """Submit once; what finds PostgreSQL away is tried again, as a good client does."""
        key = headers.setdefault("Idempotency-Key", secrets.token_hex(8))
        async with asyncio.timeout(30), self.client() as client:
            answer = await client.post("/v1/tasks", json=spec, headers=headers)
            while answer.status_code == AWAY:
                await asyncio.sleep(0.2)
                answer = await client.post("/v1/tasks", json=spec, headers=headers)
        assert answer.status_code == 202, (key, answer.text)
        return str(answer.json()["task_id"])

    async def task(self, task_id: str) -> dict[str, Any]:
        """The task, or nothing while the gateway or PostgreSQL is away."""
        async with self.client("viewer") as client:
            try:
                answer = await client.get(f"/v1/tasks/{task_id}")
            except httpx.TransportError:
                return {}
        assert answer.status_code in (200, AWAY), answer.text
        task: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return task

    async def until(
        self, task_id: str, wanted: Callable[[dict[str, Any]], bool], *, within: float = 120
    ) -> dict[str, Any]:
        """The task once it is as wanted; fails with the task as it is when time runs out."""
        end = time.monotonic() + within
        task: dict[str, Any] = {}
        while time.monotonic() < end:
            task = await self.task(task_id)
            if task and wanted(task):
                return task
            await asyncio.sleep(0.1)
        raise AssertionError(f"not as wanted within {within} s: {json.dumps(task, indent=1)}")

    async def final(self, task_id: str, *, within: float = 120) -> dict[str, Any]:
        return await self.until(task_id, lambda task: task["state"] in FINAL, within=within)

    async def result(self, task_id: str) -> dict[str, Any]:
        """The result, once the task is final."""
        await self.final(task_id)
        async with self.client("viewer") as client:
            answer = await client.get(f"/v1/tasks/{task_id}/result")
        assert answer.status_code == 200, answer.text
        result: dict[str, Any] = answer.json()
        return result

    def pids(self, words: str = "") -> list[int]:
        """The parts of this stack, the children of its supervisor, whose command line holds `words`."""
        assert self._process is not None
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                # After the name in parentheses come the state and the parent's id.
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if parent == self._process.pid and words in command:
                found.append(int(folder.name))
        return found


def _environment(settings: Settings, values: dict[str, Any]) -> dict[str, str]:
    ports = ("gateway_port", "temporal_port", "temporal_ui_port", "model_port", "metrics_port")
    named = {
        "home": settings.home,
        "rate_limits": GENEROUS,
        **{name: getattr(settings, name) for name in ports},
        **values,
    }
    return {f"GOLDEN_{name.upper()}": str(value) for name, value in named.items()}


@asynccontextmanager
async def running_golden(home: Path, **values: Any) -> AsyncIterator[Golden]:
    """A started stack, stopped at the end."""
    golden = Golden(home, **values)
    await asyncio.to_thread(golden.start)
    try:
        yield golden
    finally:
        await asyncio.to_thread(golden.stop)
