"""The limits of learning, row by row against a time that moves: so many a day, a pause between, from any direction."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from schema.database import Database
from schema.messages.steps import Role
from tests.support.http import tenant_name
from tests.support.learning import START, Refused, applied, approve, can_update, install_prompts, pending_update

HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(hours=24), timedelta(microseconds=1)
LIMITS: dict[Role, tuple[int, int, str]] = {
    "security": (1, 24, "human"),
    "architect": (2, 12, "human"),
    "developer": (5, 2, "automatic"),
    "reviewer": (3, 4, "automatic"),
    "tester": (5, 2, "automatic"),
}


@pytest.mark.parametrize("role", LIMITS)
async def test_a_role_has_as_many_updates_a_day_as_its_row_says_and_its_pause_between(
    database: Database, role: Role
) -> None:
    tenant, (most, pause, approval) = tenant_name(), LIMITS[role]
    await install_prompts(database)
    for number in range(most):
        at = START + number * pause * HOUR
        async with database.service() as connection:
            told = await can_update(connection, tenant, role, at)
            assert (told.allowed, told.approval, told.used, told.reasons) == (True, approval, number, [])
            assert told.next_allowed_at == at
        assert not isinstance(await approve(database, await pending_update(database, tenant, role), at), Refused)
        async with database.service() as connection:
            early = await can_update(connection, tenant, role, at + pause * HOUR - MOMENT)
            assert not early.allowed
            assert early.reasons

    last, again = START + (most - 1) * pause * HOUR, max(START + DAY, START + most * pause * HOUR)
    async with database.service() as connection:
        for at in (last, last + MOMENT, again - MOMENT):
            told = await can_update(connection, tenant, role, at)
            assert (told.allowed, told.next_allowed_at) == (False, again)
        told = await can_update(connection, tenant, role, again)
        assert (told.allowed, told.reasons) == (True, [])


async def test_the_refusal_says_when_it_will_be_allowed(database: Database) -> None:
    tenant = tenant_name()
    await approve(database, await pending_update(database, tenant), START)
    refused = await approve(database, await pending_update(database, tenant), START + HOUR)
    assert refused == Refused("GL001", (START + 2 * HOUR).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


async def test_times_that_are_not_given_in_order_let_nothing_through(database: Database) -> None:
    tenant = tenant_name()
    # 12:00, 15:00 … backwards and between: every window of 24 hours counts, whichever came first.
    order = [10, 4, 7, 1, 13, 5.5, 2.5, 11.5, 0, 25, 24, 34, 26.5, 8.5]
    results = [await approve(database, await pending_update(database, tenant), START + hours * HOUR) for hours in order]
    times = await applied(database, tenant, "developer")

    assert within_limits(times, most=5, pause=2 * HOUR)
    assert sum(not isinstance(each, Refused) for each in results) == len(times) >= 7


async def test_roles_and_tenants_have_limits_of_their_own(database: Database) -> None:
    one, other = tenant_name(), tenant_name()
    assert not isinstance(await approve(database, await pending_update(database, one), START), Refused)
    assert not isinstance(await approve(database, await pending_update(database, other), START), Refused)
    assert not isinstance(await approve(database, await pending_update(database, one, "tester"), START), Refused)


async def test_of_two_that_race_for_one_slot_exactly_one_gets_it(database: Database) -> None:
    tenant = tenant_name()
    racing = [await pending_update(database, tenant, "security") for _ in range(6)]
    results = await asyncio.gather(*(approve(database, each, actor=f"p{n}") for n, each in enumerate(racing)))

    assert sum(not isinstance(each, Refused) for each in results) == 1
    assert {each.code for each in results if isinstance(each, Refused)} == {"GL001"}
    assert len(await applied(database, tenant, "security")) == 1


async def test_an_unknown_role_may_nothing(database: Database) -> None:
    async with database.service() as connection:
        told = await can_update(connection, tenant_name(), "supervisor", START)  # type: ignore[arg-type]
    assert (told.allowed, told.next_allowed_at) == (False, None)


def within_limits(times: list[datetime], most: int, pause: timedelta) -> bool:
    """Whether no window of 24 hours has more than `most`, and none is nearer to another than `pause`."""
    near = any(later - earlier < pause for earlier, later in pairwise(times))
    crowded = any(sum(start <= each < start + DAY for each in times) > most for start in times)
    return not near and not crowded
