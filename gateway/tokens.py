"""Makes access tokens, for whoever can read the signing key."""

import time
from datetime import timedelta

import jwt
from uuid_utils.compat import uuid7

from gateway.authorisation import Role
from schema.keys import ensure_signing_key, write_secret_file
from schema.settings import Settings

ALGORITHM = "EdDSA"
LOCAL_TTL = timedelta(days=30)


def issue_token(settings: Settings, *, sub: str, role: Role, tenant: str, ttl: timedelta) -> str:
    """A signed token for `sub`; the key is made if there is none yet."""
    key = ensure_signing_key(settings.keys_folder)
    now = int(time.time())
    claims = {
        "iss": settings.issuer,
        "aud": settings.audience,
        "sub": sub,
        "role": role,
        "tenant": tenant,
        "iat": now,
        "exp": now + int(ttl.total_seconds()),
        "jti": str(uuid7()),
    }
    return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers={"kid": key.kid})


def write_local_token(settings: Settings) -> None:
    """Make the CLI's token anew: sub `local`, role `admin`, tenant `default`, in `settings.token_file`."""
    token = issue_token(settings, sub="local", role="admin", tenant="default", ttl=LOCAL_TTL)
    write_secret_file(settings.token_file, f"{token}\n".encode())
