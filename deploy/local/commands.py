"""`golden up`, `down` and `doctor`; also `python -m deploy.local.commands`.

Every `golden` command loads this module, so each command here imports what it needs only when it runs.
"""

import json as json_format
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from schema.settings import Settings

UNREACHABLE = 4
STOPS_WITHIN = 90.0


def up(
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is ready; `golden down` stops it.")] = False,
) -> None:
    """Run everything on this machine, until Ctrl-C."""
    from deploy.local import stack

    settings = read_settings()
    os.umask(0o077)
    settings.home.mkdir(parents=True, exist_ok=True)
    code = _up_detached(settings) if detach else stack.run(settings)
    sys.stdout.flush()
    sys.stderr.flush()
    # Temporal's client keeps threads that can crash the interpreter's exit.
    os._exit(code)


def down() -> None:
    """Stop the stack of this GOLDEN_HOME."""
    from deploy.local import lock

    settings = read_settings()
    running = lock.running(settings)
    if running is None:
        typer.echo(f"nothing is running in {settings.home}")
        return
    os.kill(running.pid, signal.SIGTERM)
    if not _wait(lambda: lock.running(settings) is None, STOPS_WITHIN):
        typer.echo(f"{running} has not stopped within {STOPS_WITHIN:g} s", err=True)
        raise typer.Exit(UNREACHABLE)
    typer.echo("stopped")


def doctor(
    settings: Annotated[bool, typer.Option("--settings", help="Show every setting and where it comes from.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say whether this machine can run Golden, and what to do if not."""
    from deploy.local import doctor as examination

    known = read_settings()
    if settings:
        _show_settings(known, json)
        return
    checks = examination.examine(known)
    if json:
        typer.echo(json_format.dumps({"checks": [vars(check) for check in checks]}, indent=2))
    else:
        examination.show(checks)
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def register(app: typer.Typer) -> None:
    """Add these commands to an application."""
    for command in (up, down, doctor):
        app.command()(command)


def read_settings() -> "Settings":
    """The settings of the environment; where one can't be used, that is said and the program ends."""
    from gateway import cli_settings
    from gateway.client import CliError

    try:
        return cli_settings.read_settings()
    except CliError as error:
        for told in str(error).splitlines():
            typer.echo(f"golden: {told}", err=True)
        raise SystemExit(int(error.code)) from None


def _show_settings(settings: "Settings", json: bool) -> None:
    from deploy.local import doctor as examination

    sources = settings.sources()
    if json:
        typer.echo(json_format.dumps({"settings": sources}, indent=2))
    else:
        examination.show_table(("name", "value", "source"), [tuple(source.values()) for source in sources])


def _up_detached(settings: "Settings") -> int:
    from deploy.local import lock, services

    log = settings.logs_folder / "stack.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        before = output.tell()
        child = subprocess.Popen(
            services.python("deploy.local.commands", "up"),
            env=services.environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def settled() -> bool:
        running = lock.running(settings)
        return child.poll() is not None or (running is not None and running.pid == child.pid and running.ready)

    _wait(settled, float("inf"))
    typer.echo(log.read_bytes()[before:].decode(errors="replace"), nl=False)
    return child.returncode or 0


def _wait(condition: Callable[[], bool], limit: float) -> bool:
    """Ask again and again, while another process does its work."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def main() -> None:
    app = typer.Typer(no_args_is_help=True, add_completion=False)
    register(app)
    app()


if __name__ == "__main__":
    main()
