"""`golden approvals`: proposed changes to how agents work, and the people who decide on them."""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import quote

import typer
from uuid_utils.compat import uuid7

from gateway.approval_screen import STATE_STYLES, show_approval
from gateway.approval_views import ApprovalView
from gateway.approvals import ApprovalPage
from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.terminal import console, line, plain, print_table, table_of, time_of

ROUTE = "/v1/approvals"


class State(StrEnum):
    """Where a proposal is."""

    PROPOSED = "proposed"
    EVALUATING = "evaluating"
    WAITING = "waiting"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANARY = "canary"
    ADOPTED = "adopted"
    ROLLED_BACK = "rolled_back"


Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the proposal.")]
Digest = Annotated[
    str | None,
    typer.Option("--digest", help="The digest that was shown; without it the proposal is shown, and then asked about."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

app = typer.Typer(help="Proposed changes, and who approves them.", no_args_is_help=True)


@app.command("list")
def list_approvals(
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option("--cursor", metavar="ID", help="Go on after this one.")] = None,
    as_json: Json = False,
) -> None:
    """List proposals, newest first: whose work they change, who proposed them, and what they wait for."""
    query = {name: value for name, value in {"state": state, "cursor": cursor}.items() if value is not None}
    page = GatewayClient(read_settings()).get(ROUTE, limit=limit, **query)
    if as_json:
        print(json.dumps(page))
        return
    told = ApprovalPage.model_validate_json(json.dumps(page))
    table = table_of("proposal", "state", "changes", "by", "age", "waits for", overflow="fold")
    for column in table.columns[:5]:
        column.no_wrap = True
    for each in told.items:
        state_of = plain(each.state, STATE_STYLES.get(each.state, ""))
        by = (plain(each.role), plain(line(each.proposer)), age_of(each.proposed_at))
        table.add_row(str(each.id), state_of, *by, plain(line(_waits_for(each))))
    print_table(console(), table)
    if not told.items:
        console(stderr=True).print("there is none")
    if told.next_cursor is not None:
        console(stderr=True).print(f"there are more: --cursor {told.next_cursor}", soft_wrap=True)


@app.command("show")
def show(approval: Id, as_json: Json = False) -> None:
    """Show a proposal on one screen: what it changes, why, how it did, and what happens on yes."""
    found = GatewayClient(read_settings()).get(_path(approval))
    if as_json:
        print(json.dumps(found))
    else:
        show_approval(console(), view_of(found))


@app.command("approve")
def approve(approval: Id, reason: Reason, digest: Digest = None, as_json: Json = False) -> None:
    """Approve a proposal; new votes or a share of the new tasks go by it."""
    _decide(approval, "approve", reason, digest, as_json=as_json)


@app.command("reject")
def reject(approval: Id, reason: Reason, digest: Digest = None, as_json: Json = False) -> None:
    """Reject a proposal."""
    _decide(approval, "reject", reason, digest, as_json=as_json)


def view_of(found: Any) -> ApprovalView:
    """A proposal as the API tells it."""
    return ApprovalView.model_validate_json(json.dumps(found))


def age_of(moment: datetime) -> str:
    """How long ago a moment was, in its largest unit."""
    minutes = max(0, int((datetime.now(UTC) - moment).total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d"


def _waits_for(view: ApprovalView) -> str:
    if view.state == "pending":
        so_far = f", {view.approvals} of {view.quorum}" if view.quorum > 1 else ""
        overdue = ", overdue" if view.escalated_at is not None else ""
        return f"people{so_far}{overdue}, until {time_of(view.expires_at)}" if view.expires_at else f"people{so_far}"
    if view.state == "waiting":
        return f"{view.waits_for or ''}{f', not before {time_of(view.not_before)}' if view.not_before else ''}"
    return {"proposed": "words and its turn", "evaluating": "its evaluation", "canary": "its trial"}.get(view.state, "")


def _decide(approval: str, act: str, reason: str, digest: str | None, *, as_json: bool) -> None:
    client = GatewayClient(read_settings())
    if digest is None:
        view = view_of(client.get(_path(approval)))
        show_approval(console(stderr=as_json), view)
        if not console().is_terminal:
            raise CliError(f"--digest: say what was shown: --digest {view.digest}", ExitCode.USAGE)
        if not typer.confirm(f"{act} this?", err=True):
            raise CliError("nothing was decided", ExitCode.USAGE)
        digest = view.digest
    found = client.post_once(f"{_path(approval)}/{act}", {"reason": reason, "digest": digest}, str(uuid7()))
    if as_json:
        print(json.dumps(found))
        return
    done = view_of(found)
    if act == "approve" and done.state == "pending":
        told = (
            f"your approval counts, {done.approvals} of {done.quorum}; it is pending until the others came: {done.id}"
        )
    else:
        told = f"{done.state} by {done.decided_by}: {done.id}"
    console().print(plain(told), soft_wrap=True)


def _path(approval: str) -> str:
    return f"{ROUTE}/{quote(approval, safe='')}"


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="approvals")
