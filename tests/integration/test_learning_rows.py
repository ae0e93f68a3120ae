"""What was decided on a proposal is done once, to what it was proposed for, and told to the audit log."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import update

from activities.learning import ALTERED, EXPIRED, STALE
from schema.database import Database
from schema.errors import UpdateGone
from schema.messages.learning import LearningApprovalInput
from schema.messages.vote import DEFAULT_WEIGHTS
from schema.tables import learning_updates
from tests.support.approvals import learning, pending, policy_of
from tests.support.audit import acts_of
from tests.support.http import tenant_name

AFTER = {**DEFAULT_WEIGHTS, "architect": 1_000}


async def change(database: Database, wanted: LearningApprovalInput, **values: Any) -> None:
    async with database.service() as connection:
        await connection.execute(
            update(learning_updates).where(learning_updates.c.id == wanted.update_id).values(values)
        )


async def approved(database: Database, tenant: str) -> LearningApprovalInput:
    return await pending(database, tenant, state="approved", decided_by="bob", decided_at=datetime.now(UTC))


async def settled(database: Database, tenant: str) -> list[tuple[str, str, str | None]]:
    acts = await acts_of(database, tenant)
    return [(act.actor, act.outcome, act.reason) for act in acts if act.action == "learning.settle"]


async def test_an_approved_one_changes_the_tenants_weights_once(database: Database) -> None:
    tenant = tenant_name()
    wanted = await approved(database, tenant)
    told = await asyncio.gather(*(learning(database).settle_update(wanted) for _ in range(4)))

    assert {(each.state, each.settled) for each in told} == {("adopted", True)}
    assert await policy_of(database, tenant) == {"voters": AFTER}
    assert await settled(database, tenant) == [("golden", "adopted", None)]


async def test_what_was_decided_is_never_done_to_other_weights_than_those_it_was_proposed_for(
    database: Database,
) -> None:
    tenant = tenant_name()
    wanted, late = await approved(database, tenant), tenant_name()
    assert (await learning(database).settle_update(wanted)).state == "adopted"
    # Proposed for the weights of before.
    other = await approved(database, tenant)
    assert (await learning(database).settle_update(other)).state == "rejected"

    assert await policy_of(database, tenant) == {"voters": AFTER}
    assert await settled(database, tenant) == [("golden", "adopted", None), ("golden", "rejected", STALE)]
    assert await policy_of(database, late) is None


async def test_nobody_decided_is_no_yes(database: Database) -> None:
    tenant = tenant_name()
    wanted = await pending(database, tenant, expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert not (await learning(database).settle_update(wanted)).settled
    await change(database, wanted, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert (await learning(database).settle_update(wanted)).state == "expired"

    assert await policy_of(database, tenant) is None
    assert await settled(database, tenant) == [("golden", "expired", EXPIRED)]


async def test_a_rejected_one_is_closed_and_changes_nothing(database: Database) -> None:
    tenant = tenant_name()
    wanted = await pending(database, tenant, state="rejected", decided_by="bob", decided_at=datetime.now(UTC))
    told = await learning(database).settle_update(wanted)

    assert (told.state, told.settled) == ("rejected", True)
    assert await policy_of(database, tenant) is None


async def test_a_proposal_gets_its_end_once(database: Database) -> None:
    wanted = await pending(database, tenant_name(), state="proposed")
    first = await learning(database).open_update(wanted)
    again = await learning(database, expires_hours=1_000).open_update(wanted)

    assert (first.state, again.state) == ("pending", "pending")
    assert 0 <= first.expires_in_seconds - again.expires_in_seconds < 60
    assert first.remind_in_seconds is not None
    assert first.remind_in_seconds < first.expires_in_seconds


async def test_another_tenants_proposal_is_not_there(database: Database) -> None:
    wanted = await pending(database, tenant_name())
    for other in (
        wanted.model_copy(update={"tenant": tenant_name()}),
        wanted.model_copy(update={"update_id": uuid4()}),
    ):
        with pytest.raises(UpdateGone):
            await learning(database).settle_update(other)


async def test_what_was_changed_after_it_was_approved_is_not_done(database: Database) -> None:
    tenant = tenant_name()
    wanted = await approved(database, tenant)
    await change(database, wanted, diff={"before": DEFAULT_WEIGHTS, "after": {"tester": 10_000}})

    assert (await learning(database).settle_update(wanted)).state == "rejected"
    assert await policy_of(database, tenant) is None
    assert await settled(database, tenant) == [("golden", "rejected", ALTERED)]
