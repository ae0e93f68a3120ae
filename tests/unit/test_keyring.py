"""The key ring: who may read it, how it is rotated under running processes, and what it refuses."""

import base64
import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import keyring
from schema.columns import MARK, seal, unseal
from schema.errors import GoldenError, KeyMissing, RetryableError, SealBroken, SettingsError
from schema.keyring import KeyRing, Sealed
from schema.settings import Settings

HERE = b"here"


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    return KeyRing.from_settings(Settings(home=tmp_path))


def file_of(tmp_path: Path) -> Path:
    return Settings(home=tmp_path).keyring_file


def remove_key(path: Path, key_id: str) -> None:
    document = json.loads(path.read_text())
    del document["keys"][key_id]
    path.write_text(json.dumps(document))


def test_it_is_made_on_first_use_for_its_owner_only(tmp_path: Path, ring: KeyRing) -> None:
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    (key,) = ring.keys
    assert key.active
    assert len(base64.b64decode(json.loads(file_of(tmp_path).read_text())["keys"][key.key_id]["key"])) == 32


def test_processes_that_start_at_once_agree_on_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        rings = list(threads.map(lambda _: KeyRing.from_settings(Settings(home=tmp_path)), range(8)))
    assert len({ring.seal(b"", HERE).key_id for ring in rings}) == 1


def test_one_that_was_named_by_hand_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="golden keys rotate"):
        KeyRing.from_settings(Settings(home=tmp_path, keys_file=tmp_path / "mounted.json"))


def test_one_that_everybody_can_read_is_refused(tmp_path: Path, ring: KeyRing) -> None:
    file_of(tmp_path).chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        KeyRing.from_settings(Settings(home=tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"active": "a", "keys": {}}',
        '{"active": "a", "keys": {"a": {"key": "c2hvcnQ="}}}',
        '{"active": "a b", "keys": {"a b": {"key": "' + base64.b64encode(bytes(32)).decode() + '"}}}',
        '{"active": "a", "keys": {"a": {"key": "SECRET not base64"}}}',
    ],
)
def test_what_is_no_ring_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ring.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="is not a key ring") as told:
        KeyRing(path)
    assert "SECRET" not in str(told.value)


@given(content=st.binary(max_size=3_000), context=st.binary(max_size=50))
def test_what_is_sealed_opens_to_the_same(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, context: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "given.json"
    if not path.exists():
        keyring.rotate(path)
    ring = KeyRing(path)
    assert ring.open(ring.seal(content, context), context) == content


def test_nonces_are_twelve_bytes_and_never_the_same(ring: KeyRing) -> None:
    sealed = [ring.seal(b"the same", HERE).content for _ in range(2_000)]
    assert len({content[:12] for content in sealed}) == 2_000
    assert {len(content) for content in sealed} == {12 + len(b"the same") + 16}


def test_every_changed_bit_is_noticed(ring: KeyRing) -> None:
    sealed = ring.seal(b"text", HERE)
    for place in range(len(sealed.content)):
        content = bytearray(sealed.content)
        content[place] ^= 1
        with pytest.raises(SealBroken):
            ring.open(Sealed(sealed.key_id, bytes(content)), HERE)
    for length in range(len(sealed.content)):
        with pytest.raises(SealBroken):
            ring.open(Sealed(sealed.key_id, sealed.content[:length]), HERE)


def test_it_opens_only_in_its_context_and_by_its_own_key(tmp_path: Path, ring: KeyRing) -> None:
    sealed = ring.seal(b"text", HERE)
    with pytest.raises(SealBroken):
        ring.open(sealed, b"elsewhere")
    # The same bytes of key under another name: the name is bound too.
    document = json.loads(file_of(tmp_path).read_text())
    document["keys"]["alias"] = document["keys"][sealed.key_id]
    file_of(tmp_path).write_text(json.dumps(document))
    with pytest.raises(SealBroken):
        ring.open(Sealed("alias", sealed.content), HERE)


def test_a_rotation_reaches_rings_that_are_in_use_and_old_keys_still_open(tmp_path: Path, ring: KeyRing) -> None:
    old = ring.seal(b"old", HERE)
    key_id = keyring.rotate(file_of(tmp_path))
    new = ring.seal(b"new", HERE)
    assert (old.key_id != key_id, new.key_id) == (True, key_id)
    assert (ring.open(old, HERE), ring.open(new, HERE)) == (b"old", b"new")
    assert [key.active for key in ring.keys] == [False, True]
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600


def test_rotations_at_once_lose_no_key(tmp_path: Path, ring: KeyRing) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: keyring.rotate(file_of(tmp_path)), range(8)))
    assert made < {key.key_id for key in ring.keys}


