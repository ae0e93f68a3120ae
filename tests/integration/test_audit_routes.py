"""Reading, exporting and verifying the audit log over HTTP and by command, for one's own tenant only."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from schema.anchor import read_anchors
from schema.audit import AuditRecord, append
from schema.database import Database
from schema.settings import DEFAULT_RATE_LIMITS, Settings
from tests.integration.conftest import running_gateway
from tests.support.audit import chain_of
from tests.support.http import client, problem, submit, tenant_name
from tests.support.parts import free_port

Token = Callable[..., str]
Golden = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest_asyncio.fixture
async def tenant(database: Database) -> str:
    """A tenant with five records."""
    name = tenant_name()
    records = [
        AuditRecord(actor=actor, action=action, outcome=outcome, object=str(number))
        for number, (actor, action, outcome) in enumerate(
            [
                ("ann", "tasks.submit", "allowed"),
                ("bob", "tasks.submit", "denied"),
                ("ann", "tasks.cancel", "allowed"),
                ("ann", "tasks.submit", "allowed"),
                ("bob", "tasks.show", "allowed"),
            ]
        )
    ]
    for record in records:
        async with database.tenant(name) as connection:
            await append(connection, name, [record])
    return name


@pytest_asyncio.fixture
async def auditor(gateway_url: str, token: Token, tenant: str) -> AsyncIterator[httpx.AsyncClient]:
    async with client(gateway_url, token("operator", tenant, "auditor")) as http:
        yield http


async def listed(http: httpx.AsyncClient, **query: Any) -> list[str]:
    """The ids that the records found are about, without those that the auditor made."""
    answer = await http.get("/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    return [each["object"] for each in answer.json()["items"] if each["actor"] != "auditor"]


class TestList:
    async def test_records_are_shown_whole_and_oldest_first(
        self, auditor: httpx.AsyncClient, database: Database, tenant: str
    ) -> None:
        items = (await auditor.get("/v1/audit", params={"limit": 5})).json()["items"]

        chain = await chain_of(database, tenant)
        assert items == [record.model_dump(mode="json") for record in chain[:5]]
        shape = "sequence at tenant actor role action object outcome reason request_id trace_id digest previous hash"
        assert set(items[0]) == set(shape.split())

    async def test_it_is_found_by_who_what_how_and_when(self, auditor: httpx.AsyncClient) -> None:
        page = (await auditor.get("/v1/audit", params={"limit": 5})).json()["items"]
        third = page[2]["at"]

        assert await listed(auditor, actor="bob") == ["1", "4"]
        assert await listed(auditor, action="tasks.submit", actor="ann") == ["0", "3"]
        assert await listed(auditor, outcome="denied") == ["1"]
        assert await listed(auditor, object="3") == ["3"]
        assert await listed(auditor, since=third) == ["2", "3", "4"]
        assert await listed(auditor, until=third) == ["0", "1"]
        assert await listed(auditor, actor="' OR 1=1 --") == []

    @pytest.mark.parametrize(("order", "wanted"), [("oldest", ["0", "1", "2", "3", "4"]), ("newest", list("43210"))])
    async def test_pages_hold_each_record_once(self, order: str, wanted: list[str], auditor: httpx.AsyncClient) -> None:
        found: list[str] = []
        after: dict[str, int] = {}
        while True:
            query: dict[str, str | int] = {"limit": 2, "order": order, "action": "tasks.submit", **after}
            page = (await auditor.get("/v1/audit", params=query)).json()
            found += [each["object"] for each in page["items"]]
            if page["next_cursor"] is None:
                break
            after = {"after": page["next_cursor"]}

        assert found == [each for each in wanted if each in ("0", "1", "3")]

    @pytest.mark.parametrize(
        "query",
        [
            *({"limit": 0}, {"limit": 1001}, {"after": -1}, {"after": 2**63}, {"since": "yesterday"}, {"order": "x"}),
            *({"since": "2026-01-01T00:00:00"}, {"who": "ann"}, {"actor": "x" * 1001}),
        ],
        ids=str,
    )
    async def test_what_cannot_be_meant_is_422(self, query: Any, auditor: httpx.AsyncClient) -> None:
        answer = await auditor.get("/v1/audit", params=query)

        assert (answer.status_code, problem(answer)) == (422, "invalid-request")
        assert answer.json()["errors"][0]["field"] in query

    async def test_that_it_was_read_is_recorded(
        self, auditor: httpx.AsyncClient, database: Database, tenant: str
    ) -> None:
        await auditor.get("/v1/audit")

        last = (await chain_of(database, tenant))[-1]
        assert (last.actor, last.role, last.action, last.outcome) == ("auditor", "operator", "audit.list", "allowed")


class TestIsolation:
    @pytest.mark.parametrize("role", ["developer", "approver", "viewer"])
    async def test_only_admins_and_operators_read_it(
        self, role: str, gateway_url: str, token: Token, tenant: str
    ) -> None:
        async with client(gateway_url, token(role, tenant)) as http:
            answers = [await http.get(path) for path in ("/v1/audit", "/v1/audit/verify")]

        assert {answer.status_code for answer in answers} == {403}

    async def test_an_auditor_sees_their_own_tenants_chain_and_no_other(
        self, gateway_url: str, token: Token, tenant: str
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name(), "eve")) as http:
            mine = (await http.get("/v1/audit")).json()["items"]
            named = [await http.get("/v1/audit", headers={"Golden-Tenant": each}) for each in (tenant, "*")]
            verified = (await http.get("/v1/audit/verify")).json()

        assert {each["actor"] for each in mine} <= {"eve"}
        assert {answer.status_code for answer in named} == {403}
        assert verified["records"] < 5

    async def test_a_principal_of_the_platform_names_the_tenant_or_the_platform(
        self, gateway_url: str, token: Token, tenant: str
    ) -> None:
        async with client(gateway_url, token("admin", "*", "root")) as http:
            unnamed = await http.get("/v1/audit")
            named = await http.get("/v1/audit", headers={"Golden-Tenant": tenant}, params={"limit": 5})
            platform = (await http.get("/v1/audit", headers={"Golden-Tenant": "*"})).json()["items"]
            verified = (await http.get("/v1/audit/verify", headers={"Golden-Tenant": "*"})).json()
            elsewhere = await http.get("/v1/tasks", headers={"Golden-Tenant": "*"})

        assert (unnamed.status_code, elsewhere.status_code) == (422, 422)
        assert [each["object"] for each in named.json()["items"]] == list("01234")
        assert {each["tenant"] for each in platform} == {"*"}
        assert verified["tenant"] == "*"


class TestVerify:
    async def test_a_gateway_anchors_what_is_appended_and_then_vouches_for_it(
        self, settings: Settings, token: Token, tmp_path: Path, tenant: str
    ) -> None:
        own = settings.model_copy(update={"gateway_port": free_port(), "audit_anchor": tmp_path / "anchors.jsonl"})
        async with running_gateway(own), client(own.gateway_url, token("admin", tenant)) as http:
            await submit(http)
            report: dict[str, Any] = {"anchored": 0}
            async with asyncio.timeout(20):
                while report["anchored"] < 6:
                    report = (await http.get("/v1/audit/verify")).json()

        assert (report["intact"], report["findings"]) == (True, [])

    async def test_at_its_end_a_gateway_anchors_the_last(
        self, settings: Settings, token: Token, tmp_path: Path, tenant: str, database: Database
    ) -> None:
        own = settings.model_copy(update={"gateway_port": free_port(), "audit_anchor": tmp_path / "anchors.jsonl"})
        async with running_gateway(own), client(own.gateway_url, token("admin", tenant)) as http:
            await submit(http)
        chain = await chain_of(database, tenant)
        anchors = read_anchors(own)

        assert anchors.heads[tenant][len(chain)] == chain[-1].hash
        assert anchors.faults == []

    async def test_two_gateways_keep_one_file(
        self, settings: Settings, token: Token, tmp_path: Path, tenant: str
    ) -> None:
        one, other = (
            settings.model_copy(update={"gateway_port": free_port(), "audit_anchor": tmp_path / "anchors.jsonl"})
            for _ in range(2)
        )
        async with running_gateway(one), running_gateway(other):
            for gateway in (one, other) * 3:
                async with client(gateway.gateway_url, token("admin", tenant)) as http:
                    await submit(http)

        assert read_anchors(one).faults == []


def read_lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in Path(path).read_text().splitlines()]


class TestCommands:
    @pytest_asyncio.fixture
    async def limited(self, settings: Settings) -> AsyncIterator[Settings]:
        """A gateway with the limits as they are by default."""
        # But for failures, which other tests have from this machine's address.
        limits = DEFAULT_RATE_LIMITS | {"unauthenticated": 5000}
        own = settings.model_copy(update={"gateway_port": free_port(), "rate_limits": limits})
        async with running_gateway(own):
            yield own

    @pytest.fixture
    def golden(self, limited: Settings, token: Token, tenant: str) -> Golden:
        """Runs `golden` as an operator of the tenant: its exit code, standard output and standard error."""
        given = {"GOLDEN_URL": limited.gateway_url, "GOLDEN_TOKEN": token("operator", tenant, "auditor")}
        environment = {**{name: value for name, value in os.environ.items() if "GOLDEN" not in name}, **given}

        async def run(*arguments: str) -> tuple[int, str, str]:
            command = [sys.executable, "-m", "gateway.cli", *arguments]
            pipe = asyncio.subprocess.PIPE
            process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
            out, err = await process.communicate()
            return process.returncode or 0, out.decode(), err.decode()

        return run

    async def test_list_shows_the_newest_first(self, golden: Golden) -> None:
        _, shown, _ = await golden("audit", "list", "--actor", "ann")
        _, told, _ = await golden("audit", "list", "--outcome", "denied", "--json")

        assert [row.split()[-2] for row in shown.splitlines()[1:]] == ["3", "2", "0"]
        assert [each["object"] for each in json.loads(told)["items"]] == ["1"]

    async def test_export_writes_one_event_a_line(self, golden: Golden, tmp_path: Path) -> None:
        output = str(tmp_path / "events.jsonl")
        code, _, _ = await golden("audit", "export", "--output", output)
        again = await golden("audit", "export", "--output", output)
        _, streamed, _ = await golden("audit", "export", "--after", "3", "--until", "9999-01-01T00:00:00Z")

        events = read_lines(output)
        assert code == 0
        assert [each["resources"][0]["uid"] for each in events[:5]] == list("01234")
        assert (again[0], "File exists" in again[2]) == (2, True)
        assert json.loads(streamed.splitlines()[0])["metadata"]["sequence"] == 4

    async def test_a_limit_is_told_with_its_wait_and_ends_a_command_with_3(
        self, golden: Golden, limited: Settings, token: Token, tenant: str
    ) -> None:
        async with client(limited.gateway_url, token("operator", tenant, "auditor")) as http:
            answers = [await http.get("/v1/tasks") for _ in range(60)]
        code, _, told = await golden("tasks")

        assert {answer.status_code for answer in answers} == {200}
        assert code == 3
        assert "60 requests a minute are let in: try again in" in told
