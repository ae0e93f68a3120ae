"""`golden budget`: a tenant's account, its limits and entries, and more budget for a task."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from uuid_utils.compat import uuid7

from gateway.cli_settings import read_settings
from gateway.cli_tenant import open_for
from gateway.client import CliError, ExitCode, GatewayClient, task_path
from gateway.terminal import console, line, plain, print_table

MOST_DIGITS = 30
MICRO = 1_000_000
NO_LIMIT = "none"
STYLES = {"sum": "red", "hold": "red", "drift": "red", "overrun": "yellow"}

TenantName = Annotated[str | None, typer.Argument(metavar="[TENANT]", help="The tenant; the token's own if not said.")]
Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

app = typer.Typer(help="Budgets: what a tenant may spend, has spent and holds.", no_args_is_help=True)


@app.command("show")
def show(tenant: TenantName = None, as_json: Json = False) -> None:
    """Show an account: its limits, what is spent, what its running tasks hold, and its slots."""
    client, path = _open(tenant)
    _print_budget(client.get(path), as_json=as_json)


@app.command("set")
def set_limits(
    tenant: TenantName = None,
    tokens: Annotated[str | None, typer.Option("--tokens", metavar="N|none", help="Tokens in all.")] = None,
    micro_usd: Annotated[
        str | None, typer.Option("--micro-usd", metavar="N|none", help="Millionths of a dollar in all.")
    ] = None,
    slots: Annotated[str | None, typer.Option("--slots", metavar="N", help="Tasks that run at a time.")] = None,
    as_json: Json = False,
) -> None:
    """Set limits; what is not named stays. Below what is spent and held, nothing new starts."""
    given = {
        "limit_tokens": _limit("--tokens", tokens),
        "limit_micro_usd": _limit("--micro-usd", micro_usd),
        "slots": None if slots is None else _number("--slots", slots, "a whole number"),
    }
    named = {"limit_tokens": tokens, "limit_micro_usd": micro_usd, "slots": slots}
    body = {name: value for name, value in given.items() if named[name] is not None}
    if not body:
        raise CliError("say what to set: --tokens, --micro-usd or --slots", ExitCode.USAGE)
    client, path = _open(tenant)
    _print_budget(client.put(path, body), as_json=as_json)


@app.command("entries")
def list_entries(
    tenant: TenantName = None,
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="Only of this task.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind, such as settle or overrun.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many at most.")] = 50,
    cursor: Annotated[int | None, typer.Option("--cursor", min=1, help="Go on after this entry.")] = None,
    as_json: Json = False,
) -> None:
    """List the ledger's entries, newest first: what each added to an account, or took away."""
    given = {"task": task, "kind": kind, "limit": limit, "cursor": cursor}
    client, path = _open(tenant)
    page = client.get(f"{path}/entries", **{name: value for name, value in given.items() if value is not None})
    if as_json:
        print(json.dumps(page))
        return
    print_table(console(), _entries(page["items"]))
    if page["next_cursor"] is not None:
        console(stderr=True).print(f"there are more: --cursor {page['next_cursor']}", soft_wrap=True)


@app.command("check")
def check(tenant: TenantName = None, as_json: Json = False) -> None:
    """Hold the accounts against their entries; exit code 1 where they don't agree. Overruns are told only."""
    client, path = _open(tenant)
    report = client.get(f"{path}/check")
    if as_json:
        print(json.dumps(report))
    else:
        state = "agrees" if report["ok"] else "DOES NOT AGREE"
        print(f"{line(report['tenant'])}: {state}, {_count(report['entries'], 'entry', 'entries')}")
        for finding in report["findings"]:
            about = f"task {line(finding['task_id'])}: " if finding["task_id"] else ""
            text = f"  {line(finding['kind'])}: {about}{line(finding['message'])}"
            console().print(plain(text, STYLES.get(finding["kind"], "")), soft_wrap=True)
    raise typer.Exit(ExitCode.DONE if report["ok"] else ExitCode.NOT_ACCEPTED)


