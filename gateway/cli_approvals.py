"""`golden approvals` and `golden learn`: proposed changes to how agents work, and the people who decide on them."""

import json
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table
from uuid_utils.compat import uuid7

from gateway.approvals import ApprovalPage, ApprovalView
from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.terminal import console, line, plain, print_table, table_of, time_of
from schema.messages.learning import WeightsDiff, WeightsEvidence

ROUTE = "/v1/approvals"
STATE_STYLES = {"pending": "bold magenta", "approved": "green", "adopted": "green", "rejected": "yellow"}


class State(StrEnum):
    """Where a proposal is."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    ADOPTED = "adopted"


Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the proposal.")]
Digest = Annotated[
    str | None,
    typer.Option("--digest", help="The digest that was shown; without it the proposal is shown, and then asked about."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

app = typer.Typer(help="Proposed changes, and who approves them.", no_args_is_help=True)
learn = typer.Typer(help="Propose how agents may get better. Others decide.", no_args_is_help=True)


@app.command("list")
def list_approvals(
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="ID", help="Go on after this one.")] = None,
    as_json: Json = False,
) -> None:
    """List proposals, newest first."""
    query = {name: value for name, value in {"state": state, "cursor": cursor}.items() if value is not None}
    page = GatewayClient(read_settings()).get(ROUTE, limit=limit, **query)
    if as_json:
        print(json.dumps(page))
        return
    told = ApprovalPage.model_validate_json(json.dumps(page))
    table = table_of("proposal", "state", "changes", "by", "proposed", "expires")
    table.columns[0].no_wrap = True
    for each in told.items:
        style = STATE_STYLES.get(each.state, "")
        ends = time_of(each.expires_at) if each.state == "pending" else ""
        row = (plain(each.role), plain(line(each.proposer)), time_of(each.proposed_at), ends)
        table.add_row(str(each.id), plain(each.state, style), *row)
    print_table(console(), table)
    if not told.items:
        console(stderr=True).print("there is none")
    if told.next_cursor is not None:
        console(stderr=True).print(f"there are more: --cursor {told.next_cursor}", soft_wrap=True)


@app.command("show")
def show(approval: Id, as_json: Json = False) -> None:
    """Show a proposal on one screen: what it changes, why, and what happens on yes."""
    found = GatewayClient(read_settings()).get(_path(approval))
    if as_json:
        print(json.dumps(found))
    else:
        _show(_view(found))


@app.command("approve")
def approve(approval: Id, reason: Reason, digest: Digest = None, as_json: Json = False) -> None:
    """Approve a proposal; it takes effect for the votes that begin after it."""
    _decide(approval, "approve", reason, digest, as_json=as_json)


@app.command("reject")
def reject(approval: Id, reason: Reason, digest: Digest = None, as_json: Json = False) -> None:
    """Reject a proposal."""
    _decide(approval, "reject", reason, digest, as_json=as_json)


@learn.command("weights")
def weights(as_json: Json = False) -> None:
    """Propose the weights that the voters' records speak for; somebody else approves them."""
    found = GatewayClient(read_settings()).post_once("/v1/proposals", {"kind": "weights"}, str(uuid7()))
    if as_json:
        print(json.dumps(found))
    else:
        _show(_view(found))


def _decide(approval: str, act: str, reason: str, digest: str | None, *, as_json: bool) -> None:
    client = GatewayClient(read_settings())
    if digest is None:
        view = _view(client.get(_path(approval)))
        _show(view, to_stderr=as_json)
        if not console().is_terminal:
            raise CliError(f"--digest: say what was shown: --digest {view.digest}", ExitCode.USAGE)
        if not typer.confirm(f"{act} this?", err=True):
            raise CliError("nothing was decided", ExitCode.USAGE)
        digest = view.digest
    found = client.post_once(f"{_path(approval)}/{act}", {"reason": reason, "digest": digest}, str(uuid7()))
    if as_json:
        print(json.dumps(found))
    else:
        done = _view(found)
        console().print(plain(f"{done.state} by {done.decided_by}: {done.id}"), soft_wrap=True)


def _view(found: Any) -> ApprovalView:
    return ApprovalView.model_validate_json(json.dumps(found))


def _path(approval: str) -> str:
    return f"{ROUTE}/{quote(approval, safe='')}"


def _show(view: ApprovalView, *, to_stderr: bool = False) -> None:
    screen = console(stderr=to_stderr)
    screen.print(plain(f"proposal {view.id}", "bold"), soft_wrap=True)
    told = {
        "state": view.state,
        "changes": f"the weights of the {view.role}" if view.kind == "weights" else f"the prompt of the {view.role}",
        "proposed": f"{time_of(view.proposed_at)} by {view.proposer}",
        "expires": time_of(view.expires_at) if view.state == "pending" else None,
        "decided": f"{time_of(view.decided_at)} by {view.decided_by}" if view.decided_by else None,
        "reason": view.reason,
        "digest": view.digest,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    for name, value in told.items():
        if value is not None:
            table.add_row(name, plain(line(value)))
    print_table(screen, table)
    screen.print()
    if view.kind == "weights":
        print_table(screen, _weights_table(view))
        screen.print()
        screen.print("on yes: votes that begin after it count with the new weights", soft_wrap=True)


def _weights_table(view: ApprovalView) -> Table:
    diff = WeightsDiff.model_validate(view.diff)
    records = {
        record.voter: record for each in view.evidence for record in WeightsEvidence.model_validate(each).records
    }
    table = table_of("voter", "weight now", "weight then", "right", "of", "Brier")
    for voter in sorted({*diff.before, *diff.after}):
        record = records.get(voter)
        known = ("", "", "") if record is None else (str(record.agreed), str(record.judged), _score(record.brier))
        before, after = diff.before.get(voter, 0), diff.after.get(voter, 0)
        table.add_row(plain(voter), f"{before / 100:.1f} %", f"{after / 100:.1f} %", *known)
    return table


def _score(brier: float | None) -> str:
    return "" if brier is None else f"{brier:.3f}"
