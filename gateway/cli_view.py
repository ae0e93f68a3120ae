"""The live view of a task: what its events have told so far, as rich draws it."""

import threading
from datetime import UTC, datetime
from typing import Any

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
MARKS = {"running": "…", "done": "✓", "failed": "✗", "cancelled": "–"}
MARK_STYLES = {"running": "cyan", "done": "green", "failed": "red", "cancelled": "yellow"}
CHOICE_STYLES = {"approve": "green", "reject": "red", "abstain": "yellow", "absent": "yellow"}


class Story:
    """Takes a task's events in order and draws where the task is."""

    def __init__(self, view: TaskView) -> None:
        self._view = view
        self._state = view.state.value
        self._steps: dict[str, dict[str, Any]] = {}
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
            parts.append(self._step_table())
        if self._candidates:
            parts.append(self._candidate_table())
        if self._ballots:
            parts.append(self._ballot_table())
        if self._verdict is not None:
            parts.append(plain(line(self._verdict.get("summary") or self._verdict.get("reason") or "")))
        return Group(*parts)

    def _head(self) -> RenderableType:
        style = STATE_STYLES.get(self._state, "bold cyan")
        text = Text.assemble(
            plain(self._view.title, "bold"), "  ", plain(self._state, style), f"\ntask {self._view.task_id}"
        )
        if TaskState(self._state).final:
            return text
        self._spinner.update(text=text)
        return self._spinner

    def _step_table(self) -> Table:
        table = _table("step", "", "seconds", "")
        for name, step in self._steps.items():
            state = str(step["state"])
            table.add_row(
                plain(name),
                plain(MARKS.get(state, state), MARK_STYLES.get(state, "")),
                f"{_seconds(step):.1f}",
                plain(line(step.get("detail", ""))[:80], "dim"),
            )
        return table

    def _candidate_table(self) -> Table:
        table = _table("candidate", "tests", "bytes", "")
        for number, data in sorted(self._candidates.items()):
            passed, failed = int(data.get("tests_passed", 0)), int(data.get("tests_failed", 0))
            style = "green" if data.get("passed") else "red"
            table.add_row(
                str(number),
                plain(f"{passed} of {passed + failed}", style),
                plain(data.get("size_bytes", "")),
                plain(f"ended by {data['limit']}" if data.get("limit") else "", "yellow"),
            )
        return table

    def _ballot_table(self) -> Table:
        table = _table("voter", "ballot", "sure", "why")
        for (number, voter), data in self._ballots.items():
            choice = str(data.get("choice"))
            confidence = data.get("confidence")
            table.add_row(
                plain(voter if number == 1 else f"{voter} (round {number})"),
                plain(choice, CHOICE_STYLES.get(choice, "")),
                f"{confidence:.2f}" if isinstance(confidence, int | float) else "",
                plain(line(data.get("rationale", ""))[:100], "dim"),
            )
        return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="dim")
    for name in names:
        table.add_column(name)
    return table


def _seconds(step: dict[str, Any]) -> float:
    given = step.get("seconds")
    if isinstance(given, int | float) and step["state"] != "running":
        return float(given)
    began = datetime.fromisoformat(str(step["began"]))
    ended = datetime.now(UTC) if step["state"] == "running" else datetime.fromisoformat(str(step["at"]))
    return max(0.0, (ended - began).total_seconds())
