"""The limit of an address, on a real PostgreSQL: one count for all gateways, told to the second, not to be dodged."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.rate_limits import Permit, RateLimit, take_permit
from schema.database import Database
from schema.settings import Settings
from schema.tables import rate_limits
from tests.integration.conftest import running_gateway
from tests.support.http import client, problem, tenant_name
from tests.support.parts import free_port

Token = Callable[..., str]
ROUTE = "/v1/sandbox/executions"
LOCAL = ip_network("127.0.0.1")
TEN = RateLimit("test", lambda _: 10)


async def let_time_pass(owner: AsyncEngine, who: str, seconds: float) -> None:
    """As if so much time had passed since."""
    async with owner.begin() as connection:
        mine = rate_limits.c.key == f"test:{who}"
        taken = (await connection.execute(select(rate_limits.c.taken).where(mine))).scalar_one()
        earlier = [at - timedelta(seconds=seconds) for at in taken]
        await connection.execute(update(rate_limits).where(mine).values(taken=earlier))


async def take(database: Database, who: str, quota: int = 10) -> Permit:
    return await take_permit(database, TEN, who, quota)


class TestCounting:
    async def test_so_many_at_once_and_no_more(self, database: Database) -> None:
        who = tenant_name()
        permits = [await take(database, who) for _ in range(11)]

        assert [permit.allowed for permit in permits] == [True] * 10 + [False]
        assert [permit.remaining for permit in permits] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
        assert permits[0].retry_after_seconds == 0
        assert 1 <= permits[-1].retry_after_seconds == permits[-1].reset_seconds <= 60

    async def test_ten_of_fifty_racing_are_let_in(self, database: Database) -> None:
        who = tenant_name()
        permits = await asyncio.gather(*(take(database, who) for _ in range(50)))

        assert sum(permit.allowed for permit in permits) == 10
        assert sorted(permit.remaining for permit in permits if permit.allowed) == list(range(10))

    @pytest.mark.parametrize("quota", [1, 7, 10, 60, 100])
    async def test_after_exactly_the_time_that_was_told_one_more_is_let_in(
        self, quota: int, database: Database, owner: AsyncEngine
    ) -> None:
        who = tenant_name()
        permits = await asyncio.gather(*(take(database, who, quota) for _ in range(2 * quota)))
        refused = next(permit for permit in permits if not permit.allowed)
        await let_time_pass(owner, who, refused.retry_after_seconds)

        assert (await take(database, who, quota)).allowed

    async def test_before_the_time_that_was_told_nobody_is_let_in(self, database: Database, owner: AsyncEngine) -> None:
        who = tenant_name()
        for _ in range(10):
            await take(database, who)
        await let_time_pass(owner, who, 50)

        assert not (await take(database, who)).allowed

    async def test_wherever_a_minute_begins_it_holds_no_more_than_ten(
        self, database: Database, owner: AsyncEngine
    ) -> None:
        who = tenant_name()
        for _ in range(5):
            await take(database, who)
        await let_time_pass(owner, who, 40)
        before = [(await take(database, who)).allowed for _ in range(10)]
        await let_time_pass(owner, who, 30)
        after = [(await take(database, who)).allowed for _ in range(10)]

        assert (sum(before), sum(after)) == (5, 5)

    async def test_a_quota_that_is_changed_counts_from_then_on(self, database: Database) -> None:
        who = tenant_name()
        for _ in range(10):
            await take(database, who)
        raised = [(await take(database, who, 12)).allowed for _ in range(3)]
        lowered = await take(database, who, 2)

        assert raised == [True, True, False]
        assert (lowered.allowed, lowered.remaining) == (False, 0)

    async def test_whoever_waits_long_has_no_more_than_the_whole_quota(
        self, database: Database, owner: AsyncEngine
    ) -> None:
        who = tenant_name()
        await take(database, who)
        await let_time_pass(owner, who, 3600)

        assert sum([(await take(database, who)).allowed for _ in range(20)]) == 10

    async def test_refusals_cost_nothing(self, database: Database, owner: AsyncEngine) -> None:
        who = tenant_name()
        for _ in range(60):
            await take(database, who)
        await let_time_pass(owner, who, 60)

        assert (await take(database, who)).allowed

    async def test_nobody_counts_for_another(self, database: Database) -> None:
        one, other = tenant_name(), tenant_name()
        for _ in range(11):
            await take(database, one)

        assert (await take(database, other)).remaining == 9

    async def test_who_has_paid_is_forgotten_in_time(self, database: Database, owner: AsyncEngine) -> None:
        gone = [tenant_name() for _ in range(20)]
        for who in gone:
            await take(database, who)
            await let_time_pass(owner, who, 3600)
        busy = tenant_name()
        left = len(gone)
        while left:
            await take(database, busy, 100)
            async with owner.connect() as connection:
                keys = rate_limits.c.key.in_([f"test:{who}" for who in gone])
                left = await connection.scalar(select(func.count()).select_from(rate_limits).where(keys)) or 0

    async def test_a_tenant_reaches_neither_the_counts_nor_the_function(self, database: Database) -> None:
        for attempt in ("SELECT * FROM rate_limits", "DELETE FROM rate_limits", "SELECT take_permit('test:x', 9)"):
            with pytest.raises(DBAPIError, match="permission denied"):
                async with database.tenant("t1") as connection:
                    await connection.execute(text(attempt))


async def post(url: str, token: str | None = None, **headers: str) -> httpx.Response:
    """A request that is over as soon as it is let in: without a token it is 401."""
    async with client(url, token, **headers) as http:
        return await http.post(ROUTE, json={"command": ["true"]})


@pytest_asyncio.fixture(scope="class")
async def two_gateways(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Two gateways on one database, which believe a proxy on this machine."""
    one, other = (
        settings.model_copy(update={"gateway_port": free_port(), "trusted_proxies": (LOCAL,)}) for _ in range(2)
    )
    async with running_gateway(one), running_gateway(other):
        yield one.gateway_url, other.gateway_url


