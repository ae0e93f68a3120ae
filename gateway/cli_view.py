"""The live view of a task: what its events have told so far, as rich draws it."""

import threading
from datetime import UTC, datetime
from typing import Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gateway.terminal import line, plain
from schema.messages.task import TaskEvent, TaskState, TaskView

STATE_STYLES = {
    "accepted": "bold green",
    "rejected": "bold red",
    "failed": "bold red",
    "cancelled": "bold yellow",
    "escalated": "bold magenta",
    "parked": "bold magenta",
}
MARKS = {"running": "…", "waiting": "…", "retrying": "↻", "parked": "‖", "done": "✓", "failed": "✗", "cancelled": "–"}
MARK_STYLES = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow", "parked": "magenta"}
UNDER_WAY = ("running", "waiting", "retrying")
CHOICE_STYLES = {"approve": "green", "reject": "red", "abstain": "yellow", "absent": "yellow"}

MOST_CANDIDATE_ROWS = 4
MOST_RUNNING_ROWS = 4
MOST_FAILED_ROWS = 2

Steps = dict[str, dict[str, Any]]


class Story:
    """Takes a task's events in order and draws where the task is."""

    def __init__(self, view: TaskView) -> None:
        self._view = view
        self._state = view.state.value
        self._steps: Steps = {}
        self._candidates: dict[int, dict[str, Any]] = {}
        self._ballots: dict[tuple[int, str], dict[str, Any]] = {}
        self._verdict: dict[str, Any] | None = None
        self._spinner = Spinner("dots")
        # rich draws from a thread of its own, while events come in.
        self._lock = threading.Lock()

    def apply(self, event: TaskEvent) -> None:
        """Take one event."""
        with self._lock:
            self._apply(event)

    def render(self) -> RenderableType:
        """The view as of now."""
        with self._lock:
            return self._render()

    def _apply(self, event: TaskEvent) -> None:
        data = event.data
        if event.event == "state":
            self._state = str(data["state"])
        elif event.event == "step":
            self._steps[str(data["step"])] = {**self._steps.get(str(data["step"]), {"began": data["at"]}), **data}
        elif event.event == "candidate":
            self._candidates[int(data["number"])] = data
        elif event.event == "ballot":
            self._ballots[(int(data["round"]), str(data["voter"]))] = data
        else:
            self._state = str(data["state"])
            self._verdict = data

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [self._head()]
        if self._steps:
            parts.append(_steps_line(self._steps))
            parts += _open_steps(self._steps)
        if len(self._candidates) > MOST_CANDIDATE_ROWS:
            parts.append(_candidates_line(self._candidates))
        elif self._candidates:
            parts.append(_candidate_table(self._candidates))
        if self._ballots:
            parts.append(_ballot_table(self._ballots))
        if self._verdict is not None:
            parts.append(plain(line(self._verdict.get("summary") or self._verdict.get("reason") or "")))
        return Group(*parts)

    def _head(self) -> RenderableType:
        style = STATE_STYLES.get(self._state, "bold cyan")
        head = (plain(line(self._view.title), "bold"), f"\ntask {self._view.task_id}")
        text = Text.assemble(plain(self._state, style), "  ", *head, no_wrap=True, overflow="ellipsis")
        if TaskState(self._state).final:
            return text
        self._spinner.update(text=text)
        return self._spinner


def _steps_line(steps: Steps) -> Text:
    """All steps, folded by kind: `plan ✓ 1.2s   develop 16/16 ✓   prove 12/16`."""
    kinds: dict[str, list[dict[str, Any]]] = {}
    for name, step in steps.items():
        kinds.setdefault(name.partition("/")[0], []).append(step)
    return Text("   ").join(_fold(kind, members) for kind, members in kinds.items())


