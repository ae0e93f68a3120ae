"""What is known of a token: from its row, or from whom it was issued for."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, Select, and_, func, or_, select

from gateway.authorisation import Principal, Role
from schema.messages.base import Message
from schema.tables import revocations, tokens


class TokenView(Message):
    """What is known of a token; never the token. Times are in seconds since 1970, as in the token.

    Attributes:
        issued_by: none for a token that was made offline and has been seen since.
    """

    jti: str
    sub: str
    role: str
    tenant: str
    iat: int
    exp: int
    issued_by: str | None = None
    revoked_at: datetime | None = None


def select_views() -> Select[Any]:
    """Tokens, each with the time at which it was revoked in whatever way."""
    revoked_at = (
        select(func.min(revocations.c.revoked_at))
        .where(
            revocations.c.tenant == tokens.c.tenant,
            or_(
                revocations.c.jti == tokens.c.jti,
                and_(
                    revocations.c.issued_before > tokens.c.issued_at,
                    or_(revocations.c.sub.is_(None), revocations.c.sub == tokens.c.sub),
                ),
            ),
        )
        .scalar_subquery()
    )
    return select(tokens, revoked_at.label("revoked_at"))


def view_of_row(row: Row[Any]) -> TokenView:
    """A token as the database has it, of a row of `select_views`."""
    return TokenView(
        jti=row.jti,
        sub=row.sub,
        role=row.role,
        tenant=row.tenant,
        iat=int(row.issued_at.timestamp()),
        exp=int(row.expires_at.timestamp()),
        issued_by=row.issued_by,
        revoked_at=row.revoked_at,
    )


def view_of_holder(holder: Principal, issued_by: str) -> TokenView:
    """A token that `issued_by` has just issued."""
    return TokenView(
        jti=holder.jti,
        sub=holder.sub,
        role=holder.role,
        tenant=holder.tenant,
        iat=holder.issued_at,
        exp=holder.expires_at,
        issued_by=issued_by,
    )


def holder_of(view: TokenView) -> Principal:
    """Whom a known token is for."""
    role = cast(Role, view.role)
    return Principal(sub=view.sub, role=role, tenant=view.tenant, jti=view.jti, issued_at=view.iat, expires_at=view.exp)
