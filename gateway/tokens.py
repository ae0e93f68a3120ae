"""Makes access tokens, for whoever can read the signing key."""

import re
import time
from datetime import timedelta

import jwt
from uuid_utils.compat import uuid7

from gateway.authorisation import EVERY_TENANT, Principal, Role
from schema.keys import ensure_signing_key, write_secret_file
from schema.settings import Settings

ALGORITHM = "EdDSA"
LOCAL_TTL = timedelta(days=30)
MAX_TTL = timedelta(days=366)

_TTL = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0 ")
"""What is printable to Unicode and shows nothing: a subject of these alone would be nobody to see."""
_TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def issue_token(settings: Settings, *, sub: str, role: Role, tenant: str, ttl: timedelta) -> str:
    """A signed token for `sub`; the key is made if there is none yet."""
    return sign(settings, new_holder(sub=sub, role=role, tenant=tenant, ttl=ttl))


def new_holder(*, sub: str, role: Role, tenant: str, ttl: timedelta, not_before: int = 0) -> Principal:
    """Who a new token will be for, issued now, or at `not_before` (seconds since 1970) if that is later."""
    now = max(int(time.time()), not_before)
    expires = now + int(ttl.total_seconds())
    return Principal(sub=sub, role=role, tenant=tenant, jti=str(uuid7()), issued_at=now, expires_at=expires)


def sign(settings: Settings, holder: Principal) -> str:
    """The token of a holder. Signatures are deterministic: the same holder and key give the same token."""
    key = ensure_signing_key(settings.keys_folder)
    claims = {
        "iss": settings.own_issuer,
        "aud": settings.audience,
        "sub": holder.sub,
        "role": holder.role,
        "tenant": holder.tenant,
        "iat": holder.issued_at,
        "exp": holder.expires_at,
        "jti": holder.jti,
    }
    return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.kid})


def write_local_token(settings: Settings) -> None:
    """Make the CLI's token anew: sub `local`, role `admin`, tenant `default`, in `settings.token_file`."""
    token = issue_token(settings, sub="local", role="admin", tenant="default", ttl=LOCAL_TTL)
    write_secret_file(settings.token_file, f"{token}\n".encode())


def parse_ttl(text: str) -> timedelta:
    """A token's life from a text such as `12h`.

    Raises:
        ValueError: it isn't one, or more than a year.
    """
    match = _TTL.fullmatch(text)
    ttl = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else timedelta()
    if not timedelta() < ttl <= MAX_TTL:
        raise ValueError(f"must be digits and s, m, h or d, to {MAX_TTL.days}d, for example 12h")
    return ttl


def check_subject(text: str) -> str:
    """`text` as who somebody is.

    Raises:
        ValueError: it can't be told to people and logs.
    """
    if not is_subject(text):
        raise ValueError("must be 1 to 200 printable characters")
    return text


def is_subject(text: str) -> bool:
    """Whether it can be told to people and logs as who somebody is."""
    return 1 <= len(text) <= 200 and text.isprintable() and text == text.strip() and not set(text) <= _BLANKS


def is_tenant(text: str) -> bool:
    """Whether it is a tenant's name, or the platform's."""
    return text == EVERY_TENANT or _TENANT.fullmatch(text) is not None