@app.command("top-up")
def top_up(
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID", help="A task that has not ended.")],
    tokens: Annotated[str, typer.Option("--tokens", metavar="N", help="Tokens on top of its budget.")],
    micro_usd: Annotated[
        str | None, typer.Option("--micro-usd", metavar="N", help="Millionths of a dollar on top.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Idempotency key: the same tops up once.")] = None,
    as_json: Json = False,
) -> None:
    """Raise a task's budget; one that is parked for want of it goes on."""
    body = {"tokens": _number("--tokens", tokens, "a whole number from 1", least=1)}
    if micro_usd is not None:
        body["micro_usd"] = _number("--micro-usd", micro_usd, "a whole number")
    path = f"{task_path(task_id)}/top-up"
    task = GatewayClient(read_settings()).post_once(path, body, key or str(uuid7()))
    if as_json:
        print(json.dumps(task))
    else:
        money = f" and {_dollars(body['micro_usd'])}" if body.get("micro_usd") else ""
        print(f"task {task['task_id']}: {body['tokens']:,} tokens{money} more; it is {task['state']}")


def _open(named: str | None) -> tuple[GatewayClient, str]:
    client, tenant = open_for(named)
    return client, f"/v1/budgets/{tenant}"


def _limit(option: str, text: str | None) -> int | None:
    wanted = f"a whole number, or {NO_LIMIT} for no limit"
    return None if text in (None, NO_LIMIT) else _number(option, str(text), wanted)


def _number(option: str, text: str, wanted: str, *, least: int = 0) -> int:
    # How much is too much is for the gateway to say; here, what is no number at all.
    if not (text.isascii() and text.isdecimal() and len(text) < MOST_DIGITS and int(text) >= least):
        raise CliError(f"{option}: must be {wanted}", ExitCode.USAGE)
    return int(text)


def _print_budget(budget: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(budget))
        return
    print(f"tenant {line(budget['tenant'])}")
    table = Table("", "limit", "spent", "held", "left", box=None, pad_edge=False, header_style="dim")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, unit, shown in (("tokens", "tokens", _tokens), ("dollars", "micro_usd", _dollars)):
        limit, spent, held = (budget[f"{what}_{unit}"] for what in ("limit", "spent", "held"))
        left = "" if limit is None else shown(max(0, limit - spent - held))
        table.add_row(name, "no limit" if limit is None else shown(limit), shown(spent), shown(held), left)
    slots, used = budget["slots"], budget["slots_used"]
    table.add_row("slots", _tokens(slots), "", _tokens(used), _tokens(max(0, slots - used)))
    print_table(console(), table)


def _entries(items: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("entry", "at", "account", "task", "step", "kind", "held", "spent", "$ held", "$ spent", "who"):
        right = name == "entry" or "held" in name or "spent" in name
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "who")
    for item in items:
        table.add_row(
            str(item["id"]),
            datetime.fromisoformat(item["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            plain(line(item["account"])),
            plain(line(item["task_id"])),
            plain(line(item["step"])),
            plain(line(item["kind"])),
            *(_change(item[name], _tokens) for name in ("held_tokens", "spent_tokens")),
            *(_change(item[name], _dollars) for name in ("held_micro_usd", "spent_micro_usd")),
            plain(line(item["actor"] or "")),
        )
    return table


def _change(amount: int, shown: Any) -> str:
    """What an entry changed, with its sign; nothing where it changed nothing."""
    return f"{'+' if amount > 0 else '-'}{shown(abs(amount))}" if amount else ""


def _tokens(amount: int) -> str:
    return f"{amount:,}"


def _dollars(micro_usd: int) -> str:
    """Millionths of a dollar as dollars: cents at least, and all that there is after them."""
    whole, rest = divmod(micro_usd, MICRO)
    cents = f"{rest:06d}"
    return f"${whole:,}.{cents[:2]}{cents[2:].rstrip('0')}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="budget")
