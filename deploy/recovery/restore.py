"""`golden restore`: a stack from a backup and the archive of PostgreSQL's log, brought into agreement with itself."""

import asyncio
import shutil
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from deploy.local import lock, postgres, temporal
from deploy.local.process import Part, Process
from deploy.recovery.align import Alignment
from deploy.recovery.archive import archive_root, faults, restore_command
from deploy.recovery.epoch import begin_epoch
from deploy.recovery.manifest import Manifest, RecoveryRefused, verified
from schema import engine, migrate
from schema.database import Database
from schema.keyring import KeyRing
from schema.settings import Settings

RECOVERY_SECONDS = 3600.0
AS_BACKED_UP = "backup"
STATE = ("postgres", "temporal", "keys", "audit-anchor.jsonl")
"""What of GOLDEN_HOME a restore brings."""


@dataclass(frozen=True)
class Wanted:
    """What to restore, from where.

    Attributes:
        until: `backup`, a time, or none for all that the archive has.
        engine: another backup whose engine's store is taken; a folder that is none is an empty engine.
        keys: a folder with the keys, where the backup has none.
        archive: the archives' folder, where it is not the settings'.
        force: what is in GOLDEN_HOME is moved aside.
        accept_loss: go on to the first gap of a damaged archive.
    """

    source: Path
    until: str | None = None
    engine: Path | None = None
    without_engine: bool = False
    keys: Path | None = None
    archive: Path | None = None
    force: bool = False
    accept_loss: bool = False


@dataclass(frozen=True)
class Restored:
    """What came of it; `lost` counts anchored audit records by tenant."""

    epoch: str
    book_at: datetime
    engine_at: datetime | None
    workflows: Counter[str]
    lost: dict[str, int]
    moved: Path | None
    seconds: float


def restore(settings: Settings, wanted: Wanted) -> Restored:
    """Verify first, then bring everything back; nothing of the backup is changed, nothing is deleted.

    Raises:
        RecoveryRefused: the backup, the archive or GOLDEN_HOME don't allow it; nothing was changed.
        AlreadyRunning: a stack runs in GOLDEN_HOME.
        PartFailed: PostgreSQL or Temporal did not come up.
    """
    began = time.monotonic()
    if settings.database_url is not None or settings.temporal_address is not None:
        told = "GOLDEN_DATABASE_URL and TEMPORAL_ADDRESS name servers of their own: restore them with their own tools"
        raise RecoveryRefused(told)
    manifest = verified(wanted.source)
    engine_at = _check_engine(wanted, manifest)
    _check_release(manifest)
    keys = _keys_of(wanted, manifest)
    _check_ring(settings.keyring_file, keys / "ring.json", settings)
    with lock.holding(settings):
        archive, name = wanted.archive or archive_root(settings), f"restore-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        _check_archive(archive, manifest, wanted)
        moved = _make_room(settings, wanted, name)
        if moved is not None and archive.is_relative_to(settings.home) and (moved / "archive").exists():
            archive = moved / archive.relative_to(settings.home)
        unfinished(settings).touch(mode=0o600)
        _copy(settings, wanted, manifest, keys)
        found = asyncio.run(_recover(settings, wanted, manifest, archive / manifest.book.system_identifier, name))
        unfinished(settings).unlink()
    book_at, workflows, lost = found
    return Restored(name, book_at, engine_at, workflows, lost, moved, time.monotonic() - began)


def unfinished(settings: Settings) -> Path:
    """There while a restore is under way: a stack does not start from half of one."""
    return settings.home / "RESTORING"


def _check_engine(wanted: Wanted, manifest: Manifest) -> datetime | None:
    if wanted.without_engine:
        return None
    if wanted.engine is not None:
        manifest = verified(wanted.engine)
    if manifest.engine is None:
        raise RecoveryRefused("the backup has no Temporal store: say --without-temporal to begin all from the book")
    return manifest.engine.taken_at


def _check_release(manifest: Manifest) -> None:
    if manifest.head not in migrate.known():
        told = f"the backup is of a newer release (migration {manifest.head}): install that release, then restore"
        raise RecoveryRefused(told)


def _keys_of(wanted: Wanted, manifest: Manifest) -> Path:
    if wanted.keys is None and not manifest.keys:
        raise RecoveryRefused("the backup was made without keys: name the folder of their copy with --keys")
    folder = wanted.keys or wanted.source / "keys"
    if not (folder / "ring.json").exists():
        raise RecoveryRefused(
            f"{folder} has no ring.json: without the key ring nothing can be read; name it with --keys"
        )
    return folder


