"""`golden workers`: rolling out a build of the workers, for whoever may reach Temporal."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer
from rich.table import Table
from temporalio.client import Client
from temporalio.service import RPCError

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode
from gateway.rollout import BUILD_ID, Build, NotReady
from gateway.terminal import console, line, plain, print_table

app = typer.Typer(help="Builds of the workers: which has the work, and which may be removed.", no_args_is_help=True)

Output = TypeVar("Output")
BuildArgument = Annotated[str, typer.Argument(metavar="BUILD", help="GOLDEN_BUILD_ID of its workers.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

STYLES = {"current": "green", "ramping": "yellow", "draining": "yellow", "drained": "dim", "inactive": "dim"}


@app.command("list")
def show(as_json: Json = False) -> None:
    """Show every build: its state, its share of new tasks, its workers, and the open work that only it can end."""
    from gateway import rollout

    builds = _ask(rollout.list_builds)
    if as_json:
        print(json.dumps({"items": [asdict(build) for build in builds]}))
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("build", "state", "new tasks", "pinned", "workers on"):
        table.add_column(name, no_wrap=name != "workers on", overflow="fold")
    for build in builds:
        table.add_row(
            plain(line(build.build_id)),
            plain(build.state, STYLES[build.state]),
            f"{build.percent:g} %",
            f"{build.pinned:,}",
            ", ".join(build.queues) or "none",
        )
    print_table(console(), table)


@app.command("promote")
def promote(
    build: Annotated[str | None, typer.Argument(metavar="BUILD", help="GOLDEN_BUILD_ID of its workers.")] = None,
    unversioned: Annotated[bool, typer.Option("--unversioned", help="Workers without a build instead.")] = False,
) -> None:
    """Give a build the new tasks; those that run end where they began. Refused without workers on every Task Queue."""
    from gateway import rollout

    if (build is None) is not unversioned:
        raise CliError("name a BUILD, or --unversioned", ExitCode.USAGE)
    wanted = None if build is None else _checked(build)
    _ask(lambda client: rollout.promote(client, wanted))
    print(f"current: {wanted or 'workers without a build'}")


@app.command("ramp")
def ramp(
    build: BuildArgument,
    percent: Annotated[float, typer.Argument(min=0, max=100, help="Of new tasks; 0 takes it back.")],
) -> None:
    """Give a build a share of the new tasks. Refused without workers on every Task Queue."""
    from gateway import rollout

    wanted = _checked(build)
    _ask(lambda client: rollout.ramp(client, wanted, percent))
    print(f"ramping: {wanted}, {percent:g} % of new tasks" if percent else "nothing ramps")


@app.command("drained")
def drained(build: BuildArgument, as_json: Json = False) -> None:
    """Say whether a build's workers may be stopped: exit code 0 if so, 5 as long as work is pinned to them."""
    from gateway import rollout

    wanted = _checked(build)
    found: list[Build] = [each for each in _ask(rollout.list_builds) if each.build_id == wanted]
    if not found:
        raise CliError(f"there is no build {wanted}", ExitCode.USAGE)
    (only,) = found
    if as_json:
        print(json.dumps({**asdict(only), "removable": only.removable}))
    else:
        print(f"{wanted} is {only.state}, {only.pinned} pinned: {'may' if only.removable else 'must not'} be removed")
    if not only.removable:
        raise typer.Exit(ExitCode.NOT_FINAL)


def _checked(build: str) -> str:
    """A build id is part of a query: nothing else gets there."""
    if not BUILD_ID.fullmatch(build):
        raise CliError("BUILD: letters, digits, '.', '_' and '-', 100 at most", ExitCode.USAGE)
    return build


def _ask(act: Callable[[Client], Awaitable[Output]]) -> Output:
    """Do it, and say in words what came in between."""

    async def run() -> Output:
        from schema.engine import connect

        return await act(await connect(read_settings()))

    try:
        return asyncio.run(run())
    except TimeoutError as error:
        raise CliError(
            "done, but not every Task Queue has heard of it yet: `golden workers list`", ExitCode.NOT_FINAL
        ) from error
    except NotReady as error:
        raise CliError(str(error), ExitCode.REFUSED) from error
    except RPCError as error:
        raise CliError(f"Temporal refuses: {line(error.message)}", ExitCode.REFUSED) from error
    except RuntimeError as error:
        raise CliError(f"cannot reach Temporal: {line(str(error))}", ExitCode.UNREACHABLE) from error


def register(application: typer.Typer) -> None:
    """Add these commands."""
    application.add_typer(app, name="workers")
