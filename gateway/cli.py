"""`golden`, the command line: a client of the HTTP API, and the starter of the processes."""

import importlib
import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from deploy.local import commands as stack_commands
from gateway import (
    cli_approvals,
    cli_audit,
    cli_budget,
    cli_circuits,
    cli_dead_letters,
    cli_governance,
    cli_keys,
    cli_learn,
    cli_policy,
    cli_prompts,
    cli_tasks,
    cli_weights,
)
from gateway.cli_settings import read_settings
from gateway.cli_token import tokens
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


app = typer.Typer(
    name="golden",
    help="Coding tasks for teams of agents: submitted, proven, voted on, recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
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


@app.command()
def worker(kind: Annotated[WorkerKind, typer.Argument(help="Which worker.")]) -> None:
    """Run a worker in the foreground."""
    # Not an import: the workers are another program, which this one only starts.
    importlib.import_module("workers.main").run(kind.value, read_settings())


@app.command()
def gateway() -> None:
    """Run the gateway in the foreground."""
    from gateway.main import run

    run(read_settings())


cli_tasks.register(app)
cli_circuits.register(app)
cli_keys.register(app)
cli_weights.register(app)
app.add_typer(tokens, name="token")
app.add_typer(database, name="db")
app.add_typer(cli_audit.app, name="audit")
app.add_typer(cli_dead_letters.app, name="dead-letters")
app.add_typer(cli_budget.app, name="budget")
app.add_typer(cli_policy.app, name="policy")
app.add_typer(cli_approvals.app, name="approvals")
app.add_typer(cli_learn.app, name="learn")
app.add_typer(cli_prompts.app, name="prompts")
app.add_typer(cli_governance.app, name="governance")
stack_commands.register(app)


def main() -> None:
    """The entry of the command `golden`."""
    try:
        app()
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
