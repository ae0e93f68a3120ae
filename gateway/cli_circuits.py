"""`golden circuits`: what the fleet thinks of the model providers."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.terminal import console, line, plain, print_table, time_of
from schema.messages.circuit import CircuitChange, CircuitChangePage, CircuitPage, CircuitView

PATH = "/v1/circuits"
STYLES = {"closed": "green", "half-open": "yellow", "open": "bold red", "paused": "bold magenta"}


def circuits(
    history: Annotated[bool, typer.Option("--history", help="What happened to them, newest first.")] = False,
    circuit: Annotated[str | None, typer.Option("--circuit", help="With --history: of this one only.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many at most.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")] = False,
) -> None:
    """Show the circuits of the model providers: which are asked, and which are left alone until when."""
    if circuit is not None and not history:
        raise CliError("--circuit: goes with --history", ExitCode.USAGE)
    query: dict[str, Any] = {"limit": limit, **({"circuit": circuit} if circuit else {})}
    page = GatewayClient(read_settings()).get(f"{PATH}/changes" if history else PATH, **query)
    if as_json:
        print(json.dumps(page))
        return
    text = json.dumps(page)
    if history:
        print_table(console(), _changes(CircuitChangePage.model_validate_json(text).items))
    else:
        print_table(console(), _circuits(CircuitPage.model_validate_json(text).items))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(circuits)


def _circuits(found: Iterable[CircuitView]) -> Table:
    table = _table("circuit", "state", "since", "calls", "failures", "slow", "opened", "until", "worker")
    for each in found:
        table.add_row(
            plain(line(each.circuit)),
            plain(each.state, STYLES[each.state]),
            time_of(each.since),
            *(f"{count:,}" for count in (each.calls, each.failures, each.slow, each.opened_total)),
            time_of(each.retry_at) if each.retry_at else "",
            plain(line(each.worker or ""), "dim"),
        )
    return table


def _changes(found: Iterable[CircuitChange]) -> Table:
    table = _table("at", "circuit", "from", "to", "because", "worker")
    for each in found:
        table.add_row(
            time_of(each.at),
            plain(line(each.circuit)),
            plain(each.from_state, "dim"),
            plain(each.to_state, STYLES[each.to_state]),
            plain(line(each.cause)),
            plain(line(each.worker), "dim"),
        )
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        long = name in ("circuit", "because", "worker")
        table.add_column(name, no_wrap=not long, overflow="fold")
    return table
