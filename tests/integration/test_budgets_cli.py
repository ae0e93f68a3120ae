"""`golden budget` as a process of its own against a real gateway and a real ledger."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from schema.database import Database
from schema.settings import Settings
from tests.support.budgets import admitted_task, set_account, spend
from tests.support.http import client, tenant_name

Token = Callable[..., str]
Golden = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def tenant() -> str:
    return tenant_name()


@pytest.fixture
def golden(settings: Settings, gateway_url: str, token: Token, tenant: str) -> Golden:
    """Runs `golden` as an admin of the tenant: its exit code, standard output and standard error."""
    given = {"GOLDEN_URL": gateway_url, "GOLDEN_TOKEN": token("admin", tenant, "ann")}
    environment = {**{name: value for name, value in os.environ.items() if "GOLDEN" not in name}, **given}

    async def run(*arguments: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "gateway.cli", "budget", *arguments]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe, stderr=pipe)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    return run


async def test_from_a_limit_to_a_top_up_and_a_check(
    golden: Golden, gateway_url: str, token: Token, tenant: str, database: Database
) -> None:
    limited = await golden("set", "--tokens", "21000", "--slots", "2")
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await admitted_task(http, database, budget_tokens=20_000)
    await spend(database, task, "plan", used=600)
    more = await golden("top-up", task["task_id"], "--tokens", "1000")
    no_more = await golden("top-up", task["task_id"], "--tokens", "1")
    _, shown, _ = await golden("show", "--json")
    _, entries, _ = await golden("entries", "--kind", "top_up", "--json")
    checked = await golden("check")

    assert [limited[0], more[0], no_more[0], checked[0]] == [0, 0, 3, 0]
    assert f"PUT /v1/budgets/{tenant}" in no_more[2]
    budget = json.loads(shown)
    assert [budget[name] for name in ("limit_tokens", "held_tokens", "slots", "slots_used")] == [21_000, 21_000, 2, 1]
    (entry,) = json.loads(entries)["items"]
    assert (UUID(entry["task_id"]), entry["held_tokens"], entry["actor"]) == (UUID(task["task_id"]), 1_000, "ann")


async def test_a_check_that_finds_something_ends_with_1(
    golden: Golden, gateway_url: str, token: Token, tenant: str, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant)) as http:
        await admitted_task(http, database)
    await set_account(database, tenant, held_tokens=1)
    code, out, _ = await golden("check")

    assert code == 1
    assert "sum: the account has held_tokens 1, its entries come to 20,000" in out
