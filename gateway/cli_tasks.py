"""The commands about tasks and votes: submit, vote, watch, result, consensus, tasks, cancel, decide."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from uuid_utils.compat import uuid7

from gateway import cli_show
from gateway.bodies import MAX_BODY
from gateway.cli_settings import read_settings
from gateway.cli_vote import show_vote
from gateway.cli_watch import watch as watch_task
from gateway.client import CliError, ExitCode, GatewayClient, exit_code_of, task_path
from gateway.terminal import console, line
from schema.messages.task import TaskResult, TaskState, TaskView
from schema.messages.vote import Explanation

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.")]
SVG = "image/svg+xml"
SARIF = "application/sarif+json"

Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]


class Decision(StrEnum):
    """How a person ends an escalated task."""

    ACCEPT = "accept"
    REJECT = "reject"


class Goodness(StrEnum):
    """What became known of a candidate that was voted on."""

    GOOD = "good"
    BAD = "bad"


class Source(StrEnum):
    """What it became known by."""

    TESTS = "tests"
    ROLLBACK = "rollback"


def submit(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A task in YAML or JSON; - is standard input.")],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the task to its end.")] = False,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same finds the same task.")] = None,
    as_json: Json = False,
) -> None:
    """Submit a task."""
    _submit(file, "/v1/tasks", watch=watch, key=key, as_json=as_json)


def vote(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A candidate with tests or evidence, in YAML or JSON; - is standard input."
        ),
    ],
    watch: Annotated[bool, typer.Option("--watch", help="Follow the vote to its end.")] = False,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same finds the same vote.")] = None,
    as_json: Json = False,
) -> None:
    """Put a candidate to a vote by itself; then it is a task like others: watch, result, consensus, decide."""
    _submit(file, "/v1/consensus", watch=watch, key=key, as_json=as_json)


def _submit(file: str, path: str, *, watch: bool, key: str | None, as_json: bool) -> None:
    content, media_type = _read_file(file)
    client = GatewayClient(read_settings())
    try:
        task = client.submit(content, media_type, key or str(uuid7()), path)
    except CliError as error:
        if error.code is not ExitCode.USAGE:
            raise
        told = (f"{line(file)}: {fault}" for fault in str(error).splitlines())
        raise CliError("\n".join(told), ExitCode.USAGE) from error
    _follow(client, task, watch=watch, as_json=as_json)


def _follow(client: GatewayClient, task: dict[str, Any], *, watch: bool, as_json: bool) -> None:
    if watch:
        raise typer.Exit(watch_task(client, task_path(task["task_id"]), as_json=as_json))
    if as_json:
        print(json.dumps(task))
        return
    print(f"{task.get('kind', 'task')} {task['task_id']}")
    if sys.stdout.isatty():
        print(f"follow it: golden watch {task['task_id']}")


def watch(task_id: TaskId, as_json: Json = False) -> None:
    """Follow a task to its end, live."""
    raise typer.Exit(watch_task(GatewayClient(read_settings()), task_path(task_id), as_json=as_json))


def result(
    task_id: TaskId,
    diffs: Annotated[bool, typer.Option("--diff", help="Show what each fix changed.")] = False,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Write the findings that are left there, as SARIF.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the code, the tests, what guards found and who mended it, the votes and the tokens of a task at its end."""
    client = GatewayClient(read_settings())
    if sarif is not None:
        write_file(sarif, client.text(f"{task_path(task_id)}/findings", SARIF))
        return
    found = client.get(f"{task_path(task_id)}/result")
    told = TaskResult.model_validate_json(json.dumps(found))
    if as_json:
        print(json.dumps(found))
    else:
        cli_show.show_result(console(), told, diffs=diffs)
    raise typer.Exit(exit_code_of(told.state))


