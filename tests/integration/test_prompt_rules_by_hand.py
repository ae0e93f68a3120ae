"""What people try from psql: times that are none, old transactions, rows written by hand, and a release in between."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import DBAPIError

from schema.database import Database
from schema.messages.learning import PromptDiff, PromptEvidence
from schema.prompts import active_version, read_prompt
from schema.proposals import write_proposal
from schema.tables import learning_updates
from schema.texts import digest_of
from tests.support.audit import acts_of
from tests.support.http import tenant_name
from tests.support.learning import START, Refused, approve, pending_update, propose, refusal, row_of

HOUR = timedelta(hours=1)
APPROVE = text("SELECT approve_prompt_update(:id, 'bob', 'fine', :digest)")


async def call(database: Database, statement: str, of: str | None = None, **values: Any) -> Any:
    try:
        async with database.tenant(of) if of else database.service() as connection:
            return await connection.scalar(text(statement), values)
    except DBAPIError as error:
        return refusal(error)


async def adopted(database: Database, tenant: str, at: datetime) -> tuple[UUID, UUID]:
    update_id = await pending_update(database, tenant)
    version = await approve(database, update_id, at)
    assert isinstance(version, UUID)
    await call(database, "SELECT finish_prompt_canary(:id, 'adopted', 'golden', 'told', :at)", id=update_id, at=at)
    return update_id, version


async def states(database: Database, *update_ids: UUID) -> list[str]:
    return [(await row_of(database, each)).state for each in update_ids]


@pytest.mark.parametrize("at", ["infinity", "-infinity", "294276-12-30", "4713-01-01 BC"])
async def test_a_time_around_which_there_are_no_24_hours_allows_nothing(database: Database, at: str) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    said = "SELECT approve_prompt_update(:id, 'bob', 'fine', :digest, CAST(CAST(:at AS text) AS timestamptz))"
    digest = (await row_of(database, update_id)).digest
    assert await call(database, said, id=update_id, digest=digest, at=at) == Refused("GL001")
    asked = "SELECT allowed FROM can_auto_update_prompt('developer', CAST(CAST(:at AS text) AS timestamptz), :tenant)"
    assert await call(database, asked, at=at, tenant=tenant) is False


async def test_a_transaction_that_began_before_the_end_of_a_proposal_comes_too_late(database: Database) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    digest = (await row_of(database, update_id)).digest
    ends = "UPDATE learning_updates SET expires_at = clock_timestamp() WHERE id = :id RETURNING state"
    async with database.tenant(tenant) as early:
        await early.execute(text("SELECT 1"))
        assert await call(database, ends, id=update_id) == "pending"
        with pytest.raises(DBAPIError, match="has expired"):
            await early.execute(APPROVE, {"id": update_id, "digest": digest})
        await early.rollback()


async def test_what_is_gone_back_to_is_adopted_with_all_that_it_was_made_of(database: Database) -> None:
    tenant = tenant_name()
    (one, first), (two, second) = [await adopted(database, tenant, START + hours * HOUR) for hours in (0, 3)]
    base = await call(database, "SELECT parent FROM prompt_versions WHERE id = :id", id=first)
    back = "SELECT rollback_prompt('developer', :version, 'olga', 'worse', :at, :tenant)"

    for hours, version, told in (
        (6, base, ["rolled_back", "rolled_back"]),
        (7, second, ["adopted", "adopted"]),
        (8, first, ["adopted", "rolled_back"]),
    ):
        await call(database, back, version=version, at=START + hours * HOUR, tenant=tenant)
        assert await states(database, one, two) == told


async def test_a_tenant_that_goes_back_takes_nothing_from_the_platform(database: Database) -> None:
    tenant, update_id = tenant_name(), uuid4()
    await propose(database, tenant, "reviewer")
    said: dict[str, Any] = {"proposer": "ann", "budget_tokens": 10_000, "slots": 4, "evidence": PromptEvidence()}
    diff = PromptDiff(op="add", after="Read each test.")
    async with database.service() as connection:

        async def ask(statement: str, **values: Any) -> Any:
            return await connection.scalar(text(statement), {"id": update_id, **values})

        await write_proposal(connection, update_id=update_id, tenant="*", role="reviewer", diff=diff, **said)
        await ask("UPDATE learning_updates SET state = 'pending' WHERE id = :id RETURNING 1")
        before = await ask("SELECT parent_version FROM learning_updates WHERE id = :id")
        digest = await ask("SELECT digest FROM learning_updates WHERE id = :id")
        await connection.execute(APPROVE, {"id": update_id, "digest": digest})
        await ask("SELECT finish_prompt_canary(:id, 'adopted', 'golden', 'told')")
        back = "SELECT rollback_prompt('reviewer', :version, 'olga', 'worse', now(), :tenant)"
        assert await ask(back, version=before, tenant=tenant) == before
        assert await ask("SELECT state FROM learning_updates WHERE id = :id") == "adopted"
        # The other tests' platform has learned nothing.
        await connection.rollback()


async def test_a_release_reaches_a_tenant_whose_first_version_is_made_meanwhile(database: Database) -> None:
    tenant, base = tenant_name(), f"You are the architect: {tenant_name()}."
    update_id = await pending_update(database, tenant, "architect")
    digest = (await row_of(database, update_id)).digest
    install = "SELECT install_base_prompt('architect', :digest, :base)"
    async with database.service() as connection:
        await connection.execute(APPROVE, {"id": update_id, "digest": digest})
        release = asyncio.create_task(call(database, install, digest=digest_of(base), base=base))
        await asyncio.wait({release}, timeout=0.5)
    assert isinstance(await release, int)
    async with database.tenant(tenant) as connection:
        version = await active_version(connection, tenant, "architect")
        assert version is not None
        assert (await read_prompt(connection, version)).base == base


async def test_what_has_no_words_is_not_approved_however_it_became_pending(database: Database) -> None:
    tenant = tenant_name()
    update_id = await propose(database, tenant)
    made = {"id": uuid4(), "other": update_id}
    copied = """INSERT INTO learning_updates
        (id, tenant, kind, role, op, diff, evidence, parent, parent_version, digest, proposer, state)
        SELECT :id, tenant, kind, role, op, diff, evidence, parent, parent_version, digest, proposer, 'pending'
          FROM learning_updates WHERE id = :other RETURNING state"""
    assert await call(database, copied, tenant, **made) == "pending"
    sealed = "UPDATE learning_updates u SET digest = prompt_update_digest(u) WHERE id = :id RETURNING digest"
    digest = await call(database, sealed, tenant, id=made["id"])
    assert await approve(database, made["id"], digest=digest) == Refused("GL002")


@pytest.mark.parametrize(
    "change",
    [{"evaluation": {"difference": 9}}, {"decided_by": "eve"}, {"reason": "another"}, {"settled_at": START}],
    ids=lambda change: next(iter(change)),
)
async def test_what_was_decided_stays_as_it_is(database: Database, change: dict[str, Any]) -> None:
    update_id = await pending_update(database, tenant_name())
    assert isinstance(await approve(database, update_id), UUID)
    with pytest.raises(DBAPIError, match=r"is reached by|stays as it is"):
        async with database.service() as connection:
            await connection.execute(update(learning_updates).where(learning_updates.c.id == update_id).values(change))


async def test_nobody_rejects_without_a_name_or_past_the_audit_log(database: Database) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    for nobody in ("", None):
        said = "SELECT reject_prompt_update(:id, CAST(:actor AS text), 'no')"
        assert await call(database, said, id=update_id, actor=nobody) == Refused("GL003")
    by_hand = "UPDATE learning_updates SET state = 'rejected' WHERE id = :id RETURNING 1"
    assert await call(database, by_hand, tenant, id=update_id) == Refused("42501")
    assert (await states(database, update_id), await acts_of(database, tenant)) == (["pending"], [])


async def test_a_trial_begins_at_a_time_and_ends_in_a_way_that_there_is(database: Database) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    await approve(database, update_id)
    await call(database, "SELECT begin_prompt_canary(:id, NULL)", tenant, id=update_id)
    assert (await row_of(database, update_id)).canary_at is not None
    for outcome in ("Harm", None):
        said = "SELECT finish_prompt_canary(:id, CAST(:outcome AS text), 'golden', 'told')"
        assert await call(database, said, id=update_id, outcome=outcome) == Refused("22023")


async def test_no_tenant_writes_a_guideline_for_everybody(database: Database) -> None:
    said = "INSERT INTO prompt_guidelines (id, tenant, role, digest, guideline) VALUES (:id, '*', 'tester', :d, 'x')"
    assert await call(database, said, "*", id=uuid4(), d=digest_of("x")) == Refused("42501")
