"""`golden`, the command line: a client of the HTTP API, and the starter of the processes."""

import importlib
import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode
from gateway.terminal import line
from schema.errors import GoldenError
from schema.redaction import redact_text


class WorkerKind(StrEnum):
    """The workers, and all of them in one process."""

    ORCHESTRATOR = "orchestrator"
    PEER_HUB = "peer-hub"
    SANDBOX = "sandbox"
    SUPERVISOR = "supervisor"
    ALL = "all"


PARTS = {
    "gateway.cli_tasks": (
        *("submit", "vote", "watch", "result", "consensus", "cancel", "decide", "truth"),
        *("tasks", "follow-up"),
    ),
    "gateway.cli_approvals": ("approvals",),
    "gateway.cli_audit": ("audit",),
    "gateway.cli_budget": ("budget",),
    "gateway.cli_circuits": ("circuits",),
    "gateway.cli_dead_letters": ("dead-letters",),
    "gateway.cli_erase": ("erase",),
    "gateway.cli_evidence": ("evidence",),
    "gateway.cli_governance": ("governance",),
    "gateway.cli_keys": ("keys", "ui"),
    "gateway.cli_learn": ("learn",),
    "gateway.cli_policy": ("policy",),
    "gateway.cli_prompts": ("prompts",),
    "gateway.cli_token": ("token",),
    "gateway.cli_weights": ("weights",),
    "gateway.cli_workers": ("workers",),
    "deploy.local.commands": ("up", "down", "doctor"),
    "deploy.prove.commands": ("prove",),
    "deploy.recovery.commands": ("backup", "restore"),
}
"""The modules of the commands. Only the one that is asked for is imported: together they take two seconds."""

database = typer.Typer(help="The database.", no_args_is_help=True)


@database.command("upgrade")
def upgrade() -> None:
    """Bring the database to this release's version."""
    from sqlalchemy.exc import OperationalError

    from schema.migrate import upgrade as run_migrations

    try:
        run_migrations(read_settings().database("migrator"))
    except OperationalError as error:
        raise CliError(f"cannot reach the database: {error.orig}", ExitCode.UNREACHABLE) from error
    print("the database is up to date")


def worker(kind: Annotated[WorkerKind, typer.Argument(help="Which worker.")]) -> None:
    """Run a worker in the foreground."""
    # Not an import: the workers are another program, which this one only starts.
    importlib.import_module("workers.main").run(kind.value, read_settings())


def gateway() -> None:
    """Run the gateway in the foreground."""
    from gateway.main import run

    run(read_settings())


def exporter() -> None:
    """Show the fleet's metrics, in the foreground; gateways then run with GOLDEN_FLEET_METRICS=false."""
    from gateway.exporter import run

    run(read_settings())


def application(command: str | None = None) -> typer.Typer:
    """The command line with the part that has this command, and with all of it where no part has."""
    app = typer.Typer(
        name="golden",
        help="Coding tasks for teams of agents: submitted, proven, voted on, recorded.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for process in (worker, gateway, exporter):
        app.command()(process)
    app.add_typer(database, name="db")
    if command not in ("worker", "gateway", "exporter", "db"):
        for module in [name for name, commands in PARTS.items() if command in commands] or PARTS:
            importlib.import_module(module).register(app)
    return app


def main() -> None:
    """The entry of the command `golden`."""
    asked = next((each for each in sys.argv[1:] if not each.startswith("-")), None)
    try:
        application(asked)()
    except CliError as error:
        for text in str(error).splitlines():
            print(f"golden: {redact_text(line(text))}", file=sys.stderr)
        sys.exit(error.code)
    except GoldenError as error:
        print(f"golden: {redact_text(line(error))}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)
    except BrokenPipeError:
        # Whoever read our output has gone; Python would complain about that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.NOT_ACCEPTED)


if __name__ == "__main__":
    main()
