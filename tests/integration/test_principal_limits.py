"""What a principal may a minute, by its role, and how slowly an address may guess; over HTTP, with two gateways."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from schema.database import Database
from schema.settings import DEFAULT_RATE_LIMITS, Settings
from tests.integration.conftest import running_gateway
from tests.support.audit import acts_of, chain_of
from tests.support.http import client, problem, spec, tenant_name
from tests.support.parts import free_port

Token = Callable[..., str]
LOCAL = ip_network("127.0.0.1")


@pytest_asyncio.fixture(scope="module")
async def gateways(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Two gateways on one database with the limits as they are by default, which believe a proxy on this machine."""
    # Of this machine's own address other tests have failures.
    limits = DEFAULT_RATE_LIMITS | {"unauthenticated": 5000}
    async with two_gateways(settings, limits) as urls:
        yield urls


@pytest_asyncio.fixture(scope="module")
async def strict(settings: Settings) -> AsyncIterator[tuple[str, str]]:
    """Two that count failures as they do by default: only for clients behind the proxy."""
    async with two_gateways(settings, DEFAULT_RATE_LIMITS) as urls:
        yield urls


@asynccontextmanager
async def two_gateways(settings: Settings, limits: dict[str, int]) -> AsyncIterator[tuple[str, str]]:
    changes = {"trusted_proxies": (LOCAL,), "rate_limits": limits}
    one, other = (settings.model_copy(update={"gateway_port": free_port(), **changes}) for _ in range(2))
    async with running_gateway(one), running_gateway(other):
        yield one.gateway_url, other.gateway_url


async def let_time_pass(owner: AsyncEngine, key: str, seconds: float) -> None:
    """As if so much time had passed since."""
    async with owner.begin() as connection:
        statement = (
            "UPDATE rate_limits SET taken = ARRAY(SELECT at - :passed FROM unnest(taken) AS at ORDER BY at) "
            "WHERE key = :key"
        )
        changed = await connection.execute(text(statement), {"passed": timedelta(seconds=seconds), "key": key})
        assert changed.rowcount == 1


@pytest.fixture
def address() -> str:
    """An address that no other test has."""
    number = int(tenant_name()[2:], 16)
    return f"10.{number % 251}.{number // 251 % 251}.{number // 63001 % 251}"


