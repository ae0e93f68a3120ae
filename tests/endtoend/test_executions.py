"""`POST /v1/sandbox/executions` through the whole stack and a real sandbox: what an honest client and others get."""

import itertools
from typing import Any

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client

from gateway.authorisation import Role
from schema.audit import GENESIS, recompute
from schema.database import Database
from schema.messages.sandbox import SandboxRun
from tests.support.audit import acts_of, chain_of
from tests.support.golden import Golden
from tests.support.histories import record
from tests.support.http import problem, tenant_name
from tests.support.specs import BAD, GOOD, TESTS

ROUTE = "/v1/sandbox/executions"
PYTEST = ["python", "-m", "pytest", "-q"]
ADDRESSES = (f"198.51.100.{number}" for number in itertools.count(1))

pytestmark = pytest.mark.sandbox


@pytest_asyncio.fixture
async def database(golden: Golden) -> Any:
    database = Database.from_settings(golden.settings)
    yield database
    await database.close()


@pytest.fixture
def tenant() -> str:
    return tenant_name()


@pytest.fixture
def address() -> str:
    """The client address of one test: each has its own ten runs a minute."""
    return next(ADDRESSES)


def client(golden: Golden, address: str, tenant: str, role: Role = "developer") -> httpx.AsyncClient:
    http = golden.client(role, tenant)
    http.headers["X-Forwarded-For"] = address
    http.timeout = httpx.Timeout(120)
    return http


async def run(http: httpx.AsyncClient, code: str, **fields: Any) -> SandboxRun:
    body = {"files": {"main.py": code}, "command": ["python", "main.py"], **fields}
    answer = await http.post(ROUTE, json=body)
    assert answer.status_code == 200, answer.text
    return SandboxRun.model_validate(answer.json())


async def test_an_honest_program_gives_its_output_its_exit_code_and_its_isolation(
    golden: Golden, address: str, tenant: str
) -> None:
    async with client(golden, address, tenant) as http:
        ended = await run(http, "import sys\nprint('hello')\nprint('oh', file=sys.stderr)\nsys.exit(3)\n")

    assert (ended.stdout, ended.stderr, ended.exit_code) == ("hello\n", "oh\n", 3)
    assert (ended.isolation, ended.limit, ended.tests) == ("gvisor", None, ())
    assert ended.usage.wall_seconds > 0


async def test_a_pytest_form_is_judged(golden: Golden, address: str, tenant: str) -> None:
    async with client(golden, address, tenant) as http:
        good, bad = [
            await run(http, "", files={"work.py": code}, tests={"test_work.py": TESTS}, command=PYTEST)
            for code in (GOOD, BAD)
        ]

    assert good.passed
    assert [test.outcome for test in good.tests] == ["passed", "passed"]
    assert not bad.passed
    assert "failed" in [test.outcome for test in bad.tests]


async def test_a_limit_is_told_and_never_a_pass(golden: Golden, address: str, tenant: str, database: Database) -> None:
    async with client(golden, address, tenant) as http:
        ended = await run(http, "print('begun', flush=True)\nwhile True: pass\n", limits={"seconds": 1})

    assert (ended.limit, ended.stdout, ended.passed) == ("timeout", "begun\n", False)
    told = (await chain_of(database, tenant))[-1]
    assert (told.outcome, told.reason) == ("limit", "timeout, isolation gvisor")


async def test_a_viewer_may_not(golden: Golden, address: str, tenant: str, database: Database) -> None:
    async with client(golden, address, tenant, "viewer") as http:
        answer = await http.post(ROUTE, json={"command": ["true"]})

    assert (answer.status_code, problem(answer)) == (403, "forbidden")
    assert [each.outcome for each in await acts_of(database, tenant)] == ["denied"]


async def test_each_run_leaves_its_records_and_its_workflow(
    golden: Golden, address: str, tenant: str, database: Database, temporal: Client
) -> None:
    async with client(golden, address, tenant) as http:
        await run(http, "print(1)")
        await run(http, "print(2)")

    chain = await chain_of(database, tenant)
    acts = [each for each in chain if each.action.startswith("sandbox.")]
    assert [each.action for each in acts] == ["sandbox.execute", "sandbox.run"] * 2
    previous = GENESIS
    for each in chain:
        assert recompute(each, previous) == each.hash
        previous = each.hash
    await record(temporal, f"execution/{acts[0].object}", "SandboxExecution-done")


async def test_the_eleventh_of_a_minute_is_refused(golden: Golden, address: str, tenant: str) -> None:
    async with client(golden, address, tenant, "viewer") as http:
        answers = [await http.post(ROUTE, json={"command": ["true"]}) for _ in range(11)]

    assert [answer.status_code for answer in answers] == [403] * 10 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
