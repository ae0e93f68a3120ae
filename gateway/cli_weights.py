"""`golden weights`: how the voters did, and what their records would propose."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli_settings import read_settings
from gateway.client import GatewayClient
from gateway.consensus_words import share
from gateway.terminal import console, plain, print_table
from gateway.voters import VoterPage, VoterStanding

NOTHING_BY_ITSELF = (
    "Nothing changes by itself: `golden learn weights` puts the proposed weights to the people who may approve them."
)


def weights(as_json: Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")] = False) -> None:
    """Show each voter's record, and which weights the records would propose; nothing changes by itself."""
    found = GatewayClient(read_settings()).get("/v1/governance/voters")
    if as_json:
        print(json.dumps(found))
    else:
        show_voters(console(), VoterPage.model_validate_json(json.dumps(found)))


def show_voters(screen: Console, page: VoterPage) -> None:
    """A line a voter, and what follows from it."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("voter", "judged", "agreed", "Brier", "weight", "proposed"):
        table.add_column(name)
    for each in page.items:
        table.add_row(*_row(each))
    print_table(screen, table)
    screen.print()
    if any(each.proposed_weight is not None for each in page.items):
        screen.print(NOTHING_BY_ITSELF, soft_wrap=True)
        return
    voting = [each for each in page.items if each.weight > 0]
    least = min((each.record.judged for each in voting), default=0)
    if least < page.judged_needed:
        why = f"each voter needs {page.judged_needed} votes whose truth is known, and one has {least}"
    else:
        why = "the records bear out the weights as they are"
    screen.print(f"Nothing is proposed: {why}. Nothing changes by itself.", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(weights)


def _row(standing: VoterStanding) -> list[str]:
    record = standing.record
    agreed = f"{record.agreed} ({record.agreed / record.judged:.0%})" if record.judged else "–"
    brier = "–" if record.brier is None else f"{record.brier:.3f}"
    proposed = "–" if standing.proposed_weight is None else share(standing.proposed_weight)
    return [str(plain(record.voter)), str(record.judged), agreed, brier, share(standing.weight), proposed]
