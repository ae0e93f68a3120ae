"""`golden dead-letters`: the steps that were given up: seen, redriven or discarded."""

import json
import sys
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any, NoReturn
from urllib.parse import quote

import typer
from rich.table import Table
from rich.text import Text
from uuid_utils.compat import uuid7

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.dead_letter_bulk import MOST, BulkAnswer
from gateway.dead_letters import DeadLetter, DeadLetterPage, DeadLetterView
from gateway.terminal import console, line, plain, print_table, time_of

ROUTE = "/v1/dead-letters"
STATE_STYLES = {"open": "bold magenta", "redriven": "green", "discarded": "yellow"}
UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))

WIDE = 120


class Kind(StrEnum):
    """Why a step was given up."""

    MODEL = "model"
    SANDBOX = "sandbox"
    BUDGET = "budget"
    PRICE = "price"
    VOTE = "vote"
    POISON = "poison"
    INTERNAL = "internal"


class State(StrEnum):
    """What became of a letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    DISCARDED = "discarded"


Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Dead letters, by their ids.")]
Everything = Annotated[bool, typer.Option("--all", help="All that are open.")]
KindOption = Annotated[Kind | None, typer.Option("--kind", help="Only of this kind.")]
Cause = Annotated[str | None, typer.Option("--cause", help="Only with this cause, such as ModelUnavailable.")]
Task = Annotated[str | None, typer.Option("--task", metavar="ID", help="Only of this task.")]
PerMinute = Annotated[
    int | None, typer.Option("--per-minute", min=1, max=6_000, help="So many a minute, not all at once.")
]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; it is kept with the letter.")]
Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

app = typer.Typer(help="Steps that were given up and wait for a person.", no_args_is_help=True)


@app.command("list")
def list_letters(
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    kind: KindOption = None,
    task: Task = None,
    cause: Cause = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="ID", help="Go on after this one.")] = None,
    as_json: Json = False,
) -> None:
    """List dead letters, newest first. With GOLDEN_TENANT='*', a token of every tenant sees those of all."""
    query = _given(state=state, kind=kind, task=task, cause=cause, cursor=cursor)
    page = GatewayClient(read_settings()).get(ROUTE, limit=limit, **query)
    if as_json:
        print(json.dumps(page))
        return
    told = DeadLetterPage.model_validate_json(json.dumps(page))
    screen = console()
    print_table(screen, _table(told.items, wide=screen.width >= WIDE))
    if told.next_cursor is not None:
        console(stderr=True).print(f"there are more: --cursor {told.next_cursor}", soft_wrap=True)


@app.command("show")
def show(
    letter: Annotated[str, typer.Argument(metavar="ID", help="The dead letter's id.")], as_json: Json = False
) -> None:
    """Show a dead letter: what was tried with what, why it was given up, and where to look."""
    found = GatewayClient(read_settings()).get(_path(letter))
    if as_json:
        print(json.dumps(found))
    else:
        _show(DeadLetterView.model_validate_json(json.dumps(found)))


@app.command("redrive")
def redrive(
    ids: Ids = None,
    everything: Everything = False,
    kind: KindOption = None,
    cause: Cause = None,
    task: Task = None,
    per_minute: PerMinute = None,
    route: Annotated[
        list[str] | None, typer.Option("--route", metavar="MODEL", help="Ask this model; more are asked in order.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", min=1, help="For one ID: so many tokens more for its task.")
    ] = None,
    reason: Reason = None,
    as_json: Json = False,
) -> None:
    """Let steps begin again where they were given up; what is done is not repeated."""
    wanted = _selection(ids, everything=everything, kind=kind, cause=cause, task=task)
    more = _given(reason=reason, route=route or None)
    if tokens is not None:
        if len(wanted.get("ids", ())) != 1 or per_minute is not None:
            raise CliError("--tokens: goes with one ID, and without --per-minute", ExitCode.USAGE)
        more["top_up_tokens"] = tokens
    _decide("redrive", wanted, per_minute, more, as_json=as_json)


@app.command("discard")
def discard(
    ids: Ids = None,
    everything: Everything = False,
    kind: KindOption = None,
    cause: Cause = None,
    task: Task = None,
    per_minute: PerMinute = None,
    reason: Reason = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Give steps up for good; asks first on a terminal."""
    wanted = _selection(ids, everything=everything, kind=kind, cause=cause, task=task)
    if not yes and sys.stdin.isatty() and not typer.confirm(f"discard {_named(wanted)} for good?", err=True):
        raise CliError("nothing was discarded", ExitCode.NOT_ACCEPTED)
    _decide("discard", wanted, per_minute, _given(reason=reason), as_json=as_json)


