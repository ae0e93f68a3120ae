"""A gateway that answers from a script over real HTTP, and the command line against it."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway import cli

TASK_ID = "01a20724-f29b-7165-8118-cbf5b86682a0"
AT = "2026-11-23T06:43:11.654924+00:00"
HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]not markup[/bold] \u202ereversed\r"
Reply = tuple[int, Any] | tuple[int, bytes, str] | list[bytes]


def task(state: str = "submitted") -> dict[str, Any]:
    """A task as the API shows it."""
    return {
        "task_id": TASK_ID,
        "tenant": "default",
        "title": "Add",
        "state": state,
        "reason": None,
        "submitted_by": "local",
        "submitted_at": AT,
        "updated_at": AT,
        "progress": [],
        "links": {},
    }


def problem(status: int, name: str, **more: Any) -> Reply:
    """A refusal."""
    body = {"type": f"https://golden.invalid/problems/{name}", "title": "No", "status": status, "detail": "because"}
    return status, {**body, "request_id": "1", **more}


def sse(sequence: int, event: str, **data: Any) -> bytes:
    """One event of a stream."""
    return f"id: {sequence}\nevent: {event}\ndata: {json.dumps({'at': AT, **data})}\n\n".encode()


STORY = [
    sse(1, "state", state="submitted"),
    b": ping\n\n",
    sse(2, "step", step="plan", state="running"),
    sse(3, "step", step="plan", state="done", seconds=1.25),
    sse(4, "candidate", number=1, step="prove/1", passed=False, tests_passed=1, tests_failed=2, limit="timeout"),
    sse(5, "candidate", number=2, step="prove/2", passed=True, tests_passed=3, tests_failed=0, limit=None),
    sse(6, "ballot", voter="tester", round=1, choice="approve", confidence=0.9, rationale=HOSTILE),
    sse(7, "state", state="accepted"),
    sse(8, "verdict", state="accepted", reason=None, summary="approved by 3"),
]


class ScriptedGateway:
    """Answers each route from its script, the last answer again and again, and remembers what it was asked."""

    def __init__(self) -> None:
        self.script: dict[str, list[Reply]] = {}
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                gateway.answer(self)

            do_POST = do_GET
            do_PUT = do_GET
            do_DELETE = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def on(self, route: str, *replies: Reply) -> None:
        self.script[route] = list(replies)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        route = f"{handler.command} {handler.path}"
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        self.asked.append((route, {name.lower(): value for name, value in handler.headers.items()}, body))
        replies = self.script.get(route) or [problem(404, "not-found")]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, list):
            after = int(handler.headers.get("last-event-id") or 0)
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.end_headers()
            for chunk in reply:
                if not chunk.startswith(b"id: ") or int(chunk.split(b"\n")[0][4:]) > after:
                    handler.wfile.write(chunk)
            return
        content = reply[1] if isinstance(reply[1], bytes) else json.dumps(reply[1]).encode()
        handler.send_response(reply[0])
        handler.send_header("Content-Length", str(len(content)))
        if len(reply) > 2:
            handler.send_header("Content-Type", reply[2])
        handler.end_headers()
        handler.wfile.write(content)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedGateway]:
    """A gateway that the command line's environment names."""
    scripted = ScriptedGateway()
    monkeypatch.setenv("GOLDEN_HOME", str(tmp_path))
    monkeypatch.setenv("GOLDEN_URL", scripted.url)
    monkeypatch.setenv("GOLDEN_TOKEN", "token")
    monkeypatch.delenv("GOLDEN_TENANT", raising=False)
    thread = threading.Thread(target=scripted.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield scripted
    scripted.server.shutdown()
    thread.join()
    scripted.server.server_close()


@pytest.fixture
def golden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command in this process: its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["golden", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


Golden = Callable[..., tuple[int, str, str]]
