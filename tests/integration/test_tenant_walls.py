"""PostgreSQL keeps tenants apart by itself: whatever a query forgets, and on every table there is."""

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy.exc
from sqlalchemy import Table, delete, insert, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schema import tables
from schema.database import Database
from schema.settings import Settings
from schema.tables import metadata
from tests.support.http import client, submit, tenant_name
from tests.support.learning import approve, pending_update

Token = Callable[..., str]

NOBODYS = {"rate_limits"}
"""Has no tenant: only the owner's functions touch it."""
SERVICES = {"ui_sessions", "circuits", "circuit_changes", "task_ends"}
"""Are read before it is known who asks, or belong to the platform, so that no tenant may."""
EVERYBODYS = {"prompt_bases"}
"""Come with a release, and are nobody's secret: each tenant reads them, and none writes them."""
PLATFORMS = {"prompt_guidelines", "prompt_versions", "prompt_pointers", "prompt_moves", "prompt_limits"}
"""Hold rows of the platform, `*`, which each tenant reads beside its own."""
TENANTS = sorted(set(metadata.tables) - NOBODYS - SERVICES - EVERYBODYS)


async def fill(url: str, token: Token, database: Database, owner: AsyncEngine, tenant: str) -> None:
    """At least one row of the tenant in every table that has tenants."""
    async with client(url, token("developer", tenant), **{"Idempotency-Key": "k"}) as http:
        task_id = UUID((await submit(http))["task_id"])
    async with client(url, token("developer", tenant)) as http:
        erased = UUID((await submit(http))["task_id"])
    about: dict[str, Any] = {"task_id": task_id, "tenant": tenant}
    step = {**about, "step": "plan", "epoch": 1}
    call = {"ask": 1, "dispatch": 1, "role": "architect", "model": "m", "prompt_version": "1", "state": "sent"}
    async with database.service() as connection:
        await connection.execute(insert(tables.task_steps).values(**step, state="running", detail=""))
        await connection.execute(insert(tables.model_calls).values(**step, **call, reserved_tokens=1))
        entry = {"account": "task", "kind": "reserve", "ask": 1, "dispatch": 1, "held_tokens": 1}
        await connection.execute(insert(tables.ledger_entries).values(**step, **entry))
        letter = {"id": uuid4(), "workflow_id": "w", "kind": "model", "cause": "c", "attempts": 5, "input": {}}
        await connection.execute(insert(tables.dead_letters).values(**step, **letter))
        decision = {"decision": "accept", "reason": "r", "actor": "ann"}
        await connection.execute(insert(tables.decisions).values(**about, **decision))
        ballot = {"vote": 1, "round": 1, "voter": "tester", "choice": "approve", "weight": 1, "effective_weight": 1}
        await connection.execute(insert(tables.ballots).values(**about, **ballot))
        await connection.execute(insert(tables.truths).values(**about, source="human", good=True, actor="ann"))
        await connection.execute(insert(tables.tenant_policies).values(tenant=tenant, policy={}, updated_by="ann"))
        made = {"kind": "weights", "role": "voters", "diff": {}, "evidence": [], "parent": "p", "digest": "d"}
        await connection.execute(
            insert(tables.learning_updates).values(id=uuid4(), tenant=tenant, proposer="ann", **made)
        )
        revoked = {"issued_before": datetime(2020, 1, 1, tzinfo=UTC), "sub": "nobody", "revoked_by": "ann"}
        await connection.execute(insert(tables.revocations).values(tenant=tenant, **revoked))
        outcome = {"role": "developer", "model": "m", "spec": "s", "rules": [], "findings": {}}
        await connection.execute(insert(tables.outcomes).values(**step, **outcome))
        ended = update(tables.tasks).where(tables.tasks.c.task_id == erased).values(state="failed")
        await connection.execute(ended)
        await connection.execute(text("SELECT erase_task(:t, :id, '{}', 'ann')"), {"t": tenant, "id": erased})
    # An approval makes a guideline, a version, a pointer and a move.
    assert await approve(database, await pending_update(database, tenant)) is not None
    limit = {"role": "developer", "max_per_day": 5, "cooldown_hours": 2, "approval": "human"}
    async with owner.begin() as connection:
        await connection.execute(insert(tables.prompt_limits).values(tenant=tenant, **limit))


@pytest.fixture
async def tenants(gateway_url: str, token: Token, database: Database, owner: AsyncEngine) -> tuple[str, str]:
    """Two tenants with rows in every table."""
    mine, theirs = tenant_name(), tenant_name()
    for tenant in (mine, theirs):
        await fill(gateway_url, token, database, owner, tenant)
    return mine, theirs


async def holders(connection: AsyncConnection, table: Table) -> set[str]:
    """Whose rows a query without a WHERE clause sees, but for those that the platform shows to all."""
    found = set((await connection.execute(select(table.c.tenant))).scalars().all())
    return found - {"*"} if table.name in PLATFORMS else found


@pytest.mark.parametrize("name", TENANTS)
async def test_a_query_without_its_where_clause_sees_its_tenant_only(
    name: str, database: Database, tenants: tuple[str, str]
) -> None:
    table = metadata.tables[name]
    async with database.service() as connection:
        assert set(tenants) <= await holders(connection, table)
    for tenant in tenants:
        async with database.tenant(tenant) as connection:
            assert await holders(connection, table) == {tenant}
            others = table.c.tenant.not_in([tenant, "*"] if name in PLATFORMS else [tenant])
            assert (await connection.execute(select(table).where(others))).all() == []