class TestPrincipals:
    @pytest.mark.parametrize(("role", "quota"), [("viewer", 5), ("approver", 20), ("developer", 30)])
    async def test_two_gateways_together_let_in_what_the_role_may(
        self, role: str, quota: int, gateways: tuple[str, str], token: Token
    ) -> None:
        holder = token(role, tenant_name())
        async with client(gateways[0], holder) as one, client(gateways[1], holder) as other:
            answers = await asyncio.gather(*((one, other)[n % 2].get("/v1/tasks") for n in range(quota + 10)))

        assert sorted(answer.status_code for answer in answers) == [200] * quota + [429] * 10
        left = [int(re.findall(r"r=(\d+)", answer.headers["ratelimit"])[0]) for answer in answers]
        assert sorted(left) == [0] * 10 + list(range(quota))
        assert {answer.headers["ratelimit-policy"] for answer in answers} == {f'"principal";q={quota};w=60'}

    async def test_after_exactly_the_time_that_was_told_the_next_is_let_in(
        self, gateways: tuple[str, str], token: Token, owner: AsyncEngine
    ) -> None:
        tenant = tenant_name()
        async with client(gateways[0], token("viewer", tenant, "ann")) as http:
            for _ in range(5):
                await http.get("/v1/tasks")
            refused = await http.get("/v1/tasks")
            await let_time_pass(owner, f"principal:{tenant}:ann", int(refused.headers["retry-after"]) - 20)
            early = await http.get("/v1/tasks")
            await let_time_pass(owner, f"principal:{tenant}:ann", 20)
            due = await http.get("/v1/tasks")

        assert (refused.status_code, problem(refused)) == (429, "rate-limited")
        assert refused.headers["ratelimit"] == f'"principal";r=0;t={refused.headers["retry-after"]}'
        assert (early.status_code, due.status_code) == (429, 200)

    async def test_another_token_of_the_same_principal_counts_too_and_another_principal_does_not(
        self, gateways: tuple[str, str], token: Token
    ) -> None:
        tenant = tenant_name()
        statuses = []
        for holder in (*[("viewer", tenant, "ann")] * 6, ("viewer", tenant, "bob"), ("viewer", tenant_name(), "ann")):
            async with client(gateways[0], token(*holder)) as http:
                statuses.append((await http.get("/v1/tasks")).status_code)

        assert statuses == [200] * 5 + [429, 200, 200]

    async def test_it_comes_before_403_and_counts_what_is_refused(
        self, gateways: tuple[str, str], token: Token
    ) -> None:
        async with client(gateways[0], token("viewer", tenant_name())) as http:
            answers = [await http.post("/v1/tasks", json=spec()) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [403] * 5 + [429]

    async def test_head_counts_as_get_and_options_does_not_count(self, gateways: tuple[str, str], token: Token) -> None:
        async with client(gateways[0], token("viewer", tenant_name())) as http:
            for _ in range(10):
                assert (await http.options("/v1/tasks")).status_code == 204
            statuses = [(await http.head("/v1/tasks")).status_code for _ in range(6)]

        assert statuses == [200] * 5 + [429]

    async def test_both_limits_of_the_sandbox_are_told(
        self, gateways: tuple[str, str], token: Token, address: str
    ) -> None:
        async with client(gateways[0], token("viewer", tenant_name()), **{"X-Forwarded-For": address}) as http:
            answer = await http.post("/v1/sandbox/executions", json={"command": ["true"]})

        assert answer.headers["ratelimit-policy"] == '"sandbox";q=10;w=60, "principal";q=5;w=60'
        assert answer.headers["ratelimit"] == '"sandbox";r=9;t=60, "principal";r=4;t=60'

    async def test_refusals_by_it_are_recorded_once_a_minute(
        self, gateways: tuple[str, str], token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateways[0], token("viewer", tenant)) as http:
            for _ in range(9):
                await http.get("/v1/tasks")

        told = [(record.outcome, record.reason) for record in await acts_of(database, tenant)]
        assert told == [("allowed", None)] * 5 + [("denied", "rate-limited")]


class TestFailures:
    async def test_after_thirty_bad_tokens_at_either_gateway_the_address_has_to_wait_at_both(
        self, strict: tuple[str, str], token: Token, address: str
    ) -> None:
        forwarded = {"X-Forwarded-For": address}
        async with client(strict[0], "x.y.z", **forwarded) as one, client(strict[1], "x.y.z", **forwarded) as other:
            guesses = await asyncio.gather(*((one, other)[n % 2].get("/v1/tasks") for n in range(40)))
        right = [await get(url, token("admin", tenant_name()), **forwarded) for url in strict]

        assert sorted(answer.status_code for answer in guesses) == [401] * 30 + [429] * 10
        assert [(answer.status_code, problem(answer)) for answer in right] == [(429, "rate-limited")] * 2
        for answer in right:
            assert answer.headers["ratelimit-policy"] == '"unauthenticated";q=30;w=60'
            assert answer.headers["ratelimit"] == f'"unauthenticated";r=0;t={answer.headers["retry-after"]}'

    async def test_a_token_guessed_right_at_the_other_gateway_is_not_let_in_either(
        self, strict: tuple[str, str], token: Token, address: str
    ) -> None:
        forwarded = {"X-Forwarded-For": address}
        for _ in range(30):
            assert (await get(strict[0], "x.y.z", **forwarded)).status_code == 401
        right = await get(strict[1], token("admin", tenant_name()), **forwarded)

        assert (right.status_code, problem(right)) == (429, "rate-limited")

    async def test_good_tokens_burn_nothing_and_other_addresses_are_not_concerned(
        self, strict: tuple[str, str], token: Token, address: str
    ) -> None:
        holder = token("admin", tenant_name())
        good = [await get(strict[0], holder, **{"X-Forwarded-For": address}) for _ in range(40)]
        for _ in range(31):
            last = await get(strict[0], "x.y.z", **{"X-Forwarded-For": address})
        other = await get(strict[0], holder, **{"X-Forwarded-For": "192.0.2.200"})

        assert {answer.status_code for answer in good} == {200}
        assert (last.status_code, other.status_code) == (429, 200)

    async def test_a_barred_address_is_refused_without_asking_the_database(
        self, strict: tuple[str, str], address: str, owner: AsyncEngine
    ) -> None:
        forwarded = {"X-Forwarded-For": address}
        for _ in range(31):
            await get(strict[0], "x.y.z", **forwarded)
        async with owner.begin() as connection:
            await connection.execute(
                text("DELETE FROM rate_limits WHERE key = :key"), {"key": f"unauthenticated:{address}"}
            )
        refused = await get(strict[0], "x.y.z", **forwarded)
        async with owner.connect() as connection:
            key = {"key": f"unauthenticated:{address}"}
            known = await connection.scalar(text("SELECT count(*) FROM rate_limits WHERE key = :key"), key)

        assert (refused.status_code, known) == (429, 0)

    async def test_after_the_time_that_was_told_the_address_may_again(
        self, strict: tuple[str, str], token: Token, address: str, owner: AsyncEngine
    ) -> None:
        forwarded = {"X-Forwarded-For": address}
        for _ in range(30):
            await get(strict[0], "x.y.z", **forwarded)
        # Asked of the other gateway, which then knows from the database alone.
        await let_time_pass(owner, f"unauthenticated:{address}", 60)
        right = await get(strict[1], token("admin", tenant_name()), **forwarded)

        assert right.status_code == 200

    async def test_the_platforms_chain_tells_of_them_by_address_and_never_of_the_token(
        self, strict: tuple[str, str], database: Database, address: str
    ) -> None:
        await get(strict[1], "not-a-token", **{"X-Forwarded-For": address})
        await get(strict[1], None, **{"X-Forwarded-For": address})

        told = [record for record in await chain_of(database, "*") if record.object == address]
        assert {(record.actor, record.action, record.outcome) for record in told} <= {
            ("unauthenticated", "authenticate", "denied")
        }
        assert "not-a-token" not in str(told)


async def get(url: str, token: str | None, **headers: str) -> httpx.Response:
    async with client(url, token, **headers) as http:
        return await http.get("/v1/tasks")