def _selection(ids: list[str] | None, *, everything: bool, **narrowed: str | None) -> dict[str, Any]:
    """The API's filter for what a person has named in one of three ways."""
    given = _given(**narrowed)
    if sum((bool(ids), everything, bool(given))) != 1:
        raise CliError("say which, in one of three ways: IDs; or --kind, --cause, --task; or --all", ExitCode.USAGE)
    return {"ids": list(dict.fromkeys(each.strip().lower() for each in ids))} if ids else given


def _named(wanted: dict[str, Any]) -> str:
    if "ids" in wanted:
        return ", ".join(line(each) for each in wanted["ids"])
    said = " and ".join(f"{name} {line(value)}" for name, value in wanted.items())
    return f"all open dead letters of {said}" if said else "all open dead letters"


def _decide(act: str, wanted: dict[str, Any], per_minute: int | None, more: dict[str, Any], *, as_json: bool) -> None:
    """One letter by its own route, which says what became of it; many, or at a pace, by one decision."""
    client, ids = GatewayClient(read_settings()), wanted.get("ids", [])
    if len(ids) == 1 and per_minute is None:
        letter = client.post_once(f"{_path(ids[0])}/{act}", more, str(uuid7()))
        print(json.dumps(letter) if as_json else f"{line(letter['id'])}: {line(letter['state'])}")
        return
    body = {"filter": wanted, **_given(per_minute=per_minute), **more}
    done = client.post_once(f"{ROUTE}/{act}", body, str(uuid7()))
    told = BulkAnswer.model_validate_json(json.dumps(done))
    if as_json:
        print(json.dumps(done))
    else:
        print(_summary(act, told))
    if told.matched < len(ids):
        _refuse_rest(act, told.matched, len(ids))


def _summary(act: str, told: BulkAnswer) -> str:
    done = {"redrive": "redriven", "discard": "discarded"}[act]
    if not told.matched:
        return f"nothing was open of these: none {done}"
    paced = f", {told.per_minute} a minute, the last at {time_of(told.last_at)}" if told.per_minute else ""
    rest = "; there may be more: run it again" if told.matched == MOST else ""
    return f"{told.matched:,} {done}{paced}{rest}"


def _refuse_rest(act: str, matched: int, named: int) -> NoReturn:
    why = "the others were decided before" + (", or their tasks have ended" if act == "redrive" else "")
    raise CliError(f"{matched} of {named}: {why}", ExitCode.REFUSED)


def _path(letter: str) -> str:
    return f"{ROUTE}/{quote(letter.strip(), safe='')}"


def _given(**values: Any) -> dict[str, Any]:
    return {
        name: value.value if isinstance(value, StrEnum) else value
        for name, value in values.items()
        if value is not None
    }


def _table(letters: Iterable[DeadLetter], *, wide: bool) -> Table:
    """The letters; their tasks only where there is room for whole ids."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("dead letter", "age", "state", "kind", "tries", "cause", "step", *(("task",) if wide else ())):
        table.add_column(name, no_wrap=name != "cause", overflow="fold")
    for letter in letters:
        cells: list[str | Text] = [
            str(letter.id),
            _age(letter.age_seconds),
            plain(letter.state, STATE_STYLES[letter.state]),
            plain(letter.kind),
            str(letter.attempts),
            plain(line(letter.cause)),
            plain(line(letter.step)),
        ]
        table.add_row(*cells, *((str(letter.task_id),) if wide else ()))
    return table


def _show(letter: DeadLetterView) -> None:
    screen, table = console(), Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    decided = f"{time_of(letter.decided_at)} by {letter.decided_by}" if letter.decided_at else None
    rows = {
        "dead letter": letter.id,
        "task": letter.task_id,
        "tenant": letter.tenant,
        "step": f"{letter.step}, epoch {letter.epoch}",
        "kind": letter.kind,
        "cause": f"{letter.cause}, after {letter.attempts} attempts",
        "said": letter.detail,
        "parked": f"{time_of(letter.parked_at)}, age {_age(letter.age_seconds)}",
        "decided": decided,
        "reason": letter.reason,
        "route": ", ".join(letter.route) if letter.route else None,
        "begins": time_of(letter.resume_at) if letter.resume_at else None,
        "input": json.dumps(letter.input, ensure_ascii=False),
        "workflow": letter.workflow_id,
        "temporal": letter.links["temporal"],
    }
    table.add_row("state", plain(letter.state, STATE_STYLES[letter.state]))
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, plain(line(value)))
    print_table(screen, table)


def _age(seconds: int) -> str:
    return next((f"{seconds // length}{unit}" for unit, length in UNITS if seconds >= length), f"{seconds}s")


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="dead-letters")
