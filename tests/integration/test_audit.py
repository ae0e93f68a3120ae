"""The audit chains on a real PostgreSQL: one chain a tenant, never forked, never changed, the same hash in Python."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from schema.audit import GENESIS, PLATFORM, AuditRecord, ChainedRecord, append, payload_digest, recompute
from schema.database import Database
from schema.tables import audit_heads, audit_records
from tests.support.audit import chain_of
from tests.support.http import tenant_name

RECORD = AuditRecord(actor="ann", role="admin", action="tasks.submit", object="1", outcome="allowed")

# Whatever a header, a token or a program may hold, and what PostgreSQL can't.
odd_text = st.text(max_size=40) | st.sampled_from(
    ["", "'", '"', "\\", "a\nb", "\x00", "\ud800", "1:a,", "-,", "'; DROP TABLE tasks; --", "é\u202e\U0001f600", "null"]
)
odd_records = st.builds(
    AuditRecord,
    actor=odd_text,
    role=st.none() | odd_text,
    action=odd_text,
    object=st.none() | odd_text,
    outcome=odd_text,
    reason=st.none() | odd_text,
    request_id=st.none() | odd_text,
    trace_id=st.none() | odd_text,
    digest=st.none() | st.builds(payload_digest, odd_text.filter(lambda value: value.isprintable())),
)


def assert_unbroken(chain: Sequence[ChainedRecord]) -> None:
    previous = GENESIS
    for place, record in enumerate(chain, start=1):
        assert (record.sequence, record.previous) == (place, previous)
        assert recompute(record, previous) == record.hash
        previous = record.hash


async def append_one(database: Database, tenant: str, record: AuditRecord = RECORD) -> int:
    async with database.tenant(tenant) as connection:
        return await append(connection, tenant, [record])


@profile(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(odd_records, max_size=3))
async def test_sql_and_python_agree_on_the_hash_of_anything(database: Database, records: list[AuditRecord]) -> None:
    tenant = tenant_name()
    async with database.tenant(tenant) as connection:
        assert await append(connection, tenant, records) == len(records)
    chain = await chain_of(database, tenant)
    assert_unbroken(chain)
    assert [AuditRecord(**each.model_dump(include=set(AuditRecord.model_fields))) for each in chain] == records


async def test_a_group_is_appended_in_its_order_and_a_later_one_goes_on(database: Database) -> None:
    tenant = tenant_name()
    for group in (("a", "b", "c"), ("d",)):
        async with database.tenant(tenant) as connection:
            await append(connection, tenant, [RECORD.model_copy(update={"action": name}) for name in group])
    chain = await chain_of(database, tenant)
    assert_unbroken(chain)
    assert [record.action for record in chain] == ["a", "b", "c", "d"]
    assert [record.at for record in chain] == sorted(record.at for record in chain)
    async with database.tenant(tenant) as connection:
        head = (await connection.execute(select(audit_heads))).one()
    assert (head.sequence, head.hash) == (4, chain[-1].hash)


async def test_fifty_racing_appends_are_one_chain_without_a_fork_or_a_gap(database: Database) -> None:
    tenant = tenant_name()
    await asyncio.gather(*(append_one(database, tenant) for _ in range(50)))
    chain = await chain_of(database, tenant)
    assert_unbroken(chain)
    assert len(chain) == 50


async def test_a_record_is_kept_only_if_its_act_is(database: Database) -> None:
    tenant = tenant_name()
    async with database.tenant(tenant) as connection:
        await append(connection, tenant, [RECORD])
        await connection.rollback()
    assert await append_one(database, tenant) == 1


async def test_every_field_counts_for_the_hash(database: Database) -> None:
    tenant = tenant_name()
    await append_one(database, tenant, RECORD.model_copy(update={"reason": "r", "digest": payload_digest({})}))
    (record,) = await chain_of(database, tenant)
    changes: dict[str, Any] = {
        **dict.fromkeys(("tenant", "actor", "role", "action", "object", "outcome", "reason"), "x"),
        **{"request_id": "", "trace_id": "", "digest": None, "sequence": 2, "at": datetime.now(UTC)},
    }
    assert set(changes) == set(ChainedRecord.model_fields) - {"previous", "hash"}
    for field, value in changes.items():
        assert recompute(record.model_copy(update={field: value}), GENESIS) != record.hash
    assert recompute(record, record.hash) != record.hash


async def test_nobody_but_the_function_writes_and_nobody_changes(database: Database, owner: AsyncEngine) -> None:
    tenant = tenant_name()
    await append_one(database, tenant)
    (record,) = await chain_of(database, tenant)
    forged = record.model_copy(update={"sequence": 2}).model_dump()
    attempts = (
        insert(audit_records).values(**forged),
        update(audit_records).where(audit_records.c.tenant == tenant).values(actor="eve"),
        delete(audit_records).where(audit_records.c.tenant == tenant),
        delete(audit_records).where(audit_records.c.tenant == "nobody"),
        text("TRUNCATE audit_records"),
        insert(audit_heads).values(tenant="eve", sequence=0, hash=GENESIS),
        update(audit_heads).where(audit_heads.c.tenant == tenant).values(sequence=0, hash=GENESIS),
        delete(audit_heads).where(audit_heads.c.tenant == tenant),
        text("TRUNCATE audit_heads"),
    )
    for attempt in attempts:
        for way in (database.tenant(tenant), database.service()):
            with pytest.raises(DBAPIError, match="permission denied"):
                async with way as connection:
                    await connection.execute(attempt)
    for attempt in [each for each in attempts if not each.is_insert]:
        with pytest.raises(DBAPIError, match="stays as it is"):
            async with owner.begin() as connection:
                await connection.execute(attempt)
    assert await chain_of(database, tenant) == [record]


async def test_a_tenant_neither_reads_nor_appends_to_another_chain(database: Database) -> None:
    mine, other = tenant_name(), tenant_name()
    await append_one(database, other)
    async with database.service() as connection:
        await append(connection, PLATFORM, [RECORD])
    for foreign in (other, PLATFORM):
        with pytest.raises(DBAPIError, match="its own audit chain only"):
            async with database.tenant(mine) as connection:
                await append(connection, foreign, [RECORD])
    # The tenant role may call itself what it likes, but not the platform.
    with pytest.raises(DBAPIError, match="its own audit chain only"):
        await append_one(database, PLATFORM)
    for tenant in (mine, PLATFORM, ""):
        async with database.tenant(tenant) as connection:
            assert (await connection.execute(select(audit_records))).all() == []
            assert (await connection.execute(select(audit_heads))).all() == []


async def test_the_service_reads_and_appends_to_every_chain(database: Database) -> None:
    tenant = tenant_name()
    async with database.service() as connection:
        assert await append(connection, tenant, [RECORD]) == 1
    assert_unbroken(await chain_of(database, tenant))


async def test_no_object_of_the_caller_stands_in_for_the_functions_own(database: Database) -> None:
    tenant = tenant_name()
    async with database.tenant(tenant) as connection:
        await connection.execute(text("CREATE TEMP TABLE audit_heads (tenant text, sequence bigint, hash text)"))
        await connection.execute(text("SET LOCAL search_path = pg_temp, public"))
        assert await connection.scalar(text("SELECT public.audit_append(:tenant, '[]')"), {"tenant": tenant}) == 0
        assert await connection.scalar(text("SELECT count(*) FROM pg_temp.audit_heads")) == 0
        await connection.execute(text("DROP TABLE pg_temp.audit_heads"))
