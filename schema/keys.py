"""The Ed25519 keys that sign access tokens, in files of `settings.keys_folder`.

`signing.pem` signs. Every `retired-*.pem` beside it is still accepted, so that a rotation can overlap.
"""

import base64
import contextlib
import hashlib
import os
import secrets
import stat
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
    path = folder / SIGNING_KEY
    if not path.exists():
        _make_key(path)
    return _read_key(path)


def read_public_keys(folder: Path) -> dict[str, Ed25519PublicKey]:
    """Every public key whose tokens are accepted, by `kid`."""
    paths = [folder / SIGNING_KEY, *sorted(folder.glob(RETIRED_KEYS))]
    keys = [_read_key(path) for path in paths if path.exists()]
    return {key.kid: key.private.public_key() for key in keys}


def public_jwk(kid: str, key: Ed25519PublicKey) -> dict[str, str]:
    """A public key as a member of a JWK set."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _raw_public(key), "kid": kid, "use": "sig", "alg": "EdDSA"}


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


def _make_key(path: Path) -> None:
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = _write_draft(path, content)
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
