"""The Ed25519 keys that sign access tokens, in files of `settings.keys_folder`.

`signing.pem` signs. Every `retired-*.pem` beside it is still accepted, until it is forgotten: so rotations overlap.
"""

import base64
import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from schema.errors import SettingsError

SIGNING_KEY = "signing.pem"
RETIRED_KEYS = "retired-*.pem"


@dataclass(frozen=True)
class SigningKey:
    """A private key and `kid`, the RFC 7638 thumbprint of its public half."""

    kid: str
    private: Ed25519PrivateKey


def ensure_signing_key(folder: Path) -> SigningKey:
    """The key that signs tokens; made if there is none. Processes that start at once agree on one."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _check_folder(folder)
    path = folder / SIGNING_KEY
    if not path.exists():
        _make_key(path)
    return _read_key(path)


def read_public_keys(folder: Path) -> dict[str, Ed25519PublicKey]:
    """Every public key whose tokens are accepted, by `kid`."""
    _check_folder(folder)
    keys = [_read_key(path) for path in _key_files(folder)]
    return {key.kid: key.private.public_key() for key in keys}


def rotate(folder: Path) -> SigningKey:
    """A new key signs from now on; the one that did is accepted until somebody forgets it."""
    with _changing(folder):
        old = ensure_signing_key(folder)
        # The second name comes first: whoever reads in between still finds the old key.
        with contextlib.suppress(FileExistsError):
            os.link(folder / SIGNING_KEY, folder / f"retired-{old.kid}.pem")
        write_secret_file(folder / SIGNING_KEY, _new_key())
        return ensure_signing_key(folder)


def forget(folder: Path, kid: str) -> None:
    """No token of this retired key is accepted any more, at any gateway, within seconds.

    Raises:
        SettingsError: it is the key that signs, or no key here.
    """
    with _changing(folder):
        if ensure_signing_key(folder).kid == kid:
            raise SettingsError(f"{kid} is the key that signs: rotate first, then forget it")
        found = [path for path in _key_files(folder) if _read_key(path).kid == kid]
        if not found:
            raise SettingsError(f"there is no key {kid!r} in {folder}")
        for path in found:
            path.unlink()


def public_jwk(kid: str, key: Ed25519PublicKey) -> dict[str, str]:
    """A public key as a member of a JWK set."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _raw_public(key), "kid": kid, "use": "sig", "alg": "EdDSA"}


def from_jwk(unverified_jwk: dict[str, str]) -> Ed25519PublicKey:
    """The public key of a JWK.

    Raises:
        KeyError, ValueError: it is no Ed25519 key.
    """
    if (unverified_jwk["kty"], unverified_jwk["crv"]) != ("OKP", "Ed25519"):
        raise ValueError("is no Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(f"{unverified_jwk['x']}="))


def thumbprint(key: Ed25519PublicKey) -> str:
    """RFC 7638: SHA-256 of the key's required members in alphabetical order."""
    canonical = f'{{"crv":"Ed25519","kty":"OKP","x":"{_raw_public(key)}"}}'
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def write_secret_file(path: Path, content: bytes) -> None:
    """Replace a file that only its owner may read, in one step."""
    draft = _write_draft(path, content)
    try:
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """One change at a time, or a key that has signed already could be lost."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _key_files(folder: Path) -> list[Path]:
    return [path for path in (folder / SIGNING_KEY, *sorted(folder.glob(RETIRED_KEYS))) if path.exists()]


def _check_folder(folder: Path) -> None:
    if stat.S_IMODE(folder.stat().st_mode) & 0o002:
        raise SettingsError(f"everybody can put keys into {folder}: run chmod 700 on it, and look at what is there")


def _new_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _make_key(path: Path) -> None:
    draft = _write_draft(path, _new_key())
    try:
        # A link, unlike a rename, never replaces the key that another process has just made.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _write_draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return draft


def _read_key(path: Path) -> SigningKey:
    if stat.S_IMODE(path.stat().st_mode) & 0o007:
        raise SettingsError(f"{path} can be read by everybody: run chmod 600 on it, and rotate it")
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except ValueError as error:
        raise SettingsError(f"{path} is not a private key in PEM: restore it, or move it away for a new one") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise SettingsError(f"{path} is not an Ed25519 key")
    return SigningKey(kid=thumbprint(private.public_key()), private=private)


def _raw_public(key: Ed25519PublicKey) -> str:
    return _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
