"""What `golden restore` brings back, refuses and leaves alone, with a PostgreSQL and its archive, and no stack."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import func, select

from deploy.local import postgres
from deploy.recovery.backup import back_up
from deploy.recovery.manifest import RecoveryRefused
from deploy.recovery.restore import AS_BACKED_UP, Restored, Wanted, restore
from schema.anchor import AnchorFile, read_anchors
from schema.audit import AuditRecord, append, read_heads
from schema.audit_check import ChainReport, check_chain
from schema.database import Database
from schema.keyring import KeyRing
from schema.settings import Settings
from schema.tables import audit_records
from tests.support.parts import local_settings, running_part, running_postgres
from tests.support.processes import until

TENANT = "lost"
ARCHIVED_WITHIN = 120.0
"""Less than PostgreSQL's checkpoint_timeout: what is archived only by a checkpoint comes too late."""


@dataclass(frozen=True)
class Past:
    """A book that is gone: three records, of which the backup has the first; `second_at` is after the second."""

    settings: Settings
    backup: Path
    archive: Path
    second_at: datetime
    before_third: str


@pytest_asyncio.fixture(scope="module")
async def past(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Past]:
    folder = tmp_path_factory.mktemp("past")
    archive, backup = folder / "archive", folder / "backup"
    async with running_postgres(folder / "home", archive=archive, archive_seconds=1) as settings:
        KeyRing.from_settings(settings)
        database = Database.from_settings(settings)
        await write(settings, database, "first")
        await asyncio.to_thread(back_up, settings, backup)
        second_at = await write(settings, database, "second")
        before_third = await archived(settings, database, archive)
        await write(settings, database, "third")
        await archived(settings, database, archive)
        await database.close()
        yield Past(settings, backup, archive, second_at, before_third)


async def write(settings: Settings, database: Database, actor: str) -> datetime:
    """One record, with its anchor; PostgreSQL's time after it."""
    async with database.service() as connection:
        await append(connection, TENANT, [AuditRecord(actor=actor, action="tasks.submit", outcome="allowed")])
    async with database.service() as connection:
        file = AnchorFile(settings)
        file.prepare()
        file.append((await read_heads(connection)).true)
        at: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    return at


async def archived(settings: Settings, database: Database, archive: Path) -> str:
    """Wait until PostgreSQL by itself has archived all that it has written; the last file's name."""
    async with database.service() as connection:
        name = str((await connection.execute(select(func.pg_walfile_name(func.pg_current_wal_lsn())))).scalar_one())
    await until(lambda: list(archive.rglob(f"{name}.gz")), ARCHIVED_WITHIN)
    return name


def new_home(past: Past, folder: Path) -> Settings:
    """Another machine, with copies of what was on other disks: the archive, and the anchors as they were at the end."""
    shutil.copytree(past.archive, folder / "archive")
    shutil.copy2(past.settings.audit_anchor_file, folder / "anchors.jsonl")
    home = folder / "home"
    home.mkdir()
    return local_settings(home, archive=folder / "archive", archive_seconds=1, audit_anchor=folder / "anchors.jsonl")


async def brought_back(settings: Settings, wanted: Wanted) -> Restored:
    return await asyncio.to_thread(restore, settings, wanted)


async def who_wrote(settings: Settings) -> tuple[list[str], ChainReport]:
    """The actors of the restored chain, and what verifying it says."""
    await postgres.prepare(settings)
    async with running_part(postgres.part(settings), settings.home):
        database = Database.from_settings(settings)
        async with database.service() as connection:
            records = audit_records.c
            wanted = select(records.actor).where(records.tenant == TENANT).order_by(records.sequence)
            actors = list((await connection.execute(wanted)).scalars())
            report = await check_chain(connection, TENANT, read_anchors(settings))
        await database.close()
    return actors, report


async def test_until_a_time_what_came_later_is_gone_and_the_gap_has_a_name(past: Past, tmp_path: Path) -> None:
    settings = new_home(past, tmp_path)

    done = await brought_back(settings, Wanted(past.backup, past.second_at.isoformat(), without_engine=True))
    actors, report = await who_wrote(settings)

    assert actors == ["first", "second", "golden restore"]
    assert done.lost[TENANT] == 1
    assert report.intact, report.findings
    assert [(gap.epoch, gap.first, gap.last) for gap in report.epochs] == [(done.epoch, 3, 3)]


async def test_a_gap_of_the_archive_is_refused_or_restored_up_to_and_what_was_there_is_moved_aside(
    past: Past, tmp_path: Path
) -> None:
    settings = new_home(past, tmp_path)
    (settings.home / "keys").mkdir()
    (settings.home / "keys" / "mine").write_text("precious")
    third = max(path for path in (tmp_path / "archive").rglob("*.gz") if len(path.stem) == len(past.before_third))
    third.write_bytes(third.read_bytes()[:-20])

    with pytest.raises(RecoveryRefused, match="is damaged"):
        await brought_back(settings, Wanted(past.backup, without_engine=True))
    with pytest.raises(RecoveryRefused, match="--force"):
        await brought_back(settings, Wanted(past.backup, without_engine=True, accept_loss=True))
    done = await brought_back(settings, Wanted(past.backup, without_engine=True, accept_loss=True, force=True))
    actors, report = await who_wrote(settings)

    assert actors == ["first", "second", "golden restore"]
    assert report.intact, report.findings
    assert done.moved is not None
    assert (done.moved / "keys" / "mine").read_text() == "precious"


async def test_without_the_anchors_the_backups_are_taken_and_what_came_after_them_is_told_by_none(
    past: Past, tmp_path: Path
) -> None:
    settings = new_home(past, tmp_path)
    settings.audit_anchor_file.unlink()

    done = await brought_back(settings, Wanted(past.backup, AS_BACKED_UP, without_engine=True))
    actors, report = await who_wrote(settings)

    assert actors == ["first", "golden restore"]
    assert report.intact, report.findings
    assert done.lost[TENANT] == 0


@pytest.mark.parametrize("lost", ["the folder", "the key"])
async def test_without_the_keys_nothing_is_restored_and_nothing_changed(past: Past, tmp_path: Path, lost: str) -> None:
    settings, keys = new_home(past, tmp_path), tmp_path / "keys"
    keys.mkdir()
    if lost == "the key":
        other = local_settings(tmp_path / "other")
        KeyRing.from_settings(other)
        settings = settings.model_copy(update={"keys_file": other.keyring_file})
    wanted = Wanted(past.backup, without_engine=True, keys=keys if lost == "the folder" else None)

    with pytest.raises(RecoveryRefused, match=r"ring\.json"):
        await brought_back(settings, wanted)
    assert list(settings.home.iterdir()) == []
