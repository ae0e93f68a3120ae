"""What the command line shows of a task: the live view, the result and the vote."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gateway.cli_view import Story
from schema.messages.task import TaskEvent, TaskView
from tests.support.scripted_gateway import HOSTILE, STORY, TASK_ID, Golden, ScriptedGateway, sse, task
from tests.support.scripted_gateway import gateway as gateway
from tests.support.scripted_gateway import golden as golden
from tests.support.votes import VOTE


def _drawn(chunks: list[bytes], *, width: int = 120) -> str:
    """What the live view shows after these events."""
    story = Story(TaskView.model_validate(task("planning")))
    for chunk in chunks:
        if chunk.startswith(b"id"):
            fields = dict(line.split(": ", 1) for line in chunk.decode().splitlines() if line)
            event = {"sequence": int(fields["id"]), "event": fields["event"], "data": json.loads(fields["data"])}
            story.apply(TaskEvent.model_validate(event))
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - nothing is shown
        screen = Console(record=True, width=width, file=nowhere)
        screen.print(story.render())
    return screen.export_text()


def _step(kind: str, count: int, state: str) -> list[bytes]:
    return [sse(1, "step", step=f"{kind}/{number}", state=state, seconds=1.0) for number in range(1, count + 1)]


def test_the_live_view_of_sixteen_candidates_fits_a_terminal() -> None:
    chunks = [sse(1, "state", state="voting"), sse(1, "step", step="plan", state="done", seconds=1.25)]
    chunks += _step("develop", 16, "done") + _step("prove", 12, "done") + _step("repair", 3, "failed")
    chunks += _step("ballot", 8, "running")
    for number in range(1, 17):
        tests = {"passed": number > 2, "tests_passed": 20, "tests_failed": 10, "limit": "processes"}
        chunks.append(sse(1, "candidate", number=number, step=f"prove/{number}", **tests))
    for number in (1, 2):
        for voter in ("reviewer", "security", "tester", "architect"):
            ballot = {"round": number, "choice": "approve", "confidence": 0.9, "rationale": "because " * 40}
            chunks.append(sse(1, "ballot", voter=voter, **ballot))

    lines = _drawn(chunks, width=80).splitlines()
    shown = "\n".join(lines)

    assert len(lines) <= 23
    for text in ("plan ✓ 1.2s", "develop 16/16 ✓", "prove 12/12 ✓", "repair 0/3 3 ✗", "ballot 0/8", "… ballot/1"):
        assert text in shown
    for text in ("and 4 more running", "16: 20/30 processes", "architect (round 2)"):
        assert text in shown


def test_steps_that_still_run_are_counted_among_those_of_their_kind() -> None:
    shown = _drawn([*_step("prove", 12, "done"), sse(1, "step", step="prove/13", state="running")])

    assert "prove 12/13\n" in shown
    assert "… prove/13" in shown


def test_the_live_view_shows_steps_candidates_and_ballots() -> None:
    shown = _drawn(STORY)

    for text in ("accepted", "plan", "1.2", "1 of 3", "3 of 3", "ended by timeout", "tester", "0.90", "approved by 3"):
        assert text in shown
    assert "[bold]not markup[/bold]" in shown
    assert not set(shown) & {"\x1b", "\x07", "\u202e"}


def test_on_a_terminal_watch_is_live_and_lets_no_escape_of_a_model_through(gateway: ScriptedGateway) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, task()))
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", STORY)

    code, shown = _on_a_terminal("watch", TASK_ID)

    assert code == 0
    assert "approved by 3" in shown
    assert "\x1b[31mred" not in shown
    assert "\x1b]0;title" not in shown


def _on_a_terminal(*arguments: str) -> tuple[int, str]:
    """Run a command with a terminal for its standard output; what it wrote there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", *arguments],
        stdout=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(theirs)
    shown = bytearray()
    with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 - a descriptor
        while True:
            try:
                chunk = terminal.read(65_536)
            except OSError:  # Linux's way to say that the other side was closed
                break
            if not chunk:
                break
            shown += chunk
    return process.wait(), shown.decode()


def result_of(state: str) -> dict[str, Any]:
    voter = {"role": "tester", "choice": "approve", "weight": 2500, "effective_weight": 2500, "rationale": HOSTILE}
    return {
        "task_id": TASK_ID,
        "state": state,
        "files": {"add.py": f"def add(a, b):\n    return a + b  # {HOSTILE}\n"},
        "tests": [{"id": "test_add.py::test_add", "outcome": "passed", "seconds": 0.01}],
        "consensus": {
            "outcome": "approved",
            "threshold": 0.6,
            "reject_threshold": 0.5,
            "quorum": 2,
            "round": 1,
            "round_one_outcome": "approved",
            "voters": [{**voter, "outcome_without": "undecided", "pivotal": True}],
            "summary": "approved by 3",
        },
        "tokens": {"developer": {"input": 1200, "output": 300}},
        "isolation": "gvisor",
    }


