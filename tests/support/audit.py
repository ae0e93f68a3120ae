"""What the audit log holds, for tests."""

from sqlalchemy import select

from schema.audit import ChainedRecord
from schema.database import Database
from schema.tables import audit_records


async def chain_of(database: Database, tenant: str) -> list[ChainedRecord]:
    """A tenant's whole chain, oldest first."""
    async with database.service() as connection:
        rows = await connection.execute(
            select(audit_records).where(audit_records.c.tenant == tenant).order_by(audit_records.c.sequence)
        )
        return [ChainedRecord.model_validate(dict(row._mapping)) for row in rows]


async def acts_of(database: Database, tenant: str) -> list[ChainedRecord]:
    """A tenant's chain without the records of tokens that were seen for the first time."""
    return [record for record in await chain_of(database, tenant) if record.action != "token.first-use"]
