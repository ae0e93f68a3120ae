"""`/v1/circuits` and `golden circuits`: what the fleet thinks of the providers, for whoever may see it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import insert

from activities.circuit import Outcome, Rules
from activities.circuits import Circuits
from schema.database import Database
from schema.tables import circuits
from tests.support.http import client, problem, tenant_name

Token = Callable[..., str]
Golden = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def name() -> str:
    """A circuit that no other test has."""
    return f"openai:gpt-{uuid4().hex[:8]}@example.org"


@pytest.fixture
def worker(database: Database) -> Circuits:
    """A worker whose probes are due in an hour."""
    return Circuits(database, "host:1", Rules(open_seconds=3_600, longest_open_seconds=3_600), chance=lambda: 1.0)


@pytest_asyncio.fixture
async def http(gateway_url: str, token: Token) -> AsyncIterator[httpx.AsyncClient]:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        yield http


async def all_of(http: httpx.AsyncClient, path: str, **query: Any) -> list[dict[str, Any]]:
    """The items of all pages."""
    items: list[dict[str, Any]] = []
    cursor: dict[str, Any] = {}
    while True:
        answer = await http.get(path, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


async def one(http: httpx.AsyncClient, name: str) -> dict[str, Any]:
    (found,) = [each for each in await all_of(http, "/v1/circuits") if each["circuit"] == name]
    return found


async def put(database: Database, name: str, **values: Any) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    async with database.service() as connection:
        await connection.execute(insert(circuits).values(circuit=name, **{"since": since, **values}))


class TestList:
    async def test_an_open_circuit_is_shown_with_its_time_and_who_opened_it(
        self, http: httpx.AsyncClient, worker: Circuits, name: str
    ) -> None:
        for _ in range(5):
            await worker.report(name, Outcome.FAILURE)

        shown = await one(http, name)
        shape = "circuit state since calls failures slow opened_total retry_at worker"
        assert set(shown) == set(shape.split())
        since, retry_at = (datetime.fromisoformat(shown.pop(each)) for each in ("since", "retry_at"))
        assert retry_at - since == timedelta(hours=1)
        assert shown == {
            **{"circuit": name, "state": "open", "calls": 5, "failures": 5},
            **{"slow": 0, "opened_total": 1, "worker": "host:1"},
        }

    @pytest.mark.parametrize(("stored", "acts"), [("open", "half-open"), ("paused", "closed")])
    async def test_what_only_waits_for_its_first_call_is_shown_as_it_acts(
        self, stored: str, acts: str, http: httpx.AsyncClient, database: Database, name: str
    ) -> None:
        due = datetime.now(UTC) - timedelta(minutes=1)
        await put(database, name, state=stored, retry_at=due)

        shown = await one(http, name)
        assert (shown["state"], shown["retry_at"]) == (acts, None)
        assert datetime.fromisoformat(shown["since"]) == due

    async def test_pages_hold_each_circuit_once_by_name(
        self, http: httpx.AsyncClient, database: Database, name: str
    ) -> None:
        names = [f"{name}/{number}" for number in range(5)]
        for each in reversed(names):
            await put(database, each)

        found = [each["circuit"] for each in await all_of(http, "/v1/circuits", limit=2)]
        assert [each for each in found if each.startswith(name)] == names
        assert len(found) == len(set(found))

    async def test_every_tenant_and_the_platform_see_the_same(
        self, gateway_url: str, token: Token, database: Database, name: str
    ) -> None:
        await put(database, name)
        seen = []
        for tenant in (tenant_name(), tenant_name(), "*"):
            named = {"Golden-Tenant": "*"} if tenant == "*" else {}
            async with client(gateway_url, token("operator", tenant), **named) as http:
                seen.append(await one(http, name))

        assert seen[0] == seen[1] == seen[2]

    @pytest.mark.parametrize("path", ["/v1/circuits", "/v1/circuits/changes"])
    @pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 1_001}, {"cursor": "x" * 501}, {"who": "x"}], ids=str)
    async def test_what_cannot_be_meant_is_422(self, path: str, query: dict[str, Any], http: httpx.AsyncClient) -> None:
        answer = await http.get(path, params=query)

        assert (answer.status_code, problem(answer)) == (422, "invalid-request")


class TestChanges:
    async def test_they_are_told_newest_first_with_cause_and_worker(
        self, http: httpx.AsyncClient, worker: Circuits, name: str
    ) -> None:
        await worker.report(name, Outcome.QUOTA, retry_after=1_000)
        for _ in range(5):
            await worker.report(name, Outcome.FAILURE)

        told = await all_of(http, "/v1/circuits/changes", circuit=name, limit=1)
        assert [(each["from_state"], each["to_state"], each["cause"], each["worker"]) for each in told] == [
            ("paused", "open", "5 failures in a row", "host:1"),
            ("closed", "paused", "the provider's quota", "host:1"),
        ]

    async def test_of_a_circuit_that_nobody_has_there_are_none(self, http: httpx.AsyncClient) -> None:
        assert await all_of(http, "/v1/circuits/changes", circuit="' OR 1=1 --") == []


class TestCommand:
    @pytest.fixture
    def golden(self, gateway_url: str, token: Token) -> Golden:
        """Runs `golden circuits` in a role: its exit code, standard output and standard error."""

        async def run(role: str, *arguments: str) -> tuple[int, str, str]:
            given = {"GOLDEN_URL": gateway_url, "GOLDEN_TOKEN": token(role, tenant_name())}
            environment = {**{key: value for key, value in os.environ.items() if "GOLDEN" not in key}, **given}
            command = [sys.executable, "-m", "gateway.cli", "circuits", "--limit", "1000", *arguments]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
            out, err = await process.communicate()
            return process.returncode or 0, out.decode(), err.decode()

        return run

    async def test_it_shows_the_circuits_and_their_history(self, golden: Golden, worker: Circuits, name: str) -> None:
        await worker.report(name, Outcome.QUOTA, retry_after=800)
        code, shown, _ = await golden("operator")
        _, history, _ = await golden("operator", "--history", "--circuit", name)
        _, told, _ = await golden("operator", "--json")

        (row,) = [line.split() for line in shown.splitlines() if line.startswith(name)]
        assert (code, row[1], row[4:8], row[-1]) == (0, "paused", ["1", "0", "0", "0"], "host:1")
        assert history.splitlines()[1].split()[2:] == [name, "closed", "paused", "the", "provider's", "quota", "host:1"]
        assert name in [each["circuit"] for each in json.loads(told)["items"]]

    async def test_who_may_not_see_them_is_refused(self, golden: Golden) -> None:
        code, out, err = await golden("viewer")

        assert (code, out) == (3, "")
        assert "circuits:read" in err
