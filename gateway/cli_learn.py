"""`golden learn`: propose how agents may get better. Others decide."""

import json
from typing import Annotated, Any

import typer
from uuid_utils.compat import uuid7

from gateway.approval_screen import show_approval
from gateway.cli_approvals import Json, view_of
from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.terminal import console, plain

ROUTE = "/v1/proposals"

app = typer.Typer(help="Propose how agents may get better. Others decide.", no_args_is_help=True)


@app.command("propose")
def propose(
    role: Annotated[
        str, typer.Option("--role", help="Whose prompt: architect, developer, reviewer, security or tester.")
    ],
    add: Annotated[str | None, typer.Option("--add", metavar="TEXT", help="One more guideline.")] = None,
    change: Annotated[
        str | None,
        typer.Option("--change", metavar="N", help="The guideline with this number, or this text; with --to."),
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TEXT", help="What it says then.")] = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="N", help="The guideline with this number, or this text.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; those who decide read it.")] = None,
    as_json: Json = False,
) -> None:
    """Propose one change of a role's prompt; `golden prompts show ROLE` has the numbers of its guidelines."""
    if sum(each is not None for each in (add, change, remove)) != 1:
        raise CliError("say one change: --add TEXT, --change N --to TEXT, or --remove N", ExitCode.USAGE)
    if (change is None) != (to is None):
        raise CliError("--change and --to go together: which guideline, and what it says then", ExitCode.USAGE)
    said: dict[str, Any] = {"kind": "prompt", "role": role}
    if change is not None:
        said["change"] = {"from": _which(change), "to": to}
    said |= {name: value for name, value in {"add": add, "reason": reason}.items() if value is not None}
    if remove is not None:
        said["remove"] = _which(remove)
    found = GatewayClient(read_settings()).post_once(ROUTE, said, str(uuid7()))
    if as_json:
        print(json.dumps(found))
        return
    view = view_of(found)
    screen = console()
    screen.print(plain(f"proposal {view.id}", "bold"), soft_wrap=True)
    told = (
        "It is evaluated on past tasks as soon as the role's limits allow it; what is worse is rejected by itself.\n"
        "Then somebody else decides, or where the role's policy allows it what is better is tried without a person.\n"
        f"golden approvals show {view.id}"
    )
    screen.print(plain(told), soft_wrap=True)


@app.command("weights")
def weights(as_json: Json = False) -> None:
    """Propose the weights that the voters' records speak for; somebody else approves them."""
    found = GatewayClient(read_settings()).post_once(ROUTE, {"kind": "weights"}, str(uuid7()))
    if as_json:
        print(json.dumps(found))
    else:
        show_approval(console(), view_of(found))


def _which(named: str) -> int | str:
    """A number where it is one, else the text of a guideline."""
    return int(named) if named.isascii() and named.isdecimal() and len(named) < 4 else named


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="learn")
