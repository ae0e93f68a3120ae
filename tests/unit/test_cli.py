"""The command line against a gateway that answers from a script, over real HTTP."""

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway import cli
from gateway.terminal import clean
from tests.support.parts import free_port

TASK_ID = "01a20724-f29b-7165-8118-cbf5b86682a0"
AT = "2026-11-23T06:43:11.654924+00:00"
HOSTILE = "\x1b[31mred\x1b]0;title\x07 [bold]not markup[/bold] \u202ereversed\r"
Reply = tuple[int, Any] | list[bytes]


def task(state: str = "submitted") -> dict[str, Any]:
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
    body = {"type": f"https://golden.invalid/problems/{name}", "title": "No", "status": status, "detail": "because"}
    return status, {**body, "request_id": "1", **more}


def sse(sequence: int, event: str, **data: Any) -> bytes:
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
        handler.end_headers()
        handler.wfile.write(content)


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedGateway]:
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


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "task.yaml"
    path.write_text("title: Add\n")
    return path


def test_submit_prints_the_task_and_sends_the_file_with_a_key(
    gateway: ScriptedGateway, golden: Golden, file: Path
) -> None:
    gateway.on("POST /v1/tasks", (202, task()))

    code, out, _ = golden("submit", str(file), "--key", "k1")

    assert (code, out) == (0, f"task {TASK_ID}\n")
    _, headers, body = gateway.asked[0]
    assert body == b"title: Add\n"
    assert headers["content-type"] == "application/yaml"
    assert headers["idempotency-key"] == "k1"
    assert headers["authorization"] == "Bearer token"


def test_submit_as_json_prints_the_apis_task(gateway: ScriptedGateway, golden: Golden, file: Path) -> None:
    gateway.on("POST /v1/tasks", (202, task()))

    assert json.loads(golden("submit", str(file), "--json")[1]) == task()


def test_submit_tries_again_under_the_same_key_when_the_database_was_away(
    gateway: ScriptedGateway, golden: Golden, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    gateway.on("POST /v1/tasks", problem(503, "database-unavailable"), (202, task()))

    assert golden("submit", str(file))[0] == 0
    first, second = (headers["idempotency-key"] for _, headers, _ in gateway.asked)
    assert first == second


def test_a_bad_file_is_told_by_file_and_field(gateway: ScriptedGateway, golden: Golden, file: Path) -> None:
    faults = [{"field": "title", "message": "is required"}, {"field": "budget_tokens", "message": "must be at least 1"}]
    gateway.on("POST /v1/tasks", problem(422, "invalid-request", errors=faults))

    code, out, err = golden("submit", str(file))

    assert (code, out) == (2, "")
    assert err == f"golden: {file}: title: is required\ngolden: {file}: budget_tokens: must be at least 1\n"


def test_submit_reads_standard_input(gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.on("POST /v1/tasks", (202, task()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"title": "Add"}')))

    assert golden("submit", "-")[0] == 0
    assert gateway.asked[0][1]["content-type"] == "application/json"


def test_a_missing_file_is_a_usage_error(gateway: ScriptedGateway, golden: Golden, tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"

    assert golden("submit", str(missing)) == (2, "", f"golden: {missing}: No such file or directory\n")


def test_watch_piped_prints_plain_lines_and_ends_with_the_verdict(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, task()))
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", STORY)

    code, out, _ = golden("watch", TASK_ID)

    assert code == 0
    assert out.splitlines() == [
        f"task {TASK_ID}",
        "06:43:11 state submitted",
        "06:43:11 step plan running",
        "06:43:11 step plan done 1.2s",
        "06:43:11 candidate 1 failed: 1 of 3 tests, ended by timeout",
        "06:43:11 candidate 2 passed: 3 of 3 tests",
        "06:43:11 ballot tester approve, round 1: \ufffd[31mred\ufffd]0;title\ufffd "
        "[bold]not markup[/bold] \ufffdreversed\ufffd",
        "06:43:11 state accepted",
        "06:43:11 verdict accepted: approved by 3",
    ]


def test_watch_as_json_prints_events_and_then_the_task(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, task("accepted")))
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", STORY)

    code, out, _ = golden("watch", TASK_ID, "--json")
    lines = [json.loads(line) for line in out.splitlines()]

    assert code == 0
    assert [line["sequence"] for line in lines[:-1]] == list(range(1, 9))
    assert lines[-1] == task("accepted")


def test_watch_resumes_where_a_gateway_left_off(
    gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.cli_watch.FIRST_PAUSE", 0.01)
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, task()))
    broken = [*STORY[:3], b"id: 3\nevent: st"]
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", broken, problem(503, "database-unavailable"), STORY)

    code, out, _ = golden("watch", TASK_ID)

    assert code == 0
    assert len(out.splitlines()) == 9
    asked = [headers["last-event-id"] for route, headers, _ in gateway.asked if route.endswith("/events")]
    assert asked == ["0", "2", "2"]


@pytest.mark.parametrize(
    ("state", "code"),
    [("accepted", 0), ("rejected", 1), ("failed", 1), ("cancelled", 1), ("escalated", 5), ("parked", 5)],
)
def test_watch_ends_with_the_code_of_the_state(state: str, code: int, gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, task(state)))
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", [sse(1, "state", state=state)])

    assert golden("watch", TASK_ID)[0] == code


