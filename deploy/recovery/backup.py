"""`golden backup`: the book, the engine's store, keys and anchors in one folder, while everything runs."""

import asyncio
import os
import re
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy.exc import SQLAlchemyError

from deploy.local import postgres
from deploy.recovery.manifest import NAME, HeldBook, HeldEngine, Manifest, RecoveryRefused, held_files
from schema.audit import PLATFORM, AuditRecord, append
from schema.database import Database
from schema.keys import write_secret_file
from schema.settings import Settings

ACTOR = "golden backup"
_FIRST = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


def back_up(settings: Settings, target: Path, *, with_keys: bool = True) -> Manifest:
    """Make a backup in a folder of its own, which is there as a whole or not at all.

    Raises:
        RecoveryRefused: there is something already, or a part can't be read.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RecoveryRefused(f"--to: {target} is not empty: name a new folder")
    draft = target.with_name(f".{target.name}.unfinished")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    began = datetime.now(UTC)
    # The engine first: a book that is the later one knows all that the engine's histories rely on.
    engine = _save_engine(settings, draft / "temporal")
    book, head = _save_book(settings, draft / "postgres")
    if with_keys:
        _save_keys(settings, draft / "keys")
    anchors = settings.audit_anchor_file
    if anchors.exists():
        shutil.copy2(anchors, draft / "audit-anchor.jsonl")
    manifest = Manifest(
        name=f"{began:%Y%m%dT%H%M%SZ}",
        head=head,
        began_at=began,
        ended_at=datetime.now(UTC),
        book=book,
        engine=engine,
        keys=with_keys,
        anchors=anchors.exists(),
        files=tuple(held_files(draft)),
    )
    write_secret_file(draft / NAME, manifest.model_dump_json(indent=1).encode())
    _sync(draft)
    try:
        asyncio.run(_tell(settings, manifest))
    except (OSError, SQLAlchemyError) as error:
        raise RecoveryRefused(f"the backup can't be told to the audit log: {type(error).__name__}") from None
    draft.replace(target)
    return manifest


def _save_engine(settings: Settings, folder: Path) -> HeldEngine | None:
    """Temporal's store, copied within one read of it while the server goes on writing."""
    source = settings.home / "temporal" / "temporal.db"
    if settings.temporal_address is not None or not source.exists():
        return None
    folder.mkdir(mode=0o700)
    taken = datetime.now(UTC)
    try:
        connection = sqlite3.connect(source, timeout=30, isolation_level=None)
        try:
            connection.execute("VACUUM INTO ?", (str(folder / "temporal.db"),))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise RecoveryRefused(f"{source} can't be copied: {error}") from None
    return HeldEngine(namespace=settings.temporal_namespace, taken_at=taken)


def _save_book(settings: Settings, folder: Path) -> tuple[HeldBook, str]:
    conninfo, password = _connection(settings)
    began = datetime.now(UTC)
    try:
        with psycopg.connect(conninfo, password=password, connect_timeout=5) as connection:
            known = _known(connection)
    except psycopg.Error as error:
        told = f"PostgreSQL does not answer: start the stack with `golden up` ({type(error).__name__})"
        raise RecoveryRefused(told) from None
    command = [str(postgres.binaries() / "pg_basebackup"), "--dbname", conninfo, "--pgdata", str(folder)]
    options = ["--wal-method=stream", "--checkpoint=fast", "--no-password", "--manifest-checksums=SHA256"]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    if password:
        environment["PGPASSWORD"] = password
    made = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise RecoveryRefused(f"pg_basebackup failed: {made.stderr.strip()[-500:]}")
    label = _FIRST.search((folder / "backup_label").read_text())
    if label is None:
        raise RecoveryRefused("pg_basebackup wrote a label that can't be read")
    book = HeldBook(
        system_identifier=str(known["identifier"]),
        first_segment=label.group(1),
        segment_bytes=known["segment"],
        began_at=began,
    )
    return book, str(known["head"])


def _known(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Which cluster this is, the size of its segments, and the newest migration."""
    segment = "SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size'"
    queries = {
        "identifier": b"SELECT system_identifier FROM pg_control_system()",
        "segment": segment.encode(),
        "head": b"SELECT version_num FROM alembic_version",
    }
    found = {}
    for name, query in queries.items():
        row = connection.execute(query).fetchone()
        found[name] = row[0] if row else None
    return found


def _connection(settings: Settings) -> tuple[str, str | None]:
    """How to reach the book as somebody who may copy it; the password apart, since all can see arguments."""
    if settings.database_url is None:
        url = postgres.superuser_url(settings)
    elif settings.database_migrator_url is not None:
        url = settings.database("migrator")
    else:
        raise RecoveryRefused("GOLDEN_DATABASE_MIGRATOR_URL is needed: a role that may replicate makes base backups")
    parts = conninfo_to_dict(url.replace("postgresql+psycopg://", "postgresql://", 1))
    password = parts.pop("password", None)
    return make_conninfo("", **parts), None if password is None else str(password)


def _save_keys(settings: Settings, folder: Path) -> None:
    if not settings.keys_folder.exists():
        raise RecoveryRefused(f"{settings.keys_folder} is not there: set GOLDEN_HOME, or say --without-keys")
    shutil.copytree(settings.keys_folder, folder)
    if settings.keyring_file.exists():
        write_secret_file(folder / "ring.json", settings.keyring_file.read_bytes())


def _sync(folder: Path) -> None:
    for path in (*folder.rglob("*"), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


async def _tell(settings: Settings, manifest: Manifest) -> None:
    """The digest of the backup goes into the platform's chain: so which backups were made can't be made up later."""
    database = Database.from_settings(settings)
    record = AuditRecord(
        actor=ACTOR, action="backup.make", object=manifest.name, outcome="allowed", digest=manifest.digest
    )
    try:
        async with database.service() as connection:
            await append(connection, PLATFORM, [record])
    finally:
        await database.close()
