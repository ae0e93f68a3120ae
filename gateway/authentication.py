"""Who asks: turns an unverified token into a principal, or says why not."""

import base64
import binascii
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.authorisation import EVERY_TENANT, ROLES, Principal
from gateway.strict_json import Malformed, parse_json
from gateway.tokens import ALGORITHM
from schema.keys import ensure_signing_key, read_public_keys
from schema.settings import Settings

MAX_TOKEN = 4096
LEEWAY_SECONDS = 30
LATEST_EXPIRY = 253_402_300_799
"""The last second of the year 9999: a later `exp` is an absurd number, not a date."""
KEYS_REREAD_SECONDS = 5.0

_SEGMENTS = re.compile(r"[A-Za-z0-9_-]{2,}(\.[A-Za-z0-9_-]{2,}){2}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_TOKEN_ID = re.compile(r"[\x21-\x7e]{1,200}")
_HEADERS = frozenset({"alg", "kid", "typ"})
_REQUIRED = ["iss", "aud", "sub", "exp", "iat", "jti", "role", "tenant"]


@dataclass(frozen=True)
class Refused:
    """No principal, and why; fit to be told to whoever sent the token."""

    reason: str


FindKey = Callable[[str], Ed25519PublicKey | None]


class KeyFolder:
    """The public keys of `settings.keys_folder` by `kid`; an unknown one is looked for again, but not too often."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.keys_folder
        ensure_signing_key(self._folder)
        self._keys = read_public_keys(self._folder)
        self._read_at = time.monotonic()

    @property
    def keys(self) -> dict[str, Ed25519PublicKey]:
        """As last read."""
        return dict(self._keys)

    def find(self, unverified_kid: str) -> Ed25519PublicKey | None:
        """The key of that id, if it is one of ours."""
        if unverified_kid not in self._keys and time.monotonic() - self._read_at > KEYS_REREAD_SECONDS:
            self._keys = read_public_keys(self._folder)
            self._read_at = time.monotonic()
        return self._keys.get(unverified_kid)


class Verifier:
    """The one place where tokens are believed."""

    def __init__(self, settings: Settings, find_key: FindKey) -> None:
        self._issuer = settings.issuer
        self._audience = settings.audience
        self._find_key = find_key

    def authenticate(self, unverified_token: str) -> Principal | Refused:
        """The principal of a token that is signed, in date and complete."""
        unverified_header = _read_header(unverified_token)
        if unverified_header is None:
            return Refused("the token is malformed")
        key = self._find_key(unverified_header["kid"])
        if key is None:
            return Refused("the token is signed with an unknown key")
        try:
            claims = jwt.decode(
                unverified_token,
                key,
                # Bound to the key, never taken from the token.
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED, "strict_aud": True},
            )
        except jwt.ExpiredSignatureError:
            return Refused("the token has expired")
        except jwt.PyJWTError:
            return Refused("the token is not valid here")
        return _read_principal(claims)


def _read_header(unverified_token: str) -> dict[str, Any] | None:
    """The header, if it is one of ours: EdDSA, a key id, and nothing that brings or points to a key."""
    if len(unverified_token) > MAX_TOKEN or not _SEGMENTS.fullmatch(unverified_token):
        return None
    header, claims = (_read_segment(segment) for segment in unverified_token.split(".")[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    if not set(header) <= _HEADERS or header.get("alg") != ALGORITHM or not isinstance(header.get("kid"), str):
        return None
    return header if header.get("typ", "JWT") == "JWT" else None


def _read_segment(segment: str) -> Any:
    try:
        return parse_json(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    except (Malformed, binascii.Error):
        return None


def _read_principal(claims: dict[str, Any]) -> Principal | Refused:
    """The library checks signatures and dates; what the claims may hold is for us to say."""
    for name in ("iat", "exp", "nbf"):
        value = claims.get(name, 0)
        if type(value) is not int or not 0 <= value <= LATEST_EXPIRY:
            return Refused(f"the token's {name} is not a time in whole seconds")
    sub, role, tenant, jti = (claims[name] for name in ("sub", "role", "tenant", "jti"))
    if not isinstance(sub, str) or not 1 <= len(sub) <= 200 or not sub.isprintable() or sub != sub.strip():
        return Refused("the token's sub is not 1 to 200 printable characters")
    if not isinstance(jti, str) or not _TOKEN_ID.fullmatch(jti):
        return Refused("the token's jti is not 1 to 200 visible characters")
    known = next((name for name in ROLES if name == role), None)
    if known is None:
        return Refused("the token's role is unknown")
    if not isinstance(tenant, str) or (tenant != EVERY_TENANT and not _TENANT.fullmatch(tenant)):
        return Refused("the token's tenant is not a tenant's name")
    return Principal(sub=sub, role=known, tenant=tenant, jti=jti)
