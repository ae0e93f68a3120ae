"""The key ring: the AES-256 keys that encrypt workflow payloads and database columns, in one file.

The file is JSON, readable by its owner only:

    {"active": "k-20261123-1f0c9a7e", "keys": {"k-20261123-1f0c9a7e": {"key": "…", "made": "2026-11-23T10:00:00Z"}}}

What is new is sealed with the active key, which its id names; every other key still opens what it sealed. A process
looks at the file before each use, so that a rotation needs no restart.
"""

import base64
import binascii
import contextlib
import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schema.errors import KeyMissing, SealBroken, SettingsError
from schema.keys import write_secret_file
from schema.settings import Settings

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger()


@dataclass(frozen=True)
class Sealed:
    """A nonce of 12 random bytes and the ciphertext with its tag, and the id of the key that opens it."""

    key_id: str
    content: bytes


@dataclass(frozen=True)
class RingKey:
    """A key as `golden keys list` shows it; `made` is ISO 8601."""

    key_id: str
    made: str
    active: bool


@dataclass(frozen=True)
class _Ring:
    active: str
    ciphers: dict[str, AESGCM]
    made: dict[str, str]


class KeyRing:
    """Seals and opens with the keys of one file."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            SettingsError: it is missing, is no key ring, or can be read by everybody.
        """
        self._path = path
        self._seen = _signature(path)
        self._ring = _read(path)

    @classmethod
    def from_settings(cls, settings: Settings) -> "KeyRing":
        """The ring that the settings name; the one in GOLDEN_HOME is made on first use, one named by hand never is."""
        path = settings.keyring_file
        if settings.keys_file is None and not path.exists():
            with contextlib.suppress(FileExistsError):
                _make_first(path)
        return cls(path)

    @property
    def keys(self) -> list[RingKey]:
        """Every key, the oldest first."""
        ring = self._current()
        made = sorted(ring.made.items(), key=lambda item: (item[1], item[0]))
        return [RingKey(key_id, at, key_id == ring.active) for key_id, at in made]

    def seal(self, content: bytes, context: bytes) -> Sealed:
        """Encrypt under the active key; it opens only with the same `context`."""
        ring = self._current()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return Sealed(
            ring.active, nonce + ring.ciphers[ring.active].encrypt(nonce, content, _bound(context, ring.active))
        )

    def open(self, sealed: Sealed, context: bytes) -> bytes:
        """Decrypt.

        Raises:
            KeyMissing: its key is not in the ring; it may be put back.
            SealBroken: it was changed, or sealed in another context.
        """
        cipher = self._current().ciphers.get(sealed.key_id)
        if cipher is None:
            if not KEY_ID.fullmatch(sealed.key_id):
                raise SealBroken("the id of a key is not one")
            log.error("key missing", key_id=sealed.key_id)
            raise KeyMissing(f"the key {sealed.key_id} is not in the key ring: put it back into GOLDEN_KEYS_FILE")
        nonce, content = sealed.content[:NONCE_BYTES], sealed.content[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, content, _bound(context, sealed.key_id))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"what the key {sealed.key_id} sealed was changed, or belongs elsewhere") from error

    def _current(self) -> _Ring:
        """The ring as the file has it now; a file that is away or spoilt leaves the ring as it was."""
        try:
            seen = _signature(self._path)
            if seen != self._seen:
                self._ring = _read(self._path)
                self._seen = seen
        except SettingsError as error:
            log.error("the key ring can't be read again: the last one stays", error=str(error))
        return self._ring


def rotate(path: Path) -> str:
    """Add a key to the ring in `path` and make it the active one; returns its id. A missing ring is begun."""
    with _alone(path):
        document = json.loads(path.read_text()) if path.exists() and _read(path) else {"keys": {}}
        key_id, entry = _new_key()
        document["keys"][key_id] = entry
        document["active"] = key_id
        write_secret_file(path, _text(document))
    return key_id


def _make_first(path: Path) -> None:
    """Begin a ring, unless another process has just done so."""
    with _alone(path):
        if path.exists():
            return
        key_id, entry = _new_key()
        write_secret_file(path, _text({"active": key_id, "keys": {key_id: entry}}))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time; readers see the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _new_key() -> tuple[str, dict[str, str]]:
    now = datetime.now(UTC)
    key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    return f"k-{now:%Y%m%d}-{secrets.token_hex(4)}", {"key": key, "made": now.isoformat()}


def _text(document: dict[str, object]) -> bytes:
    return f"{json.dumps(document, indent=1)}\n".encode()


def _signature(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise SettingsError(
            f"there is no key ring {path}: restore it, or begin one with `golden keys rotate`; "
            "what another ring has sealed stays closed without it"
        ) from error
    if stat.S_IMODE(found.st_mode) & 0o007:
        raise SettingsError(f"{path} can be read by everybody: run chmod 600 on it, and golden keys rotate")
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path) -> _Ring:
    _signature(path)
    try:
        document = json.loads(path.read_text())
        keys = {
            str(key_id): base64.b64decode(entry["key"], validate=True) for key_id, entry in document["keys"].items()
        }
        made = {str(key_id): str(entry.get("made", "")) for key_id, entry in document["keys"].items()}
        active = document["active"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        # Without its cause, which may quote the file.
        raise SettingsError(f"{path} is not a key ring: restore it from a copy") from None
    wrong = [key_id for key_id, key in keys.items() if len(key) != KEY_BYTES or not KEY_ID.fullmatch(key_id)]
    if wrong or active not in keys:
        raise SettingsError(f"{path} is not a key ring: each key has an id and 32 bytes, and one of them is active")
    return _Ring(active, {key_id: AESGCM(key) for key_id, key in keys.items()}, made)


def _bound(context: bytes, key_id: str) -> bytes:
    """The associated data: what is sealed opens only where it belongs, and by the key that it names."""
    return b"golden-1\0" + context + b"\0" + key_id.encode()
