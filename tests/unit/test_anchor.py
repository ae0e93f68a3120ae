"""The file of signed heads: what is appended stays, several processes agree, and whatever is changed in it shows."""

import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from schema.anchor import Anchor, AnchorFile, audit_keys, read_anchors
from schema.audit import Head
from schema.errors import SettingsError
from schema.keys import ensure_signing_key, read_public_keys
from schema.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


@pytest.fixture
def file(settings: Settings) -> AnchorFile:
    made = AnchorFile(settings)
    made.prepare()
    return made


def head(sequence: int, tenant: str = "t1", salt: str = "") -> Head:
    return Head(tenant=tenant, sequence=sequence, hash=sha256(f"{tenant}{sequence}{salt}".encode()).hexdigest())


def test_what_was_anchored_is_read_back_without_a_fault(file: AnchorFile, settings: Settings) -> None:
    file.append([head(1), head(4, "t2")])
    file.append([head(3)])
    anchors = read_anchors(settings)

    assert anchors.present
    assert anchors.faults == []
    assert anchors.heads == {"t1": {1: head(1).hash, 3: head(3).hash}, "t2": {4: head(4, "t2").hash}}


def test_the_file_and_its_key_are_for_their_owner_only_and_no_token_is_signed_with_it(
    file: AnchorFile, settings: Settings
) -> None:
    ensure_signing_key(settings.keys_folder)

    assert stat.S_IMODE(settings.audit_anchor_file.stat().st_mode) == 0o600
    assert not set(read_public_keys(audit_keys(settings))) & set(read_public_keys(settings.keys_folder))


def test_two_processes_write_one_file_and_nothing_twice(settings: Settings) -> None:
    one, other = AnchorFile(settings), AnchorFile(settings)
    added = [one.append([head(1)]), other.append([head(1), head(2)]), one.append([head(2)]), one.append([head(3)])]
    anchors = read_anchors(settings)

    assert added == [1, 1, 0, 1]
    assert anchors.faults == []
    assert sorted(anchors.heads["t1"]) == [1, 2, 3]


def test_a_chain_that_went_back_is_not_anchored_again(file: AnchorFile, settings: Settings) -> None:
    file.append([head(5)])

    assert file.append([head(3, salt="rewritten")]) == 0
    assert AnchorFile(settings).append([head(5, salt="rewritten")]) == 0


def test_a_line_that_a_crash_left_unfinished_is_no_fault_once_somebody_goes_on(
    file: AnchorFile, settings: Settings
) -> None:
    file.append([head(1)])
    with settings.audit_anchor_file.open("ab") as torn:
        torn.write(b'{"tenant":"t1","seq')
    assert len(read_anchors(settings).faults) == 1
    AnchorFile(settings).append([head(2)])

    assert read_anchors(settings).faults == []
    assert sorted(read_anchors(settings).heads["t1"]) == [1, 2]


Change = Callable[[list[str]], list[str]]

CHANGES: dict[str, tuple[Change, str]] = {
    "edited": (lambda lines: [lines[0], lines[1].replace('"sequence":2', '"sequence":9'), *lines[2:]], "line 2"),
    "another hash": (lambda lines: [lines[0], lines[1].replace(head(2).hash, head(9).hash), *lines[2:]], "line 2"),
    "without its beginning": (lambda lines: lines[1:], "line 1"),
    "without its middle": (lambda lines: [lines[0], *lines[2:]], "line 2"),
    "in another order": (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1"),
    "with rubbish": (lambda lines: [*lines, "rubbish"], "line 5"),
    "cut in a line": (lambda lines: [*lines[:3], lines[3][:40]], "line 4"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_was_changed_says_where(name: str, file: AnchorFile, settings: Settings) -> None:
    for sequence in range(1, 5):
        file.append([head(sequence)])
    change, place = CHANGES[name]
    lines = settings.audit_anchor_file.read_text().splitlines()
    settings.audit_anchor_file.write_text("\n".join(change(lines)) + "\n")

    assert read_anchors(settings).faults[0].startswith(place)


def test_a_file_that_is_cut_under_a_running_gateway_shows_it(file: AnchorFile, settings: Settings) -> None:
    for sequence in range(1, 4):
        file.append([head(sequence)])
    lines = settings.audit_anchor_file.read_text().splitlines()
    settings.audit_anchor_file.write_text(lines[0] + "\n")
    file.append([head(4)])

    assert read_anchors(settings).faults == [
        "line 2 of the anchors does not follow the line before it: lines are missing or moved"
    ]


def test_a_head_signed_with_another_key_is_not_believed(file: AnchorFile, settings: Settings) -> None:
    foreign = settings.model_copy(update={"home": settings.home / "other", "audit_anchor": settings.audit_anchor_file})
    AnchorFile(foreign).append([head(1)])

    assert read_anchors(settings).faults == ["line 1 of the anchors is signed with a key that is not one of ours"]
    assert read_anchors(settings).heads == {}


def test_two_hashes_for_one_place_are_told(file: AnchorFile, settings: Settings) -> None:
    file.append([head(1)])
    previous = sha256(settings.audit_anchor_file.read_bytes().rstrip(b"\n")).hexdigest()
    key = ensure_signing_key(audit_keys(settings))
    given = Anchor.model_validate_json(settings.audit_anchor_file.read_bytes())
    other = given.model_copy(update={"hash": head(1, salt="x").hash, "previous": previous})
    signed = other.model_copy(update={"signature": key.private.sign(other.signed).hex()})
    with settings.audit_anchor_file.open("a") as anchors:
        anchors.write(signed.model_dump_json() + "\n")

    assert "another hash" in read_anchors(settings).faults[0]


def test_a_missing_file_is_told_as_such(settings: Settings) -> None:
    assert not read_anchors(settings).present


def test_a_place_that_cannot_be_written_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    elsewhere = settings.model_copy(update={"audit_anchor": tmp_path / "file" / "anchors"})

    with pytest.raises(SettingsError, match="GOLDEN_AUDIT_ANCHOR"):
        AnchorFile(elsewhere).prepare()
