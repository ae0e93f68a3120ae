"""`golden watch`: a task's events to its end, through every gateway restart, as a live view, as lines or as JSON."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from rich.live import Live

from gateway.cli_view import Story
from gateway.client import CliError, ExitCode, GatewayClient, StreamBroken, exit_code_of
from gateway.terminal import clean, console, line
from schema.messages.task import TaskEvent, TaskState, TaskView

PATIENCE_SECONDS = 300.0
"""A gateway that is away for longer is given up."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0

WAITING = frozenset({TaskState.ESCALATED, TaskState.PARKED})
"""States that end only when a person acts."""

Show = Callable[[TaskEvent], None]


def watch(client: GatewayClient, task: str, *, as_json: bool) -> ExitCode:
    """Show a task's events until it ends or needs a person; the exit code tells how it stands."""
    client.patient = True
    for_people = _watch_live if sys.stdout.isatty() else _watch_lines
    try:
        return (_watch_json if as_json else for_people)(client, task)
    except KeyboardInterrupt:
        print(f"the task goes on: golden watch {task.rpartition('/')[2]}", file=sys.stderr)
        return ExitCode.INTERRUPTED


def _watch_json(client: GatewayClient, task: str) -> ExitCode:
    client.get(task)  # so that a gateway that is not there is told now, and not after all patience
    # Escaped to ASCII, unlike pydantic's own JSON: a terminal may be listening.
    state = _run(client, task, lambda event: print(json.dumps(event.model_dump(mode="json")), flush=True))
    print(json.dumps(client.get(task)), flush=True)
    return exit_code_of(state)


def _watch_lines(client: GatewayClient, task: str) -> ExitCode:
    view = TaskView.model_validate(client.get(task))
    print(f"task {view.task_id}", flush=True)
    state = _run(client, task, lambda event: print(describe(event), flush=True))
    if state in WAITING:
        print(_what_to_do(state, str(view.task_id)))
    return exit_code_of(state)


def _watch_live(client: GatewayClient, task: str) -> ExitCode:
    view = TaskView.model_validate(client.get(task))
    story = Story(view)
    screen = console()
    with Live(get_renderable=story.render, console=screen, refresh_per_second=5):
        state = _run(client, task, story.apply)
    if state in WAITING:
        screen.print(_what_to_do(state, str(view.task_id)))
    return exit_code_of(state)


def _run(client: GatewayClient, task: str, show: Show) -> TaskState:
    """Show every event once; return the state in which the task ended, or in which it waits for a person."""
    for event in follow(client, task):
        show(event)
        if event.event == "verdict":
            return TaskState(event.data["state"])
        if event.event == "state" and event.data.get("state") in WAITING:
            # It may be an old story, with more to come: what counts is whether the task waits now, and since then.
            now = client.get(task)
            state = TaskState(now["state"])
            if state in WAITING and _is_newest(event, now):
                return state
    return TaskState(client.get(task)["state"])


def _is_newest(event: TaskEvent, task: dict[str, Any]) -> bool:
    at, updated = event.data.get("at"), task.get("updated_at")
    return at is None or updated is None or datetime.fromisoformat(at) >= datetime.fromisoformat(updated)


def follow(client: GatewayClient, task: str) -> Iterator[TaskEvent]:
    """Every event of a task to its end; a broken connection is taken up after the last event that came."""
    after = 0
    broken_since: float | None = None
    pause = FIRST_PAUSE
    while True:
        try:
            for event in client.events(task, after):
                yield event
                after = event.sequence
                broken_since, pause = None, FIRST_PAUSE
                if event.event == "verdict":
                    return
            if TaskState(client.get(task)["state"]).final:
                return
        except StreamBroken:
            pass
        except CliError as error:
            if error.code is not ExitCode.UNREACHABLE:
                raise
        broken_since = broken_since or time.monotonic()
        if time.monotonic() - broken_since > PATIENCE_SECONDS:
            raise CliError(f"the gateway at {client.url} is gone; the task goes on without it", ExitCode.UNREACHABLE)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def describe(event: TaskEvent) -> str:
    """An event as one plain line."""
    data = event.data
    clock = str(data.get("at", ""))[11:19]
    texts: dict[str, Callable[[], str]] = {
        "state": lambda: f"state {data['state']}" + (f": {data['reason']}" if data.get("reason") else ""),
        "step": lambda: f"step {data['step']} {data['state']}" + seconds(data.get("seconds")) + _detail(data),
        "candidate": lambda: f"candidate {data['number']} {tests_of(data)}",
        "ballot": lambda: f"ballot {data['voter']} {data['choice']}, round {data['round']}: {data['rationale']}",
        "verdict": lambda: f"verdict {data['state']}: {data.get('summary') or data.get('reason') or ''}",
    }
    return line(f"{clock} {texts[event.event]()}")


def seconds(value: object) -> str:
    """A duration as it follows a word, nothing where there is none."""
    return f" {float(value):.1f}s" if isinstance(value, int | float) else ""


def tests_of(data: dict[str, object]) -> str:
    """How a candidate did."""
    passed, failed = int(str(data.get("tests_passed", 0))), int(str(data.get("tests_failed", 0)))
    limit = f", ended by {clean(data['limit'])}" if data.get("limit") else ""
    return f"{'passed' if data.get('passed') else 'failed'}: {passed} of {passed + failed} tests{limit}"


def _detail(data: dict[str, object]) -> str:
    return f" ({data['detail']})" if data.get("detail") else ""


def _what_to_do(state: TaskState, task_id: str) -> str:
    if state is TaskState.ESCALATED:
        read, end = f"golden consensus {task_id}", f"golden decide {task_id} accept|reject --reason WHY"
        return f"the vote did not decide: read why ({read}), then {end}"
    return f"a step needs help: golden dead-letters list --task {task_id}, then redrive or discard"
