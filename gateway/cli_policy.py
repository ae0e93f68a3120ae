"""`golden policy`: how a tenant's votes are held."""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from gateway.bodies import parse_body
from gateway.cli_tenant import open_for
from gateway.client import CliError, ExitCode
from gateway.policies import PolicyRequest, PolicyView
from gateway.problems import Problem
from gateway.terminal import console, line, plain, print_table, time_of

TenantName = Annotated[str | None, typer.Argument(metavar="[TENANT]", help="The tenant; the token's own if not said.")]
Json = Annotated[bool, typer.Option("--json", help="Print the HTTP API's JSON.")]

_PAIR = re.compile(r"([a-z]+)=([^=]+)")

_REMEDIES = {
    "--voter": "NAME=WEIGHT, such as reviewer=3000",
    "--guard": "NAME=on or NAME=off; rules of a guard are set with --file",
}

app = typer.Typer(
    help="Policies: how a tenant's votes are held. Its tasks may be stricter, never laxer.", no_args_is_help=True
)


@app.command("show")
def show(tenant: TenantName = None, as_json: Json = False) -> None:
    """Show what is in force, and what of it is the tenant's own word."""
    client, name = open_for(tenant)
    _print(client.get(f"/v1/policies/{name}"), as_json=as_json)


@app.command("set")
def set_policy(
    tenant: TenantName = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="F", help="The whole policy, in YAML or JSON: it replaces all.")
    ] = None,
    voter: Annotated[
        list[str] | None, typer.Option("--voter", metavar="NAME=WEIGHT", help="All voters, in basis points; repeat it.")
    ] = None,
    quorum: Annotated[int | None, typer.Option("--quorum", help="Ballots of weight that a decision needs.")] = None,
    threshold: Annotated[float | None, typer.Option("--threshold", help="Share of the weight that approves.")] = None,
    reject_threshold: Annotated[float | None, typer.Option("--reject-threshold", help="Share that rejects.")] = None,
    rounds: Annotated[int | None, typer.Option("--rounds", help="1 or 2.")] = None,
    veto: Annotated[bool | None, typer.Option("--veto/--no-veto", help="Whether security may veto.")] = None,
    deadline_seconds: Annotated[int | None, typer.Option("--deadline-seconds", help="For one round.")] = None,
    decide_within_seconds: Annotated[
        int | None, typer.Option("--decide-within-seconds", help="A person's time to decide; then it is rejected.")
    ] = None,
    remind_after_seconds: Annotated[
        int | None, typer.Option("--remind-after-seconds", help="When the people who may decide are reminded.")
    ] = None,
    guard: Annotated[
        list[str] | None, typer.Option("--guard", metavar="NAME=on|off", help="Switch a guard; repeat it.")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="FIELD", help="Leave this to the default; repeat it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Set the tenant's policy: by a file, all of it; by options, what they name, and the rest stays."""
    given = {
        "voters": {name: _number("--voter", weight) for name, weight in _pairs("--voter", voter)} or None,
        "quorum": quorum,
        "threshold": threshold,
        "reject_threshold": reject_threshold,
        "rounds": rounds,
        "veto": veto,
        "deadline_seconds": deadline_seconds,
        "decide_within_seconds": decide_within_seconds,
        "remind_after_seconds": remind_after_seconds,
        "guards": dict(_pairs("--guard", guard)) or None,
    }
    named = {field: value for field, value in given.items() if value is not None}
    if (file is None) == (not named and not unset):
        raise CliError("say what to set: --file F, or options such as --quorum 3", ExitCode.USAGE)
    whole = None if file is None else _read(file)
    client, name = open_for(tenant)
    path = f"/v1/policies/{name}"
    body = whole if whole is not None else _changed(client.get(path)["policy"], named, unset or [])
    _print(client.put(path, body), as_json=as_json)


def _changed(policy: dict[str, Any], named: dict[str, Any], unset: list[str]) -> dict[str, Any]:
    """The policy with what was named in it; of the guards only those that were."""
    unknown = [field for field in unset if field not in PolicyRequest.model_fields]
    if unknown:
        fields = ", ".join(PolicyRequest.model_fields)
        raise CliError(f"--unset {line(unknown[0])}: is no field of a policy: one of {fields}", ExitCode.USAGE)
    if "guards" in named:
        named = {**named, "guards": {**policy.get("guards", {}), **named["guards"]}}
    return {field: value for field, value in {**policy, **named}.items() if field not in unset}


def _read(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
        media_type = "application/json" if file.suffix == ".json" else "application/yaml"
        return parse_body(content, media_type, PolicyRequest).model_dump(mode="json", exclude_unset=True)
    except OSError as error:
        raise CliError(f"{line(file)}: {error.strerror or 'cannot be read'}", ExitCode.USAGE) from error
    except Problem as problem:
        faults = (f"{line(file)}: {line(field)}: {line(message)}" for field, message in problem.faults)
        raise CliError("\n".join(faults), ExitCode.USAGE) from None


def _pairs(option: str, given: list[str] | None) -> list[tuple[str, str]]:
    matches = [(text, _PAIR.fullmatch(text)) for text in given or ()]
    for text, match in matches:
        if match is None:
            raise CliError(f"{option} {line(text)}: must be {_REMEDIES[option]}", ExitCode.USAGE)
    return [(match[1], match[2]) for _, match in matches if match is not None]


def _number(option: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise CliError(f"{option} {line(text)}: must be a whole number of basis points", ExitCode.USAGE)
    return int(text)


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found))
        return
    view = PolicyView.model_validate_json(json.dumps(found))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("field", "in force", "by"):
        table.add_column(name, overflow="fold")
    in_force = view.in_force.model_dump(mode="json") | {"quorum": view.in_force.quorum_needed}
    for field, value in in_force.items():
        own = field in view.policy.model_fields_set
        table.add_row(field, plain(_shown(value)), plain("tenant" if own else "default", "" if own else "dim"))
    print(f"policy of {line(view.tenant)}")
    print_table(console(), table)
    if view.updated_by is not None and view.updated_at is not None:
        at = time_of(view.updated_at)
        print(f"last set by {line(view.updated_by)} at {at}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{line(name)} {_shown(each)}" for name, each in value.items()) or "as they come"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return line(value)


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="policy")