@pytest.mark.parametrize("name", TENANTS)
@pytest.mark.parametrize("tenant", ["", "*", "nobody", "' OR true --"])
async def test_no_tenant_and_no_such_tenant_see_nothing(
    name: str, tenant: str, database: Database, tenants: tuple[str, str]
) -> None:
    async with database.tenant(tenant) as connection:
        assert await holders(connection, metadata.tables[name]) == set()


@pytest.mark.parametrize("name", TENANTS)
async def test_a_foreign_row_is_neither_changed_nor_taken_over_nor_deleted(
    name: str, database: Database, tenants: tuple[str, str]
) -> None:
    table, (mine, theirs) = metadata.tables[name], tenants
    acts: list[Any] = [update(table).values(tenant=mine).where(table.c.tenant == theirs)]
    acts += [delete(table).where(table.c.tenant == theirs), update(table).values(tenant=theirs)]
    for act in acts:
        with contextlib.suppress(sqlalchemy.exc.ProgrammingError):  # has no right to, or breaks the policy
            async with database.tenant(mine) as connection:
                assert (await connection.execute(act)).rowcount == 0
    async with database.tenant(theirs) as connection:
        assert await holders(connection, table) == {theirs}


@pytest.mark.parametrize("name", sorted(EVERYBODYS | PLATFORMS))
async def test_what_the_platform_shows_to_all_is_written_by_no_tenant(
    name: str, database: Database, tenants: tuple[str, str]
) -> None:
    table = metadata.tables[name]
    platforms = table.c.tenant == "*" if name in PLATFORMS else true()
    for act in (update(table).values(role="tester").where(platforms), delete(table).where(platforms)):
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="permission denied"):
            async with database.tenant(tenants[0]) as connection:
                await connection.execute(act)


@pytest.mark.parametrize("name", sorted(NOBODYS | SERVICES))
async def test_what_is_no_tenants_is_closed_to_all_of_them(name: str, database: Database) -> None:
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="permission denied"):
        async with database.tenant(tenant_name()) as connection:
            await connection.execute(select(metadata.tables[name]))


async def test_a_pooled_connection_carries_no_tenant_over(settings: Settings, tenants: tuple[str, str]) -> None:
    database = Database.from_settings(settings, pool_size=1)
    asked = text("SELECT current_setting('golden.tenant', true), pg_backend_pid()")
    try:
        async with database.tenant(tenants[0]) as connection:
            named, first = (await connection.execute(asked)).one()
        with pytest.raises(RuntimeError):
            async with database.tenant(tenants[1]):
                raise RuntimeError
        # The pool's only connection, in a transaction that names nobody.
        async with database._tenant.engine.begin() as connection:
            left, second = (await connection.execute(asked)).one()
            seen = await holders(connection, tables.tasks)
    finally:
        await database.close()

    assert (named, first) == (tenants[0], second)
    assert left in (None, "")
    assert seen == set()


CATALOG = {
    "a table without forced row-level security": """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'f')
        AND NOT (relrowsecurity AND relforcerowsecurity)""",
    "a view that looks with its owner's eyes": """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND (relkind = 'm' OR (relkind = 'v'
        AND NOT coalesce(reloptions::text LIKE '%security_invoker=true%', false)))""",
    "a function whose names depend on its caller": """
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        AND NOT coalesce(proconfig::text LIKE '%search_path=pg_catalog, pg_temp%', false)""",
    "a function that everybody may call": """
        SELECT proname FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND EXISTS (SELECT FROM
        aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) WHERE grantee = 0)""",
    "a table that everybody may read": """
        SELECT relname FROM pg_class c WHERE relnamespace = 'public'::regnamespace
        AND EXISTS (SELECT FROM aclexplode(c.relacl) WHERE grantee = 0)""",
    "a role that row-level security does not hold": """
        SELECT rolname FROM pg_roles WHERE rolname LIKE 'golden%' AND (rolsuper OR rolbypassrls)""",
    "a table of the tenants' that the tenant's role owns": """
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
        AND pg_get_userbyid(relowner) IN ('golden_tenant', 'golden_service')""",
    "a policy that lets a tenant at more than its own": """
        SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        AND roles && ARRAY['golden_tenant', 'public']::name[] AND qual NOT LIKE '%golden.tenant%'
        AND NOT (tablename = 'prompt_bases' AND cmd = 'SELECT')""",
    "a schema where others may make things": """
        SELECT nspname FROM pg_namespace n, aclexplode(n.nspacl) a WHERE nspname = 'public'
        AND a.privilege_type = 'CREATE' AND pg_get_userbyid(a.grantee) IN ('golden_tenant', 'golden_service')""",
}


@pytest.mark.parametrize("fault", CATALOG)
async def test_the_catalog_has_no(fault: str, database: Database) -> None:
    async with database.service() as connection:
        assert (await connection.execute(text(CATALOG[fault]))).scalars().all() == []


async def test_every_table_of_the_database_is_one_that_the_tests_know(database: Database) -> None:
    async with database.service() as connection:
        found = await connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        assert set(found.scalars()) == {*metadata.tables, "alembic_version"}
