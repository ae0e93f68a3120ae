"""`golden`, the command line: a client of the HTTP API, and the starter of the processes."""

import importlib
import os
import re
import sys
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from deploy.local import commands as stack_commands
from gateway import cli_keys, cli_tasks
from gateway.authorisation import EVERY_TENANT, Role
from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode
from gateway.terminal import line
from schema.errors import GoldenError
from schema.redaction import redact_text

MAX_TTL = timedelta(days=366)

_TTL = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class RoleName(StrEnum):
    """The roles, for the command line."""

    ADMIN = "admin"
    OPERATOR = "operator"
    DEVELOPER = "developer"
    APPROVER = "approver"
    VIEWER = "viewer"


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
tokens = typer.Typer(help="Access tokens.", no_args_is_help=True)
database = typer.Typer(help="The database.", no_args_is_help=True)


@tokens.command("issue")
def issue(
    role: Annotated[RoleName, typer.Option("--role", help="What its holder may do.")],
    tenant: Annotated[str, typer.Option("--tenant", help="The one tenant, or * for the platform.")],
    sub: Annotated[str, typer.Option("--sub", help="Who its holder is.")] = "cli",
    ttl: Annotated[str, typer.Option("--ttl", help="How long it lasts: digits and s, m, h or d.")] = "12h",
) -> None:
    """Print a new token, alone on standard output; needs the keys in GOLDEN_HOME."""
    from gateway.tokens import issue_token

    if tenant != EVERY_TENANT and not _TENANT.fullmatch(tenant):
        raise CliError("--tenant: must be lower-case letters, digits and hyphens, at most 63, or *", ExitCode.USAGE)
    if not 1 <= len(sub) <= 200 or not sub.isprintable() or sub != sub.strip():
        raise CliError("--sub: must be 1 to 200 printable characters", ExitCode.USAGE)
    known: Role = role.value
    print(issue_token(read_settings(), sub=sub, role=known, tenant=tenant, ttl=_parse_ttl(ttl)))


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
cli_keys.register(app)
app.add_typer(tokens, name="token")
app.add_typer(database, name="db")
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


def _parse_ttl(text: str) -> timedelta:
    match = _TTL.fullmatch(text)
    ttl = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta()
    if not timedelta() < ttl <= MAX_TTL:
        raise CliError(f"--ttl: must be digits and s, m, h or d, to {MAX_TTL.days}d, for example 12h", ExitCode.USAGE)
    return ttl


if __name__ == "__main__":
    main()