def follow_up(
    task_id: TaskId,
    number: Annotated[int, typer.Argument(metavar="N", min=1, help="Which of those that `golden result` shows.")],
    tokens: Annotated[
        int | None, typer.Option("--tokens", metavar="N", help="Of what its parent has left; all if not said.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same submits it once.")] = None,
    as_json: Json = False,
) -> None:
    """Submit a task that was suggested for what could not be fixed; it spends what its parent has left."""
    client = GatewayClient(read_settings())
    body = {"number": number, **({"budget_tokens": tokens} if tokens is not None else {})}
    task = client.post_once(f"{task_path(task_id)}/follow-ups", body, key or str(uuid7()))
    _follow(client, task, watch=watch, as_json=as_json)


def consensus(
    task_id: TaskId,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write the picture of the vote there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show who voted how, what it counted for and why, and what would have changed it; also of an escalated task."""
    client, path = GatewayClient(read_settings()), f"{task_path(task_id)}/consensus"
    if svg is not None:
        write_file(svg, client.text(path, SVG))
        return
    found = client.get(path)
    if as_json:
        print(json.dumps(found))
    else:
        show_vote(console(), Explanation.model_validate_json(json.dumps(found)), task_id.strip())


def write_file(path: Path, text: str) -> None:
    """Write what was asked for into a file that a person named."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CliError(f"{line(path)}: {error.strerror or 'cannot be written'}", ExitCode.USAGE) from error


def list_tasks(
    state: Annotated[TaskState | None, typer.Option("--state", help="Only tasks in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    query: dict[str, Any] = {"limit": limit, **({"state": state.value} if state else {})}
    page = GatewayClient(read_settings()).get("/v1/tasks", **query)
    if as_json:
        print(json.dumps(page))
    else:
        cli_show.show_tasks(console(), (TaskView.model_validate(task) for task in page["items"]))


def cancel(task_id: TaskId, as_json: Json = False) -> None:
    """Cancel a task; it ends as soon as its running steps have stopped."""
    task = GatewayClient(read_settings()).post(f"{task_path(task_id)}/cancel")
    print(json.dumps(task) if as_json else f"task {task['task_id']} is being cancelled")


def decide(
    task_id: TaskId,
    decision: Annotated[Decision, typer.Argument(help="How it ends.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")],
    as_json: Json = False,
) -> None:
    """Decide on an escalated task; not on one of your own."""
    body = {"decision": decision.value, "reason": reason}
    task = GatewayClient(read_settings()).post(f"{task_path(task_id)}/decision", body)
    print(json.dumps(task) if as_json else f"task {task['task_id']}: {decision.value} recorded")


def truth(
    task_id: TaskId,
    good: Annotated[Goodness, typer.Argument(help="What it turned out to be.")],
    source: Annotated[Source, typer.Option("--source", help="tests: added later; rollback: it had to go back.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is recorded.")],
    as_json: Json = False,
) -> None:
    """Tell what turned out later about what was voted on: it makes the voters' records; not of your own tasks."""
    body = {"source": source.value, "good": good is Goodness.GOOD, "reason": reason}
    task = GatewayClient(read_settings()).post(f"{task_path(task_id)}/truth", body)
    print(json.dumps(task) if as_json else f"task {task['task_id']}: {good.value} recorded, by {source.value}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (submit, vote, watch, result, consensus, cancel, decide, truth):
        app.command()(command)
    app.command("tasks")(list_tasks)
    app.command("follow-up")(follow_up)


def _read_file(name: str) -> tuple[bytes, str]:
    """The content of FILE and its media type: by its name, or for standard input by its first character."""
    try:
        content = sys.stdin.buffer.read(MAX_BODY + 1) if name == "-" else _read_capped(Path(name))
    except OSError as error:
        raise CliError(f"{line(name)}: {error.strerror or 'cannot be read'}", ExitCode.USAGE) from error
    if len(content) > MAX_BODY:
        raise CliError(f"{line(name)}: is larger than {MAX_BODY:,} bytes", ExitCode.USAGE)
    is_json = name.endswith(".json") or (name == "-" and content.lstrip().startswith(b"{"))
    return content, "application/json" if is_json else "application/yaml"


def _read_capped(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BODY + 1)
