"""The keys that sign tokens: who may read them, how they rotate, and how a gateway notices."""

import multiprocessing
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.authorisation import Principal
from gateway.token_keys import REREAD_SECONDS, STALE_SECONDS, KeyFolder
from gateway.token_reader import Issuer, Refused, TokenReader
from gateway.token_rules import own_rules
from gateway.tokens import issue_token, write_local_token
from schema.errors import SettingsError
from schema.keys import ensure_signing_key, forget, read_public_keys, rotate
from schema.settings import Settings
from tests.support.clock import Clock


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(settings: Settings, clock: Clock) -> KeyFolder:
    return KeyFolder(settings, clock)


@pytest.fixture
def reader(settings: Settings, keys: KeyFolder) -> TokenReader:
    return TokenReader([Issuer(own_rules(settings), keys)])


def make_token(settings: Settings) -> str:
    return issue_token(settings, sub="ann", role="developer", tenant="t1", ttl=timedelta(hours=1))


def test_after_a_rotation_old_and_new_tokens_are_believed_by_a_gateway_that_runs(
    settings: Settings, reader: TokenReader, keys: KeyFolder, clock: Clock
) -> None:
    old = make_token(settings)

    kid = rotate(settings.keys_folder).kid
    clock.now += REREAD_SECONDS
    new = make_token(settings)

    outcomes = [reader.read(token) for token in (old, new)]
    assert [type(outcome) for outcome in outcomes] == [Principal, Principal]
    assert [outcome.kid == kid for outcome in outcomes if isinstance(outcome, Principal)] == [False, True]
    assert len(keys.keys) == 2


def test_a_forgotten_key_is_dropped_by_a_gateway_that_runs(
    settings: Settings, reader: TokenReader, clock: Clock
) -> None:
    old, old_kid = make_token(settings), ensure_signing_key(settings.keys_folder).kid
    rotate(settings.keys_folder)
    holder = reader.read(old)
    assert isinstance(holder, Principal)
    assert reader.knows_key_of(holder)

    forget(settings.keys_folder, old_kid)
    clock.now += REREAD_SECONDS

    assert isinstance(reader.read(old), Refused)
    assert not reader.knows_key_of(holder)


def test_many_rotations_keep_every_key_until_it_is_forgotten(settings: Settings) -> None:
    kids = [ensure_signing_key(settings.keys_folder).kid, *(rotate(settings.keys_folder).kid for _ in range(3))]

    assert set(read_public_keys(settings.keys_folder)) == set(kids)
    forget(settings.keys_folder, kids[1])
    assert set(read_public_keys(settings.keys_folder)) == set(kids) - {kids[1]}


def test_the_key_that_signs_is_not_forgotten_and_an_unknown_one_is_told(settings: Settings) -> None:
    kid = ensure_signing_key(settings.keys_folder).kid

    with pytest.raises(SettingsError, match="rotate first"):
        forget(settings.keys_folder, kid)
    with pytest.raises(SettingsError, match="there is no key 'x'"):
        forget(settings.keys_folder, "x")
    assert ensure_signing_key(settings.keys_folder).kid == kid


def test_keys_that_can_no_longer_be_read_are_believed_for_half_a_minute_only(
    settings: Settings, reader: TokenReader, clock: Clock
) -> None:
    token = make_token(settings)
    (settings.keys_folder / "signing.pem").chmod(0o644)

    clock.now += STALE_SECONDS
    assert isinstance(reader.read(token), Principal)
    clock.now += REREAD_SECONDS
    assert isinstance(reader.read(token), Refused)

    (settings.keys_folder / "signing.pem").chmod(0o600)
    clock.now += REREAD_SECONDS
    assert isinstance(reader.read(token), Principal)


def test_the_folder_is_not_read_for_every_request(
    settings: Settings, reader: TokenReader, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = make_token(settings)
    reads: list[Path] = []

    def counting(folder: Path) -> dict[str, object]:
        reads.append(folder)
        return dict(read_public_keys(folder))

    monkeypatch.setattr("gateway.token_keys.read_public_keys", counting)
    for _ in range(100):
        clock.now += REREAD_SECONDS / 50
        assert isinstance(reader.read(token), Principal)

    assert 1 <= len(reads) <= 3


def test_keys_and_tokens_are_readable_by_their_owner_only(settings: Settings) -> None:
    write_local_token(settings)
    rotate(settings.keys_folder)

    paths = [settings.keys_folder, settings.token_file, *settings.keys_folder.iterdir()]
    assert len(paths) == 4
    assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in paths] == ["0o700", *["0o600"] * 3]


def test_a_key_that_everybody_can_read_is_refused(settings: Settings) -> None:
    ensure_signing_key(settings.keys_folder)
    (settings.keys_folder / "signing.pem").chmod(0o644)

    with pytest.raises(SettingsError, match="can be read by everybody"):
        KeyFolder(settings)


def test_a_folder_into_which_everybody_can_put_keys_is_refused(settings: Settings) -> None:
    ensure_signing_key(settings.keys_folder)
    settings.keys_folder.chmod(0o777)

    with pytest.raises(SettingsError, match="everybody can put keys into"):
        KeyFolder(settings)


def _kid_of(folder: Path) -> str:
    return ensure_signing_key(folder).kid


def _rotated(folder: Path) -> str:
    return rotate(folder).kid


def test_processes_that_start_at_once_agree_on_one_key(settings: Settings) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        kids = pool.map(_kid_of, [settings.keys_folder] * 8)

    assert len(set(kids)) == 1
    assert sorted(path.name for path in settings.keys_folder.iterdir()) == ["signing.pem"]


def test_rotations_at_once_lose_no_key(settings: Settings) -> None:
    first = ensure_signing_key(settings.keys_folder).kid
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        kids = pool.map(_rotated, [settings.keys_folder] * 8)

    assert set(read_public_keys(settings.keys_folder)) == {first, *kids}
    assert len(set(kids)) == 8
