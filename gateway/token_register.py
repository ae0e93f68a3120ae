"""The tokens that are known: those that were issued here, and those made offline, from the first time they are seen."""

from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.authorisation import EVERY_TENANT, Principal
from schema.audit import AuditRecord, append
from schema.database import Database
from schema.tables import tokens

REMEMBERED = 10_000
FIRST_USE = "token.first-use"


def transaction(database: Database, tenant: str) -> AbstractAsyncContextManager[AsyncConnection]:
    """A transaction on a tenant's tokens; the platform's are nobody's, and only the service role sees them."""
    return database.service() if tenant == EVERY_TENANT else database.tenant(tenant)


async def add_token(connection: AsyncConnection, holder: Principal, *, issued_by: str | None) -> bool:
    """Record a token; False where it is known."""
    added = await connection.execute(
        insert(tokens)
        .values(
            tenant=holder.tenant,
            jti=holder.jti,
            sub=holder.sub,
            role=holder.role,
            issued_at=datetime.fromtimestamp(holder.issued_at, UTC),
            expires_at=datetime.fromtimestamp(holder.expires_at, UTC),
            issued_by=issued_by,
        )
        .on_conflict_do_nothing()
        .returning(tokens.c.jti)
    )
    return added.scalar_one_or_none() is not None


class TokenRegister:
    """Records each of our tokens once; asks the database only for those that this gateway hasn't seen."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()

    async def note(self, holder: Principal, request_id: str | None) -> None:
        """A token of ours is used: at its very first use it is recorded and told to the audit log."""
        key = (holder.tenant, holder.jti)
        if key in self._seen:
            self._seen.move_to_end(key)
            return
        async with transaction(self._database, holder.tenant) as connection:
            if await add_token(connection, holder, issued_by=None):
                await append(connection, holder.tenant, [_first_use(holder, request_id)])
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)


def _first_use(holder: Principal, request_id: str | None) -> AuditRecord:
    return AuditRecord(
        actor=holder.sub,
        role=holder.role,
        action=FIRST_USE,
        object=holder.jti,
        outcome="allowed",
        reason="made offline",
        request_id=request_id,
    )