class TestRoute:
    async def test_two_gateways_together_let_in_what_one_may(self, two_gateways: tuple[str, str]) -> None:
        forwarded = {"X-Forwarded-For": "198.51.100.1"}
        answers = await asyncio.gather(*(post(two_gateways[n % 2], **forwarded) for n in range(40)))

        assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 30

    async def test_the_refusal_comes_before_all_others_and_tells_when_to_come_back(
        self, two_gateways: tuple[str, str], token: Token
    ) -> None:
        forwarded = {"X-Forwarded-For": "198.51.100.2"}
        let_in = [await post(two_gateways[0], **forwarded) for _ in range(10)]
        refused = await post(two_gateways[1], token("viewer", tenant_name()), **forwarded)

        assert [answer.status_code for answer in let_in] == [401] * 10
        for left, answer in zip(range(9, -1, -1), let_in, strict=True):
            assert answer.headers["ratelimit-policy"] == '"sandbox";q=10;w=60'
            assert re.fullmatch(rf'"sandbox";r={left};t=([1-9]|[1-5][0-9]|60)', answer.headers["ratelimit"])
        assert (refused.status_code, problem(refused)) == (429, "rate-limited")
        assert refused.headers["ratelimit"] == f'"sandbox";r=0;t={refused.headers["retry-after"]}'
        assert refused.headers["ratelimit-policy"] == '"sandbox";q=10;w=60'

    async def test_behind_a_trusted_proxy_the_client_counts_whatever_it_writes_itself(
        self, two_gateways: tuple[str, str]
    ) -> None:
        mine = [
            await post(two_gateways[n % 2], **{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.3"}) for n in range(11)
        ]
        others = await post(two_gateways[0], **{"X-Forwarded-For": "198.51.100.4"})

        assert [answer.status_code for answer in mine] == [401] * 10 + [429]
        assert others.status_code == 401

    async def test_without_a_trusted_proxy_a_spoofed_address_changes_nothing(
        self, settings: Settings, database: Database, owner: AsyncEngine
    ) -> None:
        async with owner.begin() as connection:
            await connection.execute(rate_limits.delete().where(rate_limits.c.key == "sandbox:127.0.0.1"))
        plain = settings.model_copy(update={"gateway_port": free_port()})
        async with running_gateway(plain):
            answers = [
                await post(plain.gateway_url, **{name: f"203.0.113.{n}"})
                for n, name in enumerate(["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP"] * 3)
            ]

        assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2

    async def test_other_routes_have_no_such_limit_yet(self, two_gateways: tuple[str, str]) -> None:
        async with client(two_gateways[0], None, **{"X-Forwarded-For": "198.51.100.5"}) as http:
            answers = [await http.get("/v1/tasks") for _ in range(12)]

        assert {answer.status_code for answer in answers} == {401}
        assert "ratelimit" not in answers[0].headers