def _check_archive(root: Path, manifest: Manifest, wanted: Wanted) -> None:
    """A gap would end the recovery there, without a word."""
    if wanted.until == AS_BACKED_UP or wanted.accept_loss:
        return
    book = manifest.book
    found = faults(root / book.system_identifier, book.first_segment, book.segment_bytes)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        remedy = "put it back, or say --accept-loss to restore up to there, or --until backup"
        raise RecoveryRefused(f"the archive {root} has a gap: {'; '.join(found[:3])}{more}: {remedy}")


def _make_room(settings: Settings, wanted: Wanted, name: str) -> Path | None:
    """Move what is there aside, if that was asked for, or if it is what an unfinished restore left."""
    there = [path for path in settings.home.iterdir() if path.name in (*STATE, "archive", "token", "RESTORING")]
    if not any(path.name in STATE for path in there) and not unfinished(settings).exists():
        return None
    if not wanted.force and not unfinished(settings).exists():
        raise RecoveryRefused(f"{settings.home} is not empty: say --force to have it moved aside, or set GOLDEN_HOME")
    aside = settings.home.with_name(f"{settings.home.name}.before-{name}")
    aside.mkdir(mode=0o700)
    for path in there:
        path.rename(aside / path.name)
    return aside


def _copy(settings: Settings, wanted: Wanted, manifest: Manifest, keys: Path) -> None:
    data = postgres.data_folder(settings)
    shutil.copytree(wanted.source / "postgres", data)
    data.chmod(0o700)
    (data / "recovery.signal").touch(mode=0o600)
    shutil.copytree(keys, settings.keys_folder)
    settings.keys_folder.chmod(0o700)
    ring, brought = settings.keyring_file, settings.keys_folder / "ring.json"
    if ring != brought and not ring.exists():
        ring.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(brought, ring)
    if manifest.anchors and not settings.audit_anchor_file.exists():
        settings.audit_anchor_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copy2(wanted.source / "audit-anchor.jsonl", settings.audit_anchor_file)
    folder = settings.home / "temporal"
    folder.mkdir(mode=0o700)
    if not wanted.without_engine:
        shutil.copy2((wanted.engine or wanted.source) / "temporal" / "temporal.db", folder / "temporal.db")


def _check_ring(ring: Path, brought: Path, settings: Settings) -> None:
    """A ring of another place that survived is kept: it may have newer keys, and must have all of the backup's."""
    if ring.is_relative_to(settings.keys_folder) or not ring.exists():
        return
    has = {key.key_id for key in KeyRing(ring).keys}
    for key in KeyRing(brought).keys:
        if key.key_id not in has:
            raise RecoveryRefused(f"GOLDEN_KEYS_FILE: {ring} lacks the key {key.key_id} of the backup: put it back")


async def _recover(
    settings: Settings, wanted: Wanted, manifest: Manifest, archive: Path, name: str
) -> tuple[datetime, Counter[str], dict[str, int]]:
    await postgres.prepare(settings)
    book = Process(_recovering(settings, wanted, archive), settings.logs_folder, _silent)
    store = Process(temporal.part(settings), settings.logs_folder, _silent)
    await book.start()
    try:
        book_at = await _promoted(settings) or manifest.book.began_at
        await postgres.set_up(settings)
        await store.start()
        database = Database.from_settings(settings)
        try:
            client = await engine.connect(settings)
            counts = await Alignment(database, client, book_at).run()
            lost = await begin_epoch(settings, database, name, manifest.digest, book_at)
        finally:
            await database.close()
        return book_at, counts, lost
    finally:
        await store.stop()
        await book.stop()


def _recovering(settings: Settings, wanted: Wanted, archive: Path) -> Part:
    options = {"restore_command": restore_command(archive), "recovery_target_action": "promote"}
    if wanted.until == AS_BACKED_UP:
        options["recovery_target"] = "immediate"
    elif wanted.until is not None:
        options["recovery_target_time"] = wanted.until
    part = postgres.part(settings)
    flags = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
    return replace(part, command=(*part.command, *flags), ready_within=RECOVERY_SECONDS)


async def _promoted(settings: Settings) -> datetime | None:
    """Wait until the server has recovered; the time of the last transaction that it found in its log."""
    url = postgres.superuser_url(settings, "postgres").replace("+psycopg", "")
    async with asyncio.timeout(RECOVERY_SECONDS):
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection:
                    query = b"SELECT pg_is_in_recovery(), pg_last_xact_replay_timestamp()"
                    row = await (await connection.execute(query)).fetchone()
            except psycopg.OperationalError:
                row = None
            if row is not None and not row[0]:
                at: datetime | None = row[1]
                return at
            await asyncio.sleep(0.05)


def _silent(name: str, text: str) -> None:
    """Parts that only run meanwhile say nothing."""
