"""What is approved is what was shown, by somebody else, once; what is in force is moved by nobody but the functions."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError

from schema.database import Database
from schema.prompts import active_version, read_prompt
from schema.tables import learning_updates, prompt_limits, prompt_moves, prompt_pointers
from schema.texts import digest_of
from tests.support.audit import acts_of
from tests.support.http import tenant_name
from tests.support.learning import START, Refused, approve, pending_update, propose, put_to_people, refusal, row_of


async def call(database: Database, of: str | None, statement: str, **values: Any) -> Any:
    """A statement as from psql: as a tenant's role, or as the service's."""
    try:
        async with database.tenant(of) if of else database.service() as connection:
            return await connection.scalar(text(statement), values)
    except DBAPIError as error:
        return refusal(error)


async def finish(database: Database, update_id: UUID, outcome: str, at: datetime | None = None) -> Any:
    statement = (
        "SELECT finish_prompt_canary(:id, :outcome, 'golden', 'as told', coalesce(CAST(:at AS timestamptz), now()))"
    )
    return await call(database, None, statement, id=update_id, outcome=outcome, at=at)


async def pointer_of(database: Database, tenant: str) -> Any:
    async with database.service() as connection:
        return (
            await connection.execute(select(prompt_pointers).where(prompt_pointers.c.tenant == tenant))
        ).one_or_none()


async def test_an_approved_one_is_tried_on_a_share_and_then_adopted(database: Database) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant, guideline="Close every file.")
    version = await approve(database, update_id)
    assert isinstance(version, UUID)
    pointer = await pointer_of(database, tenant)
    assert (pointer.canary, pointer.canary_update, pointer.canary_share) == (version, update_id, 20)
    assert pointer.active != version
    assert await finish(database, update_id, "adopted") == "adopted"

    async with database.tenant(tenant) as connection:
        assert await active_version(connection, tenant, "developer") == version
        prompt = await read_prompt(connection, version)
    assert [each.text for each in prompt.guidelines] == ["Close every file."]
    acts = [(act.actor, act.action, act.outcome) for act in await acts_of(database, tenant)]
    assert acts == [("bob", "prompts.approve", "approved"), ("golden", "prompts.canary", "adopted")]


@pytest.mark.parametrize(
    ("actor", "digest", "code"),
    [("ann", None, "GL003"), ("", None, "GL003"), ("bob", "0" * 64, "GL004")],
    ids=["the proposer", "nobody", "another digest"],
)
async def test_nobody_approves_their_own_or_what_they_were_not_shown(
    database: Database, actor: str, digest: str | None, code: str
) -> None:
    update_id = await pending_update(database, tenant_name())
    refused = await approve(database, update_id, actor=actor, digest=digest)
    assert isinstance(refused, Refused)
    assert refused.code == code


async def test_only_what_is_pending_is_decided_on_and_once(database: Database) -> None:
    proposed, rejected, approved = [await propose(database, tenant_name()) for _ in range(3)]
    for each in (rejected, approved):
        await put_to_people(database, each)
    assert await call(database, None, "SELECT reject_prompt_update(:id, 'bob', 'no')", id=rejected) == ""
    assert isinstance(await approve(database, approved), UUID)

    for each in (proposed, rejected, approved):
        assert await approve(database, each, START) == Refused("GL002")
    for each in (rejected, approved):
        again = await call(database, None, "SELECT reject_prompt_update(:id, 'eve', 'no')", id=each)
        assert again == Refused("GL002")


async def test_what_was_made_from_another_version_is_looked_at_again(database: Database) -> None:
    tenant = tenant_name()
    first, second = await pending_update(database, tenant), await pending_update(database, tenant)
    await approve(database, first, START)
    await finish(database, first, "adopted", START)

    assert await approve(database, second, START + timedelta(hours=3)) == Refused("GL004")
    shown = (await row_of(database, second)).digest
    admitted = "SELECT admit_prompt_update(:id, :at)"
    assert await call(database, None, admitted, id=second, at=START + timedelta(hours=3)) == "evaluating"
    assert (await row_of(database, second)).digest != shown
    await put_to_people(database, second)
    assert isinstance(await approve(database, second, START + timedelta(hours=3)), UUID)


async def test_a_newer_one_takes_the_place_of_one_that_is_tried(database: Database) -> None:
    tenant = tenant_name()
    first, second = await pending_update(database, tenant), await pending_update(database, tenant)
    await approve(database, first, START)
    version = await approve(database, second, START + timedelta(hours=2))

    assert (await row_of(database, first)).state == "rolled_back"
    assert (await pointer_of(database, tenant)).canary == version


async def test_golden_alone_approves_only_what_its_role_allows_and_what_was_better(database: Database) -> None:
    tenant = tenant_name()
    human = await pending_update(database, tenant, "security")
    unclear = await propose(database, tenant)
    await put_to_people(database, unclear, {"verdict": "unclear"})
    better = await pending_update(database, tenant)

    for each in (human, unclear):
        assert await approve(database, each, actor="golden") == Refused("GL001")
    assert isinstance(await approve(database, better, actor="golden"), UUID)


async def test_where_two_have_to_agree_one_alone_changes_nothing_however_often(database: Database, owner: Any) -> None:
    tenant = tenant_name()
    limit = {"max_per_day": 1, "cooldown_hours": 24, "approval": "human", "quorum": 2, "canary_share": 50}
    async with owner.begin() as connection:
        await connection.execute(insert(prompt_limits).values(tenant=tenant, role="security", **limit))
    update_id = await pending_update(database, tenant, "security")

    assert await asyncio.gather(*(approve(database, update_id, actor="bob") for _ in range(3))) == [None] * 3
    assert (await row_of(database, update_id)).state == "pending"
    both = await asyncio.gather(*(approve(database, update_id, actor=who) for who in ("carl", "dora")))
    assert sum(isinstance(each, UUID) for each in both) == 1
    assert (await pointer_of(database, tenant)).canary_share == 50


async def test_harm_keeps_updates_away_for_as_long_as_an_update_does(database: Database) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    await approve(database, update_id, START)
    assert await finish(database, update_id, "harm", START + timedelta(hours=10)) == "rolled_back"

    other = await pending_update(database, tenant)
    refused = await approve(database, other, START + timedelta(hours=11))
    assert isinstance(refused, Refused)
    assert refused.code == "GL001"
    assert isinstance(await approve(database, other, START + timedelta(hours=12)), UUID)


async def test_a_rollback_by_hand_is_for_new_tasks_at_once_and_ends_what_is_tried(database: Database) -> None:
    tenant = tenant_name()
    adopted = await pending_update(database, tenant)
    version = await approve(database, adopted, START)
    await finish(database, adopted, "adopted", START)
    async with database.service() as connection:
        first = await active_version(connection, "*", "developer")
    tried = await propose(database, tenant)
    await put_to_people(database, tried)
    await approve(database, tried, START + timedelta(hours=2))
    back = "SELECT rollback_prompt('developer', :version, 'carl', 'it got worse', now(), :tenant)"

    assert await call(database, tenant, back, version=first, tenant=tenant) == first
    pointer = await pointer_of(database, tenant)
    assert (pointer.active, pointer.canary) == (first, None)
    assert [(await row_of(database, each)).state for each in (adopted, tried)] == ["rolled_back"] * 2
    # What was active once may be again; what was only tried may not.
    assert await call(database, tenant, back, version=version, tenant=tenant) == version
    assert (await row_of(database, adopted)).state == "adopted"
    never = (await row_of(database, tried)).version
    assert await call(database, tenant, back, version=never, tenant=tenant) == Refused("GL005")
    acts = await acts_of(database, tenant)
    assert [act.actor for act in acts if act.action == "prompts.rollback"] == ["carl", "carl"]


async def test_a_tenants_role_decides_for_its_tenant_and_for_now_only(database: Database) -> None:
    tenant = tenant_name()
    update_id = await pending_update(database, tenant)
    digest = (await row_of(database, update_id)).digest
    said = "SELECT approve_prompt_update(:id, 'bob', 'fine', :digest, :at)"
    future = datetime.now(UTC) + timedelta(days=30)

    assert await call(database, tenant, said, id=update_id, digest=digest, at=future) == Refused("GL001")
    stranger = await call(database, tenant_name(), said, id=update_id, digest=digest, at=datetime.now(UTC))
    assert stranger == Refused("42501")
    for forbidden in (
        "UPDATE prompt_pointers SET active = active RETURNING 1",
        "INSERT INTO prompt_versions (tenant, role, base, digest, kind, proposer, approver, at) "
        "VALUES ('x', 'tester', repeat('0', 64), repeat('0', 64), 'release', 'a', 'b', now()) RETURNING 1",
        "DELETE FROM prompt_moves RETURNING 1",
        "UPDATE prompt_limits SET max_per_day = 100 RETURNING 1",
        "SELECT install_base_prompt('tester', repeat('0', 64), 'Be kind.')",
    ):
        assert await call(database, tenant, forbidden) == Refused("42501")


async def test_a_proposal_can_not_be_made_another_under_those_who_look_at_it(database: Database) -> None:
    update_id = await pending_update(database, tenant_name())
    other = (await row_of(database, await propose(database, tenant_name()))).new_guideline
    for values in (
        {"state": "approved"},
        {"state": "adopted"},
        {"proposer": "eve"},
        {"new_guideline": other},
        {"role": "tester"},
        {"version": other},
    ):
        with pytest.raises(DBAPIError, match=r"stays as it is|is reached by"):
            async with database.service() as connection:
                await connection.execute(
                    update(learning_updates).where(learning_updates.c.id == update_id).values(values)
                )


async def test_versions_and_their_history_are_not_even_the_owners_to_change(database: Database, owner: Any) -> None:
    await pending_update(database, tenant_name())
    for table in ("prompt_versions", "prompt_guidelines", "prompt_bases", "prompt_moves"):
        with pytest.raises(DBAPIError, match="stay as they are"):
            async with owner.begin() as connection:
                await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 (names of this test)


async def test_a_release_keeps_what_was_learned_and_says_so_and_an_older_one_changes_nothing(
    database: Database,
) -> None:
    tenant, base = tenant_name(), f"You are the tester, newly put: {tenant_name()}."
    update_id = await pending_update(database, tenant, "tester", guideline="Look at both ends of every range.")
    await approve(database, update_id, START)
    await finish(database, update_id, "adopted", START)
    install = "SELECT install_base_prompt('tester', :digest, :base)"
    old = "You are the tester."

    assert await call(database, None, install, digest=digest_of(base), base=base) == 1
    assert await call(database, None, install, digest=digest_of(base), base=base) is None
    assert await call(database, None, install, digest=digest_of(old), base=old) is None
    async with database.tenant(tenant) as connection:
        version = await active_version(connection, tenant, "tester")
        assert version is not None
        prompt = await read_prompt(connection, version)
        moves = await connection.scalars(select(prompt_moves.c.reason).where(prompt_moves.c.to_version == version))
        told = list(moves)
    assert (prompt.base, [each.text for each in prompt.guidelines]) == (base, ["Look at both ends of every range."])
    assert told == ["a new base prompt; 1 learned guidelines kept"]