def _fold(kind: str, steps: list[dict[str, Any]]) -> Text:
    states = [str(step["state"]) for step in steps]
    text = plain(kind)
    if len(steps) > 1:
        text.append(f" {states.count('done')}/{len(steps)}")
    if set(states) == {"done"}:
        text.append(f" {MARKS['done']}", MARK_STYLES["done"])
    for state in ("failed", "cancelled", "parked"):
        if state in states:
            count = f" {states.count(state)}" if len(steps) > 1 else ""
            text.append(f"{count} {MARKS[state]}", MARK_STYLES[state])
    if len(steps) == 1 and states[0] not in UNDER_WAY:
        text.append(f" {_seconds(steps[0]):.1f}s", "dim")
    return text


def _open_steps(steps: Steps) -> list[RenderableType]:
    """The steps that run, and those that failed with something to say: the last of them, one line each."""
    stopped = ("failed", "parked")
    told = [(name, step) for name, step in steps.items() if step["state"] in stopped and step.get("detail")]
    running = [(name, step) for name, step in steps.items() if step["state"] in UNDER_WAY]
    rows: list[RenderableType] = [_step_row(name, step) for name, step in told[-MOST_FAILED_ROWS:]]
    rows += [_step_row(name, step) for name, step in running[:MOST_RUNNING_ROWS]]
    if len(running) > MOST_RUNNING_ROWS:
        rows.append(plain(f"  … and {len(running) - MOST_RUNNING_ROWS} more running", "dim"))
    return rows


def _step_row(name: str, step: dict[str, Any]) -> Text:
    state = str(step["state"])
    mark = plain(f"  {MARKS.get(state, state)} ", MARK_STYLES.get(state, ""))
    parts = (mark, plain(line(name)), f" {_seconds(step):.1f}s  ", plain(line(step.get("detail", "")), "dim"))
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _candidates_line(candidates: dict[int, dict[str, Any]]) -> Columns:
    """Many candidates: number and tests passed of each, side by side."""
    cells = [plain("candidates", "dim")]
    for number, data in sorted(candidates.items()):
        passed, failed = int(data.get("tests_passed", 0)), int(data.get("tests_failed", 0))
        cell = plain(f"{number}: ")
        cell.append(f"{passed}/{passed + failed}", "green" if data.get("passed") else "red")
        if data.get("limit"):
            cell.append(f" {line(data['limit'])}", "yellow")
        cells.append(cell)
    return Columns(cells, padding=(0, 2))


def _candidate_table(candidates: dict[int, dict[str, Any]]) -> Table:
    table = _table("candidate", "tests", "bytes", "")
    for number, data in sorted(candidates.items()):
        passed, failed = int(data.get("tests_passed", 0)), int(data.get("tests_failed", 0))
        style = "green" if data.get("passed") else "red"
        table.add_row(
            str(number),
            plain(f"{passed} of {passed + failed}", style),
            plain(data.get("size_bytes", "")),
            plain(f"ended by {line(data['limit'])}" if data.get("limit") else "", "yellow"),
        )
    return table


def _ballot_table(ballots: dict[tuple[int, str], dict[str, Any]]) -> Table:
    """Each voter's last ballot."""
    last = {voter: (number, data) for (number, voter), data in sorted(ballots.items(), key=lambda item: item[0][0])}
    table = _table("voter", "ballot", "sure", "why")
    for voter, (number, data) in last.items():
        choice = str(data.get("choice"))
        confidence = data.get("confidence")
        why = plain(line(data.get("rationale", "")), "dim")
        # One line a ballot, whatever a model wrote: the view has to fit a screen.
        why.no_wrap = True
        table.add_row(
            plain(voter if number == 1 else f"{voter} (round {number})"),
            plain(choice, CHOICE_STYLES.get(choice, "")),
            f"{confidence:.2f}" if isinstance(confidence, int | float) else "",
            why,
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for name in names:
        # Where it is too narrow, the last column gives way.
        table.add_column(name, no_wrap=name != names[-1], overflow="ellipsis")
    return table


def _seconds(step: dict[str, Any]) -> float:
    given = step.get("seconds")
    if isinstance(given, int | float) and step["state"] != "running":
        return float(given)
    began = datetime.fromisoformat(str(step["began"]))
    ended = datetime.now(UTC) if step["state"] == "running" else datetime.fromisoformat(str(step["at"]))
    return max(0.0, (ended - began).total_seconds())
