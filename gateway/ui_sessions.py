"""Links that work once, and the browser sessions that they become: each stands for the token that asked for it.

A session is no right of its own. With every request its token is judged as if it had been sent, so that a session ends
when its token expires or is revoked. The database holds neither link, cookie nor token: a row's id is a hash of the
secret, and the token is encrypted with another hash of it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from schema.keyring import NONCE_BYTES
from schema.tables import ui_sessions

LINK_TTL = timedelta(seconds=60)
SESSION_TTL = timedelta(hours=1)
SECRET_BYTES = 32
MAX_SECRET = 64

Kind = Literal["link", "session"]


@dataclass(frozen=True)
class Bearer:
    """Whom a link or a session stands for.

    Attributes:
        unverified_token: as it was when they asked for the link; it may have ended since.
        tenant: the one that they meant; `named` where their token is for every tenant.
    """

    unverified_token: str
    tenant: str
    sub: str
    named: bool = False


async def begin(connection: AsyncConnection, kind: Kind, bearer: Bearer) -> str:
    """Make a link or a session and return its secret; what has expired is swept away."""
    await connection.execute(delete(ui_sessions).where(ui_sessions.c.expires_at < func.now()))
    secret = secrets.token_urlsafe(SECRET_BYTES)
    ttl = LINK_TTL if kind == "link" else SESSION_TTL
    await connection.execute(
        insert(ui_sessions).values(
            id=_id(secret),
            tenant=bearer.tenant,
            sub=bearer.sub,
            kind=kind,
            named=bearer.named,
            token=_seal(secret, bearer.unverified_token),
            expires_at=func.now() + ttl,
        )
    )
    return secret


async def spend_link(connection: AsyncConnection, unverified_code: str) -> Bearer | None:
    """Whom a link stands for, once; None for one that is spent, too old or made up."""
    spent = await connection.execute(
        delete(ui_sessions)
        .where(
            ui_sessions.c.id == _id(unverified_code),
            ui_sessions.c.kind == "link",
            ui_sessions.c.expires_at > func.now(),
        )
        .returning(ui_sessions.c.token, ui_sessions.c.tenant, ui_sessions.c.sub, ui_sessions.c.named)
    )
    row = spent.one_or_none()
    return None if row is None else Bearer(_unseal(unverified_code, row.token), row.tenant, row.sub, row.named)


async def find(connection: AsyncConnection, kind: Kind, unverified_secret: str) -> Bearer | None:
    """Whom a link or a session stands for, if there is one; it stays as it is."""
    found = await connection.execute(
        select(ui_sessions.c.token, ui_sessions.c.tenant, ui_sessions.c.sub, ui_sessions.c.named).where(
            ui_sessions.c.id == _id(unverified_secret),
            ui_sessions.c.kind == kind,
            ui_sessions.c.expires_at > func.now(),
        )
    )
    row = found.one_or_none()
    return None if row is None else Bearer(_unseal(unverified_secret, row.token), row.tenant, row.sub, row.named)


async def end_all(connection: AsyncConnection, tenant: str, sub: str) -> int:
    """End every link and session of somebody; how many there were."""
    ended = await connection.execute(
        delete(ui_sessions)
        .where(ui_sessions.c.tenant == tenant, ui_sessions.c.sub == sub, ui_sessions.c.expires_at > func.now())
        .returning(ui_sessions.c.id)
    )
    return len(ended.all())


def _id(secret: str) -> str:
    return hashlib.sha256(b"id\0" + secret.encode("utf-8", "replace")).hexdigest()


def _cipher(secret: str) -> AESGCM:
    # The secret has 256 random bits: a plain hash of it is as good a key as any.
    return AESGCM(hashlib.sha256(b"key\0" + secret.encode("utf-8", "replace")).digest())


def _seal(secret: str, token: str) -> bytes:
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(secret).encrypt(nonce, token.encode(), None)


def _unseal(secret: str, sealed: bytes) -> str:
    return _cipher(secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None).decode()
