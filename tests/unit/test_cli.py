"""The command line against a gateway that answers from a script, over real HTTP."""

import io
import json
import sys
from pathlib import Path

import pytest

from gateway.terminal import clean
from tests.support.parts import free_port
from tests.support.scripted_gateway import (
    STORY,
    TASK_ID,
    Golden,
    Reply,
    ScriptedGateway,
    problem,
    sse,
    task,
)
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden


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


def test_watch_tells_the_whole_story_of_a_task_that_waits_again(gateway: ScriptedGateway, golden: Golden) -> None:
    now = "2026-11-23T12:00:00+00:00"
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, {**task("escalated"), "updated_at": now}))
    story = [
        sse(1, "state", state="parked", at="2026-11-23T10:00:00+00:00"),
        sse(2, "step", step="plan", state="done", at="2026-11-23T11:00:00+00:00"),
        sse(3, "state", state="escalated", at=now),
    ]
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", story)

    code, out, _ = golden("watch", TASK_ID)

    assert code == 5
    assert [line.split(" ", 1)[1] for line in out.splitlines()[1:-1]] == [
        "state parked",
        "step plan done",
        "state escalated",
    ]


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
