"""`golden doctor`: what this machine lacks to run Golden, with the remedy of each."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.checks import Check
from deploy.local import lock, model_server, ports, postgres, temporal
from schema.errors import GoldenError, SettingsError
from schema.settings import Settings

OLDEST_PYTHON = (3, 11)
LEAST_DISK = 2 * 1024**3


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which a newcomer meets the problems."""
    return [
        python(sys.version_info[:2]),
        disk(settings.home),
        free_ports(settings),
        *embedded_parts(settings),
        models(settings),
        user_namespaces(),
        *_sandbox(settings),
    ]


def python(version: tuple[int, ...]) -> Check:
    found, oldest = (".".join(map(str, number)) for number in (version, OLDEST_PYTHON))
    return _check(
        "python",
        version >= OLDEST_PYTHON,
        f"this is Python {found}, Golden needs {oldest}",
        f"install Python {oldest} or newer, and run `make setup PYTHON=python{oldest}`",
    )


def disk(home: Path, least: int = LEAST_DISK) -> Check:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    return _check(
        "disk",
        free >= least,
        f"{free / 1024**3:.1f} GiB are free at {existing}, {least / 1024**3:.0f} are needed",
        "free some space, or set GOLDEN_HOME to a folder on another disk",
    )


def free_ports(settings: Settings) -> Check:
    if lock.running(settings) is not None:
        return Check("ports", ok=True)  # our own stack has them
    taken = ports.conflicts(settings)
    problems = [sentence.partition(": ")[0] for sentence in taken]
    remedies = dict.fromkeys(sentence.partition(": ")[2] for sentence in taken)
    return _check("ports", not taken, "; ".join(problems), ", ".join(remedies) + " to a free port")


def embedded_parts(settings: Settings) -> list[Check]:
    """The parts that come from packages, each only if the settings don't name another in its place."""
    checks = []
    if settings.database_url is None:
        checks.append(_installed("postgres", lambda: postgres.binaries() / "postgres", "set GOLDEN_DATABASE_URL"))
    if settings.temporal_address is None:
        checks.append(_installed("temporal", temporal.binary, "set TEMPORAL_ADDRESS"))
    if ports.needs_model(settings):
        checks.append(_installed("weights", model_server.weights, "set GOLDEN_MODELS"))
    return checks


def models(settings: Settings) -> Check:
    """Whether the worker can use the routes, and has the keys that they need."""
    try:
        # Late, for the time it takes and for what it imports.
        from activities.routes import read_routes
    except ImportError as error:
        return Check("models", ok=False, problem=str(error), remedy="run `make setup`")
    try:
        read_routes(settings)
    except SettingsError as error:
        remedy = "correct GOLDEN_MODELS: `embedded`, a YAML file, or its text; unset, the embedded model answers"
        return Check("models", ok=False, problem=str(error).removeprefix("GOLDEN_MODELS: "), remedy=remedy)
    return Check("models", ok=True)


def user_namespaces(command: Sequence[str] | None = None) -> Check:
    """As root PostgreSQL runs in a user namespace of its own; others don't need one."""
    probe = postgres.unprivileged() if command is None else command
    if not probe:
        return Check("namespaces", ok=True)
    try:
        usable = subprocess.run((*probe, "true"), capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        usable = False
    return _check(
        "namespaces",
        usable,
        "root can't make a user namespace here, and PostgreSQL refuses to run as root",
        "run Golden as an ordinary user, or allow user namespaces (util-linux; in a container CAP_SYS_ADMIN), "
        "or set GOLDEN_DATABASE_URL",
    )


def show(checks: Sequence[Check]) -> None:
    """A table on a terminal, plain lines in a pipe."""
    rows = [(check.name, "ok" if check.ok else "missing", check.problem, check.remedy) for check in checks]
    show_table(("check", "state", "problem", "remedy"), rows)


def show_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console = Console()
    if not console.is_terminal:
        for row in rows:
            print("\t".join(row).rstrip())
        return
    table = Table(*header)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _sandbox(settings: Settings) -> list[Check]:
    try:
        # Late, so that the other checks work while Docker's client is missing.
        from deploy.sandbox import engine
    except ImportError as error:
        return [Check("sandbox", ok=False, problem=str(error), remedy="run `make setup`")]
    checks = engine.checks(settings)
    if not all(check.ok for check in checks):
        return checks
    return [*checks, *asyncio.run(_inside(settings))]


async def _inside(settings: Settings) -> list[Check]:
    """What a sandbox looks like from inside."""
    from activities.docker_pool import DockerSandboxPool

    pool = DockerSandboxPool(
        isolation=settings.sandbox_isolation,
        runtime=settings.sandbox_runtime,
        images=settings.sandbox_images,
        size=1,
        owner=f"doctor-{os.getpid()}",
    )
    try:
        return await pool.check()
    except GoldenError as error:
        return [Check("sandbox", ok=False, problem=str(error), remedy="run `python -m deploy.sandbox.setup`")]
    finally:
        await pool.close()


def _installed(name: str, find: Callable[[], Path], other: str) -> Check:
    try:
        found = os.access(find(), os.R_OK)
    except SettingsError:
        found = False
    return _check(name, found, f"the embedded {name} part is not installed", f"run `make setup`, or {other}")


def _check(name: str, ok: bool, problem: str, remedy: str) -> Check:
    return Check(name, ok=ok, problem="" if ok else problem, remedy="" if ok else remedy)
