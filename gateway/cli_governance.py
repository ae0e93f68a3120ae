"""`golden governance`: the limits of learning, what waits for them, and what learning came to."""

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.governance import GovernanceStatus, QueuedUpdate, RoleStanding, StatsPage
from gateway.terminal import console, line, plain, print_table, table_of, time_of

Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

app = typer.Typer(help="The limits of learning, and what it came to.", no_args_is_help=True)


@app.command("status")
def status(
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="What would be allowed then: 2026-12-24T18:00:00Z.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show each role's limits, what is used of them, when the next update is allowed, and what waits."""
    query = {} if at is None else {"at": _moment(at)}
    found = GatewayClient(read_settings()).get("/v1/governance/status", **query)
    if as_json:
        print(json.dumps(found))
    else:
        _show_status(console(), GovernanceStatus.model_validate_json(json.dumps(found)))


@app.command("stats")
def stats(as_json: Json = False) -> None:
    """Show how many proposals there were for each role's prompt, and what became of them."""
    found = GatewayClient(read_settings()).get("/v1/governance/stats")
    if as_json:
        print(json.dumps(found))
        return
    names = ("proposed", "evaluated", "approved", "adopted", "rejected", "expired", "rolled_back")
    table = table_of("role", *(name.replace("_", " ") for name in names), "lift")
    for each in StatsPage.model_validate_json(json.dumps(found)).items:
        lift = "" if each.lift is None else f"{100 * each.lift:+.1f} points"
        table.add_row(each.role, *(str(getattr(each, name)) for name in names), lift)
    print_table(console(), table)
    if not table.row_count:
        console(stderr=True).print("nothing was proposed for a prompt yet")


def _moment(said: str) -> str:
    """A time, by the clock of whoever asks where it names none."""
    try:
        moment = datetime.fromisoformat(said.strip())
        return (moment if moment.tzinfo else moment.astimezone()).isoformat()
    except (ValueError, OverflowError):
        raise CliError("--at: must be a time such as 2026-12-24T18:00:00Z", ExitCode.USAGE) from None


def _show_status(screen: Console, found: GovernanceStatus) -> None:
    table = table_of("role", "used", "pause", "approval", "next allowed", "pending", "waiting", "active", "on trial")
    for each in found.items:
        table.add_row(
            each.role,
            f"{each.used_today} of {each.max_per_day}",
            f"{each.cooldown_hours} h",
            each.approval + (f", {each.quorum} of them" if each.quorum > 1 else ""),
            _next(each),
            str(each.pending),
            str(each.waiting),
            str(each.active_version or "")[:8],
            str(each.canary_version or "")[:8],
        )
    screen.print(f"at {time_of(found.at)}", soft_wrap=True)
    print_table(screen, table)
    if found.queue:
        screen.print()
        print_table(screen, _queue(found.queue))


def _queue(queue: tuple[QueuedUpdate, ...]) -> Table:
    table = table_of("waits", "role", "state", "by", "not before", "for", overflow="fold")
    table.columns[0].no_wrap = True
    for each in queue:
        waits_for = "people" + (", overdue" if each.escalated_at else "") if each.state == "pending" else each.waits_for
        by = (each.role, each.state, plain(line(each.proposer)), time_of(each.not_before))
        table.add_row(str(each.id), *by, plain(line(waits_for or "")))
    return table


def _next(each: RoleStanding) -> str:
    if each.allowed:
        return "at once"
    return time_of(each.next_allowed_at) or "never: the limit is 0"


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="governance")
