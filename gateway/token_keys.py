"""The keys that tokens are verified with, each bound to its algorithms; and our own, read again as they change."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from schema.errors import SettingsError
from schema.keys import ensure_signing_key, read_public_keys
from schema.settings import Settings

REREAD_SECONDS = 1.0
STALE_SECONDS = 30.0
"""How long keys are believed that can't be read again."""

PublicKey = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey
Clock = Callable[[], float]

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class VerifyingKey:
    """A public key and the one algorithm that its tokens may name."""

    public: PublicKey
    algorithm: str


class KeySource(Protocol):
    """The keys of one issuer."""

    def find(self, unverified_kid: str) -> VerifyingKey | None:
        """The key of that id, if there is one."""


class KeyFolder:
    """Our own public keys by `kid`, from `settings.keys_folder`.

    Read again once a second where they are asked for, so that a rotation needs no restart and what is forgotten goes.
    """

    def __init__(self, settings: Settings, clock: Clock = time.monotonic) -> None:
        self._folder = settings.keys_folder
        self._clock = clock
        ensure_signing_key(self._folder)
        self._keys = read_public_keys(self._folder)
        self._read_at = self._tried_at = clock()

    @property
    def keys(self) -> dict[str, Ed25519PublicKey]:
        """Every key that is accepted now."""
        self._read_again()
        return dict(self._keys)

    def find(self, unverified_kid: str) -> VerifyingKey | None:
        """The key of that id, if it is one of ours."""
        self._read_again()
        public = self._keys.get(unverified_kid)
        return VerifyingKey(public, "EdDSA") if public else None

    def _read_again(self) -> None:
        now = self._clock()
        if now - self._tried_at < REREAD_SECONDS:
            return
        self._tried_at = now
        try:
            found = read_public_keys(self._folder)
        except (SettingsError, OSError) as error:
            log.error("the keys of tokens cannot be read", error=type(error).__name__)
            if now - self._read_at > STALE_SECONDS:
                self._keys = {}
            return
        if found.keys() != self._keys.keys():
            log.info("the keys of tokens have changed", kids=sorted(found))
        self._keys, self._read_at = found, now
