"""What a restore refuses: a damaged backup, one that was not finished, an archive with a gap."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.recovery import segment
from deploy.recovery.archive import faults
from deploy.recovery.manifest import NAME, HeldBook, Manifest, RecoveryRefused, held_files, verified

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SEGMENT_BYTES = 4 << 20
FIRST = "0000000100000000000003FE"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """A small backup with its manifest."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "ring.json").write_text("{}")
    book = HeldBook(system_identifier="1", first_segment=FIRST, segment_bytes=SEGMENT_BYTES, began_at=NOW)
    manifest = Manifest(
        name="a",
        head="0001",
        began_at=NOW,
        ended_at=NOW,
        book=book,
        engine=None,
        keys=True,
        anchors=False,
        files=tuple(held_files(tmp_path)),
    )
    (tmp_path / NAME).write_text(manifest.model_dump_json())
    return tmp_path


def archived(folder: Path, *names: str) -> Path:
    source = folder / "source"
    for name in names:
        source.write_bytes(name.encode() * 100)
        segment.put(folder, name, source)
    return folder


def test_a_backup_that_is_as_it_was_made_is_whole(backup: Path) -> None:
    assert [file.path for file in verified(backup).files] == ["keys/ring.json"]


@pytest.mark.parametrize("change", ["edit", "remove", "add", "unfinished"])
def test_a_backup_that_was_changed_or_not_finished_is_refused(backup: Path, change: str) -> None:
    if change == "edit":
        (backup / "keys" / "ring.json").write_text("{ }")
    elif change == "remove":
        (backup / "keys" / "ring.json").unlink()
    elif change == "add":
        (backup / "keys" / "other.json").write_text("{}")
    else:
        (backup / NAME).unlink()

    with pytest.raises(RecoveryRefused):
        verified(backup)


def test_an_archive_that_goes_on_over_the_end_of_a_log_file_and_a_timeline_has_no_gap(tmp_path: Path) -> None:
    archived(tmp_path, FIRST, "0000000100000000000003FF", "000000020000000100000000")

    assert faults(tmp_path, FIRST, SEGMENT_BYTES) == []


def test_a_file_that_the_archive_lost_is_named(tmp_path: Path) -> None:
    archived(tmp_path, FIRST, "000000010000000100000000")

    assert faults(tmp_path, FIRST, SEGMENT_BYTES) == ["0000000100000000000003FF is missing"]


def test_a_file_of_the_archive_that_was_cut_is_named(tmp_path: Path) -> None:
    kept = archived(tmp_path, FIRST) / f"{FIRST}.gz"
    kept.write_bytes(kept.read_bytes()[:-9])

    assert faults(tmp_path, FIRST, SEGMENT_BYTES) == [f"{FIRST}.gz is damaged"]


def test_what_is_archived_comes_back_and_is_never_written_over(tmp_path: Path) -> None:
    archived(tmp_path, FIRST)
    (tmp_path / "other").write_bytes(b"another history")

    with pytest.raises(ValueError, match="another history"):
        segment.put(tmp_path, FIRST, tmp_path / "other")
    segment.get(tmp_path, FIRST, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == FIRST.encode() * 100
