"""`golden audit`: lists, exports and verifies the audit log."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy.exc import DBAPIError

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.ocsf import event_of
from gateway.terminal import console, line, plain, print_table, time_of
from schema.anchor import read_anchors
from schema.audit import ListedRecord
from schema.audit_check import ChainReport, all_intact, chains_of, check_chain
from schema.database import Database
from schema.settings import Settings

PATH = "/v1/audit"
PAGE = 1_000

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Actor = Annotated[str | None, typer.Option("--actor", help="Only of this subject.")]
Action = Annotated[str | None, typer.Option("--action", help="Only this action, such as tasks.submit.")]
Outcome = Annotated[str | None, typer.Option("--outcome", help="Only with this outcome, such as denied.")]
Since = Annotated[str | None, typer.Option("--since", help="From this time on, such as 2026-01-31T12:00:00Z.")]
Until = Annotated[str | None, typer.Option("--until", help="Before this time.")]

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.command("list")
def list_records(
    limit: Annotated[int, typer.Option("--limit", min=1, max=PAGE, help="How many at most.")] = 50,
    after: Annotated[int | None, typer.Option("--after", min=0, help="Go on after this record.")] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="The oldest first, not the newest.")] = False,
    actor: Actor = None,
    action: Action = None,
    outcome: Outcome = None,
    since: Since = None,
    until: Until = None,
    as_json: Json = False,
) -> None:
    """List records of the tenant, newest first. With GOLDEN_TENANT='*', a token of every tenant sees the platform's."""
    query = _query(actor=actor, action=action, outcome=outcome, since=since, until=until, after=after)
    page = GatewayClient(read_settings()).get(PATH, limit=limit, order="oldest" if oldest else "newest", **query)
    if as_json:
        print(json.dumps(page))
    else:
        print_table(console(), _table(ListedRecord.model_validate(record) for record in page["items"]))


@app.command("export")
def export(
    output: Annotated[Path | None, typer.Option("--output", help="A new file, instead of standard output.")] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Go on after this record.")] = 0,
    since: Since = None,
    until: Until = None,
) -> None:
    """Write the tenant's records, oldest first, as OCSF events of class API Activity: one JSON object a line."""
    client = GatewayClient(read_settings(), patient=True)
    try:
        # Never over what an earlier export wrote.
        with output.open("x") if output else nullcontext(sys.stdout) as file:
            for record in _records(client, after, **_query(since=since, until=until)):
                file.write(json.dumps(event_of(record)) + "\n")
    except OSError as error:
        if output is None:
            raise
        raise CliError(f"--output: {line(output)}: {error.strerror}", ExitCode.USAGE) from error


@app.command("verify")
def verify(
    tenant: Annotated[
        str | None, typer.Option("--tenant", help="Only this tenant's chain; * is the platform's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recompute every chain from the database itself, and hold it against the anchors; exit code 1 where one is bad."""
    try:
        reports = asyncio.run(_verify(read_settings(), tenant))
    except DBAPIError as error:
        raise CliError(f"cannot read the database: {line(error.orig)}", ExitCode.UNREACHABLE) from error
    except OSError as error:
        raise CliError(f"cannot read the anchors: {line(error.strerror)}", ExitCode.UNREACHABLE) from error
    intact = all_intact(reports)
    if as_json:
        print(json.dumps({"intact": intact, "chains": [report.model_dump(mode="json") for report in reports]}))
    else:
        for report in reports:
            _show(report)
    raise typer.Exit(ExitCode.DONE if intact else ExitCode.NOT_ACCEPTED)


async def _verify(settings: Settings, tenant: str | None) -> list[ChainReport]:
    database = Database.from_settings(settings)
    try:
        # The anchors first: what they say was committed before the chains are read.
        anchors = read_anchors(settings)
        async with database.service() as connection:
            tenants = [tenant] if tenant else await chains_of(connection, anchors)
            return [await check_chain(connection, each, anchors) for each in tenants]
    finally:
        await database.close()


def _show(report: ChainReport) -> None:
    state = "intact" if report.intact else "BAD"
    print(f"{line(report.tenant)}: {state}, {report.records} records, anchored to {report.anchored}")
    for gap in report.epochs:
        lost = f"records {gap.first} to {gap.last} lost by" if gap.last >= gap.first else "no anchored record lost by"
        print(f"  {line(f'epoch {gap.epoch}: {lost} a restore at {gap.at.isoformat()}')}")
    for finding in report.findings:
        print(f"  {line(finding.message)}")


def _records(client: GatewayClient, after: int | None, **query: Any) -> Iterator[ListedRecord]:
    while after is not None:
        page = client.get(PATH, limit=PAGE, after=after, **query)
        yield from (ListedRecord.model_validate(record) for record in page["items"])
        after = page["next_cursor"]


def _query(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _table(records: Iterator[ListedRecord]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("record", "at", "who", "role", "what", "on what", "outcome", "why"):
        table.add_column(name, no_wrap=name in ("record", "at", "outcome"), overflow="fold")
    for record in records:
        table.add_row(
            str(record.sequence),
            time_of(record.at) or "unreadable",
            plain(line(record.actor)),
            plain(record.role or ""),
            plain(line(record.action)),
            plain(line(record.object or "")),
            plain(line(record.outcome), "red" if record.outcome == "denied" else ""),
            plain(line(record.reason or ""), "dim"),
        )
    return table


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="audit")