def test_watch_goes_on_after_an_escalation_that_was_decided(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, task("accepted")))
    story = [sse(1, "state", state="escalated"), sse(2, "verdict", state="accepted", summary="by a person")]
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", story)

    assert golden("watch", TASK_ID)[0] == 0


def test_result_of_an_unfinished_task_is_5(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/result", problem(409, "task-not-final", state="voting"))

    assert golden("result", TASK_ID)[0] == 5


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (problem(401, "unauthenticated"), 3),
        (problem(403, "forbidden"), 3),
        (problem(409, "task-final"), 3),
        (problem(429, "rate-limited"), 3),
        (problem(404, "not-found"), 2),
        (problem(503, "database-unavailable"), 4),
        ((200, b"<html>not a gateway</html>"), 4),
        ((502, b"bad gateway"), 4),
    ],
    ids=str,
)
def test_a_refusal_is_one_line_and_an_exit_code(
    reply: Reply, code: int, gateway: ScriptedGateway, golden: Golden
) -> None:
    gateway.on(f"POST /v1/tasks/{TASK_ID}/cancel", reply)

    ended, out, err = golden("cancel", TASK_ID)

    assert (ended, out) == (code, "")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "detail", "code"),
    [("no-vote", "the task ended without a vote: tests failed", 1), ("not-found", "there is no such task", 2)],
)
def test_a_missing_vote_or_task_is_told_once(
    name: str, detail: str, code: int, gateway: ScriptedGateway, golden: Golden
) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/consensus", problem(404, name, detail=detail))

    assert golden("consensus", TASK_ID) == (code, "", f"golden: {detail}\n")


def test_an_unreachable_gateway_is_told_with_its_remedy(
    gateway: ScriptedGateway, golden: Golden, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("GOLDEN_URL", url)

    assert golden("tasks") == (
        4,
        "",
        f"golden: cannot reach the gateway at {url}: is the stack up? (golden up)\n",
    )


def test_tasks_lists_one_line_a_task(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on("GET /v1/tasks?limit=50&state=voting", (200, {"items": [task("voting")], "next_cursor": None}))

    code, out, _ = golden("tasks", "--state", "voting")

    assert code == 0
    assert out.splitlines()[1].split()[:2] == [TASK_ID, "voting"]


def test_decide_sends_the_decision_with_its_reason(gateway: ScriptedGateway, golden: Golden) -> None:
    gateway.on(f"POST /v1/tasks/{TASK_ID}/decision", (200, task("escalated")))

    assert golden("decide", TASK_ID, "accept", "--reason", "it works")[0] == 0
    assert json.loads(gateway.asked[0][2]) == {"decision": "accept", "reason": "it works"}


def test_clean_keeps_what_people_write() -> None:
    text = "naïve – 日本語 👩‍💻\n\tindented"

    assert clean(text) == text
