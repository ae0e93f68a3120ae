"""`golden prompts`: what each role is told, how it came to that, and the way back."""

import json
import re
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from uuid_utils.compat import uuid7

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient
from gateway.prompt_views import PromptText, PromptView, VersionView
from gateway.terminal import console, line, plain, print_table, table_of, time_of

SHORT = 13
"""Characters of a version's id that lists show: they tell versions apart, and commands take them."""
LEAST = 6
PAGE = 100
MOVES = {"release": "release", "canary": "on trial", "adopted": "adopted", "rolled_back": "rolled back"}

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="architect, developer, reviewer, security or tester.")]
_NAMED = f"A version's id, or its first {LEAST} characters or more."
Version = Annotated[str | None, typer.Argument(metavar="VERSION", help=_NAMED)]
Old = Annotated[str | None, typer.Argument(metavar="A", help=_NAMED)]
New = Annotated[str | None, typer.Argument(metavar="B", help="Another; without it the active one.")]
Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

app = typer.Typer(help="The prompts of the roles: versions, and the way back.", no_args_is_help=True)


@app.command("show")
def show(
    role: RoleName,
    version: Annotated[
        str | None, typer.Option("--version", metavar="V", help="This one in full, and not what is active.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what is active and on trial, with the numbers of the guidelines; or one version in full."""
    client = GatewayClient(read_settings())
    if version is not None:
        found = client.get(f"{_path(role)}/versions/{_resolve(client, role, version)}")
        _print(found, as_json, lambda screen: _show_version(screen, PromptText.model_validate_json(json.dumps(found))))
        return
    found = client.get(_path(role), limit=1)
    _print(found, as_json, lambda screen: _show_prompt(screen, _view(found)))


@app.command("log")
def log(
    role: RoleName,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, help="How many at most.")] = 50,
    before: Annotated[int | None, typer.Option("--before", metavar="N", help="Go on before this number.")] = None,
    as_json: Json = False,
) -> None:
    """Show what happened to a prompt, newest first: releases, trials, adoptions, rollbacks, by whom and why."""
    page = {} if before is None else {"before": before}
    found = GatewayClient(read_settings()).get(_path(role), limit=limit, **page)
    _print(found, as_json, lambda screen: _show_log(screen, _view(found)))


@app.command("diff")
def diff(role: RoleName, a: Old = None, b: New = None, as_json: Json = False) -> None:
    """Show what changed from A to B; without them, what the newest change was."""
    client = GatewayClient(read_settings())
    old, new = _pair(client, role, a, b)
    found = client.get(f"{_path(role)}/versions/{new}", against=old)
    _print(found, as_json, lambda screen: _show_difference(screen, PromptText.model_validate_json(json.dumps(found))))


@app.command("rollback")
def rollback(
    role: RoleName,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the log.")],
    version: Version = None,
    as_json: Json = False,
) -> None:
    """Give new tasks an earlier version at once: VERSION, or the one that the active one took the place of."""
    client = GatewayClient(read_settings())
    if version is None:
        previous = _view(client.get(_path(role), limit=1)).previous
        if previous is None:
            raise CliError(f"the {role}'s prompt has no version before the active one", ExitCode.USAGE)
        target = str(previous)
    else:
        target = _resolve(client, role, version)
    found = client.post_once(f"{_path(role)}/rollback", {"version": target, "reason": reason}, str(uuid7()))
    _print(found, as_json, lambda screen: _show_prompt(screen, _view(found)))


def _pair(client: GatewayClient, role: str, a: str | None, b: str | None) -> tuple[str, str]:
    """The old version and the new one of a comparison."""
    if a is not None and b is not None:
        return _resolve(client, role, a), _resolve(client, role, b)
    view = _view(client.get(_path(role), limit=1))
    if a is not None:
        return _resolve(client, role, a), str(view.active)
    if view.canary is not None:
        return str(view.active), str(view.canary.version)
    if view.previous is None:
        raise CliError(f"the {role}'s prompt has only one version: there is nothing to compare", ExitCode.USAGE)
    return str(view.previous), str(view.active)


def _resolve(client: GatewayClient, role: str, named: str) -> str:
    """The version whose id begins so."""
    wanted = named.strip().lower()
    if not re.fullmatch(r"[0-9a-f-]{6,36}", wanted):
        raise CliError(f"VERSION: is its id, or its first {LEAST} characters or more", ExitCode.USAGE)
    if len(wanted) == 36:
        return wanted
    found = [str(each.id) for each in _versions(client, role) if str(each.id).startswith(wanted)]
    if len(found) != 1:
        told = (
            f"{len(found)} versions of the {role}'s prompt begin so" if found else f"no version of the {role}'s prompt"
        )
        raise CliError(f"{line(wanted)}: {told}: see golden prompts log {line(role)}", ExitCode.USAGE)
    return found[0]


def _versions(client: GatewayClient, role: str) -> list[VersionView]:
    found: list[VersionView] = []
    page: dict[str, str | int] = {"limit": PAGE}
    while True:
        view = _view(client.get(_path(role), **page))
        found.extend(view.items)
        if view.next_cursor is None:
            return found
        page["cursor"] = str(view.next_cursor)


def _show_prompt(screen: Console, view: PromptView) -> None:
    screen.print(plain(f"{view.role}, of {view.tenant}", "bold"))
    table = table_of("", "", overflow="fold")
    table.show_header = False
    table.add_row("active", str(view.active))
    if view.previous is not None:
        table.add_row("before", str(view.previous))
    if view.canary is not None:
        share = f"{view.canary.share} % of the new tasks since {time_of(view.canary.since)}"
        table.add_row("on trial", f"{view.canary.version}, {share}")
    table.add_row("base", view.base)
    table.add_row("digest", view.digest)
    print_table(screen, table)
    screen.print()
    for each in view.guidelines:
        screen.print(plain(f"{each.number:>2}  {line(each.text)}"), soft_wrap=True)
    if not view.guidelines:
        screen.print("it has learned nothing yet: it is the base prompt alone, which this shows:")
        screen.print(plain(f"golden prompts show {view.role} --version {_short(view.active)}"), soft_wrap=True)


def _show_version(screen: Console, version: PromptText) -> None:
    made = f"{version.kind}, {time_of(version.at)}, proposed by {version.proposer}, approved by {version.approver}"
    screen.print(plain(f"version {version.id}", "bold"), soft_wrap=True)
    for told in (made, f"parent {version.parent or 'none'}", f"proposal {version.update_id or 'none'}"):
        screen.print(plain(line(told)), soft_wrap=True)
    screen.print()
    screen.print(plain(version.text), soft_wrap=True)


def _show_log(screen: Console, view: PromptView) -> None:
    table = table_of("#", "at", "what", "from", "to", "by", "why", overflow="fold")
    for column in table.columns[:5]:
        column.no_wrap = True
    for each in view.moves:
        ways = (_short(each.from_version), _short(each.to_version))
        who = (plain(line(each.actor)), plain(line(each.reason)))
        table.add_row(str(each.number), time_of(each.at), MOVES[each.kind], *ways, *who)
    print_table(screen, table)
    if view.next_move is not None:
        console(stderr=True).print(f"there are more: --before {view.next_move}", soft_wrap=True)


def _show_difference(screen: Console, version: PromptText) -> None:
    found = version.difference
    if found is None:
        raise CliError("the gateway compared nothing: is it of an older release?", ExitCode.UNREACHABLE)
    screen.print(plain(f"--- {found.against}\n+++ {version.id}"), soft_wrap=True)
    if found.base_changed:
        screen.print("the base prompt changed: a release brought another", soft_wrap=True)
    for sign, texts, style in (("-", found.removed, "red"), ("+", found.added, "green")):
        for each in texts:
            screen.print(plain(f"{sign} {line(each)}", style), soft_wrap=True)
    if not (found.base_changed or found.removed or found.added):
        screen.print("they say the same", soft_wrap=True)


def _short(version: Any) -> str:
    return "" if version is None else str(version)[:SHORT]


def _print(found: dict[str, Any], as_json: bool, show_it: Any) -> None:
    if as_json:
        print(json.dumps(found))
    else:
        show_it(console())


def _view(found: dict[str, Any]) -> PromptView:
    return PromptView.model_validate_json(json.dumps(found))


def _path(role: str) -> str:
    return f"/v1/prompts/{quote(role, safe='')}"


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="prompts")