def test_a_missing_key_is_named_and_may_be_put_back(tmp_path: Path, ring: KeyRing) -> None:
    sealed, kept = ring.seal(b"text", HERE), file_of(tmp_path).read_text()
    keyring.rotate(file_of(tmp_path))
    remove_key(file_of(tmp_path), sealed.key_id)
    with pytest.raises(KeyMissing, match=sealed.key_id) as told:
        ring.open(sealed, HERE)
    assert isinstance(told.value, RetryableError)
    file_of(tmp_path).write_text(kept)
    assert ring.open(sealed, HERE) == b"text"


def test_a_file_that_is_spoilt_or_away_leaves_a_running_process_its_keys(tmp_path: Path, ring: KeyRing) -> None:
    sealed = ring.seal(b"text", HERE)
    file_of(tmp_path).write_text("half a fi")
    assert ring.open(sealed, HERE) == b"text"
    file_of(tmp_path).unlink()
    assert ring.open(ring.seal(b"more", HERE), HERE) == b"more"


def test_the_id_of_a_key_that_somebody_made_up_is_not_repeated(ring: KeyRing) -> None:
    with pytest.raises(SealBroken) as told:
        ring.open(Sealed("\x1b[31m evil", b""), HERE)
    assert "evil" not in str(told.value)


def test_a_column_takes_its_own_values_only(ring: KeyRing) -> None:
    stored = seal(ring, "the text", "texts.body")
    assert stored.startswith(MARK)
    assert "the text" not in stored
    assert unseal(ring, stored, "texts.body") == "the text"
    with pytest.raises(SealBroken):
        unseal(ring, stored, "tasks.title")


def test_a_column_reads_what_was_written_before_there_was_a_ring(ring: KeyRing) -> None:
    assert unseal(ring, "clear", "texts.body") == "clear"


@pytest.mark.parametrize("stored", [MARK, f"{MARK}k", f"{MARK}k:", f"{MARK}k:!", f"{MARK}k:AAAA", f"{MARK}:AAAA"])
def test_a_spoilt_column_value_is_an_error_of_ours(ring: KeyRing, stored: str) -> None:
    with pytest.raises(GoldenError):
        unseal(ring, stored, "texts.body")


def golden(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "gateway.cli", *arguments)
    environment = {**os.environ, "GOLDEN_HOME": str(tmp_path)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_line_rotates_and_lists_and_shows_no_key(tmp_path: Path, ring: KeyRing) -> None:
    first = ring.keys[0].key_id
    second = golden(tmp_path, "keys", "rotate").stdout.strip()
    listed = golden(tmp_path, "keys", "list")
    shown = json.loads(golden(tmp_path, "keys", "list", "--json").stdout)["items"]
    assert [(key["key_id"], key["active"]) for key in shown] == [(first, False), (second, True)]
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [first, second]
    assert ring.seal(b"", HERE).key_id == second
    for entry in json.loads(file_of(tmp_path).read_text())["keys"].values():
        assert entry["key"] not in listed.stdout + str(shown)


def test_the_command_line_says_where_a_ring_is_missing(tmp_path: Path) -> None:
    refused = golden(tmp_path, "keys", "list")
    assert refused.returncode == 2
    assert "golden keys rotate" in refused.stderr