@pytest.mark.parametrize(("state", "code"), [("accepted", 0), ("rejected", 1)])
def test_result_shows_code_tests_votes_and_tokens(
    state: str, code: int, gateway: ScriptedGateway, golden: Golden
) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/result", (200, result_of(state)))

    ended, out, _ = golden("result", TASK_ID)

    assert ended == code
    for text in ("def add(a, b):\n    return a + b", "tests: 1 of 1 passed", "approved by 3", "1,200", "gvisor"):
        assert text in out
    assert "[bold]not markup[/bold]" in out
    assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}


def test_consensus_tells_what_the_vote_turned_on(gateway: ScriptedGateway, golden: Golden) -> None:
    reviewer = VOTE.voters[0].model_copy(update={"rationale": HOSTILE})
    vote = VOTE.model_copy(update={"voters": (reviewer, *VOTE.voters[1:]), "veto": "security found x"})
    gateway.on(f"GET /v1/tasks/{TASK_ID}/consensus", (200, vote.model_dump(mode="json")))

    code, out, _ = golden("consensus", TASK_ID)
    lines = out.splitlines()

    assert (code, lines[0]) == (0, f"vote on task {TASK_ID}: undecided")
    assert [line for line in lines if line != line.rstrip() or len(line) > 80] == []
    assert "reviewer  ████████████████████████  approve 0.90  30 %  ◆ pivotal" in lines
    assert "security  ██████████░░░░░░░░░░      reject 0.80   25 % → 12.5 %" in lines
    assert "tester    ░░░░░░░░░░░░░░░░░░░░      absent        25 % → 0 %" in lines
    for told in (
        "veto: security found x",
        "question: Is a path that nobody checked acceptable?",
        "round 1 alone: approved (the second round changed it)",
        "counted: 30 % approve, 12.5 % reject; worth 1.72 independent votes",
        "pivotal: reviewer",
        "  Banzhaf 0.50, Shapley-Shubik 0.50; without this ballot: rejected",
        "  confidence ×0.50: said 0.80 and was right in 5 of 12",
        "  right in 5 of 12 earlier votes, Brier 0.31",
        "  tester, round 2: approve 0.70, too late and not counted",
    ):
        assert told in lines
    assert "tester: absent → approve (voters of 25 % of the weight)" in " ".join(out.split())
    found = lines.index("objections: security")
    assert lines[found + 1 : found + 3] == [
        "  high at a.py:9: survives",
        "  medium at a.py:3, citing security/1: survives",
    ]
    assert not set(out) & {"\x1b", "\x07", "\r", "\u202e"}


def test_the_picture_of_a_vote_is_asked_for_as_such_and_written_to_its_file(
    gateway: ScriptedGateway, golden: Golden, tmp_path: Path
) -> None:
    gateway.on(f"GET /v1/tasks/{TASK_ID}/consensus", (200, b"<svg/>", "image/svg+xml"))

    code, out, _ = golden("consensus", TASK_ID, "--svg", str(tmp_path / "vote.svg"))

    assert (code, out, (tmp_path / "vote.svg").read_text()) == (0, "", "<svg/>")
    assert gateway.asked[-1][1]["accept"] == "image/svg+xml"


FAILURE = """    def test_mean():
>       assert mean([1, 2]) == 2
E       assert 1.5 == 2
E        +  where 1.5 = mean([1, 2])

test_mean.py:4: AssertionError"""


def test_result_tells_parametrised_tests_apart_and_why_they_failed(gateway: ScriptedGateway, golden: Golden) -> None:
    name = f"tests/{'deep/' * 30}test_mean.py::test_mean"
    failed = {"id": f"{name}[noon]", "outcome": "failed", "message": FAILURE}
    tests = [
        failed,
        {"id": f"{name}[midnight]", "outcome": "missing"},
        {"id": "a", "outcome": "error", "message": "b\nc"},
    ]
    gateway.on(f"GET /v1/tasks/{TASK_ID}/result", (200, {**result_of("rejected"), "tests": tests}))

    lines = golden("result", TASK_ID)[1].splitlines()

    assert [line for line in lines if line != line.rstrip()] == []
    assert any("test_mean[noon]  failed" in line and "…" in line for line in lines)
    assert any("test_mean[midnight]  missing" in line for line in lines)
    found = lines.index("  assert 1.5 == 2")
    assert lines[found + 1] == "   +  where 1.5 = mean([1, 2])"
    assert lines[lines.index("error: a") :][:3] == ["error: a", "  b", "  c"]


def test_events_as_json_are_escaped_to_ascii_for_a_terminal_may_listen(
    gateway: ScriptedGateway, golden: Golden
) -> None:
    hostile = "\x9b31mred \u202ereversed \x7f"
    gateway.on(f"GET /v1/tasks/{TASK_ID}", (200, {**task("accepted"), "title": hostile}))
    told = {"voter": "tester", "round": 1, "choice": "approve", "confidence": 0.9, "rationale": hostile}
    gateway.on(f"GET /v1/tasks/{TASK_ID}/events", [sse(1, "ballot", **told), *STORY[-1:]])

    code, out, _ = golden("watch", TASK_ID, "--json")

    assert code == 0
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    assert json.loads(out.splitlines()[0])["data"]["rationale"] == hostile
