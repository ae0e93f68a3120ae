"""`golden erase`: what users and models wrote of a task or a tenant goes; what it cost and who did what stays."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from gateway.cli_settings import read_settings
from gateway.cli_tenant import open_for
from gateway.client import CliError, ExitCode, GatewayClient, task_path
from gateway.terminal import line

GOES = "texts, plans, candidates, answers, reports, votes' words, reasons, events and Temporal's histories"
STAYS = "amounts, choices, ids, times, names of who acted, and the audit log"
ELSEWHERE = "backups made before still have it, and follow-ups and other tasks keep theirs: docs/erasure.md"


def erase(
    task: Annotated[str | None, typer.Option("--task", metavar="ID", help="One task, which has ended.")] = None,
    tenant: Annotated[str | None, typer.Option("--tenant", metavar="NAME", help="Everything of a tenant.")] = None,
    again: Annotated[
        Path | None,
        typer.Option("--again", metavar="FILE", help="After a restore: all that an export of the audit log tells of."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; the audit log keeps it in clear.")] = "",
    cancel: Annotated[bool, typer.Option("--cancel", help="With --tenant: cancel open tasks first, and wait.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")] = False,
) -> None:
    """Erase the content of a task or of a tenant for good; asks first on a terminal."""
    if sum(each is not None for each in (task, tenant, again)) != 1 or (cancel and tenant is None):
        raise CliError("say which: --task ID, or --tenant NAME [--cancel], or --again FILE", ExitCode.USAGE)
    if not reason.strip():
        raise CliError("--reason: is needed: why is it erased?", ExitCode.USAGE)
    if again is not None:
        _erase_again(again, reason, ask=not yes and sys.stdin.isatty())
        return
    body: dict[str, Any] = {"reason": reason}
    if task is not None:
        client, what, path = GatewayClient(read_settings()), f"task {line(task.strip())}", f"{task_path(task)}/erasure"
    else:
        client, name = open_for(tenant)
        # What it cancels ends in a while.
        client.patient = True
        what, path = f"everything of the tenant {name}", f"/v1/tenants/{name}/erasure"
        body["cancel"] = cancel
    if not yes and sys.stdin.isatty():
        _ask(f"{what} for good")
    view = client.post(path, body)
    if as_json:
        print(json.dumps(view))
        return
    _tell(view)


def _ask(what: str) -> None:
    for told in (f"goes: {GOES}", f"stays: {STAYS}", ELSEWHERE):
        print(told, file=sys.stderr)
    if not typer.confirm(f"erase {what}?", err=True):
        raise CliError("nothing was erased", ExitCode.NOT_ACCEPTED)


def _tell(view: dict[str, Any]) -> None:
    of = f"task {line(view['task_id'])}" if view["task_id"] else f"tenant {line(view['tenant'])}: {view['tasks']} tasks"
    kept = f", {view['shared']} kept that other tasks have too" if view["shared"] else ""
    print(f"{of} erased at {line(view['erased_at'])}: {view['texts']} texts{kept}")
    if view["completed_at"] is None:
        print("Temporal's histories go now; ask again to see when the last is gone")
    for each in view["follow_ups"]:
        print(f"its follow-up {line(each)} stays: golden erase --task {line(each)}")


def _erase_again(file: Path, reason: str, *, ask: bool) -> None:
    """What was erased once and is back with an older backup; what the book does not have is told and passed over."""
    told = list(_told(file))
    if ask:
        _ask(f"{len(told)} tasks and tenants again")
    settings, missing = read_settings(), 0
    for tenant, named in told:
        client = GatewayClient(settings.model_copy(update={"tenant": tenant}), patient=True)
        is_task = named != tenant
        path = f"{task_path(named)}/erasure" if is_task else f"/v1/tenants/{tenant}/erasure"
        try:
            client.post(path, {"reason": reason})
        except CliError as error:
            if not (is_task and error.code is ExitCode.USAGE):
                raise
            missing += 1
    print(f"{len(told) - missing} erased again, {missing} not in the book")


def _told(file: Path) -> Iterator[tuple[str, str]]:
    """Tenant, and the task or once more the tenant, of each erasure in an export of the audit log; each once."""
    seen, number = set[tuple[str, str]](), 0
    try:
        for text in file.read_text(encoding="utf-8").splitlines():
            number += 1
            event = json.loads(text)
            if event["api"]["operation"] not in ("tasks.erase", "tenants.erase") or event["status"] != "Success":
                continue
            tenant, named = str(event["metadata"]["tenant_uid"]), str(event["resources"][0]["uid"])
            if named != tenant:
                UUID(named)
            if (tenant, named) not in seen:
                seen.add((tenant, named))
                yield tenant, named
    except OSError as error:
        raise CliError(f"--again: {line(file)}: {error.strerror}", ExitCode.USAGE) from error
    except (ValueError, KeyError, TypeError, IndexError):
        told = f"--again: {line(file)}, line {number}: is none of `golden audit export`"
        raise CliError(told, ExitCode.USAGE) from None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)
