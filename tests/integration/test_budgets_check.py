"""The check of the ledger: silent while all is well, and it names whatever somebody did behind the ledger's back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from schema.database import Database
from schema.settings import Settings
from schema.tables import accounts, ledger_entries, model_calls, tasks
from tests.support.budgets import admit, admitted_task, finish, rows_of, send, spend
from tests.support.http import client, submit, tenant_name

Token = Callable[..., str]
Tamper = Callable[[AsyncConnection, str, UUID], Awaitable[None]]


@dataclass(frozen=True)
class Story:
    """A tenant with a task that has ended and one that runs, and has a call under way."""

    tenant: str
    ended: UUID
    running: UUID


@pytest_asyncio.fixture(scope="module")
async def owner(settings: Settings, database: Database) -> AsyncIterator[AsyncEngine]:
    """The owner of the tables, who can do whatever they like."""
    engine = create_async_engine(settings.database("migrator"))
    yield engine
    await engine.dispose()


async def tell_story(url: str, token: Token, database: Database) -> Story:
    tenant = tenant_name()
    async with client(url, token("admin", tenant)) as http:
        await http.put(f"/v1/budgets/{tenant}", json={"limit_micro_usd": 10_000_000})
        ended, running = [await admitted_task(http, database, budget_tokens=20_000) for _ in range(2)]
        await spend(database, ended, "plan")
        await send(database, ended, "develop/1")
        await finish(database, ended)
        await spend(database, running, "plan")
        await send(database, running, "develop/1")
    return Story(tenant, UUID(ended["task_id"]), UUID(running["task_id"]))


async def check(url: str, token: Token, tenant: str) -> dict[str, Any]:
    async with client(url, token("developer", tenant)) as http:
        answer = await http.get(f"/v1/budgets/{tenant}/check")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def account(**changes: int) -> Tamper:
    async def tamper(connection: AsyncConnection, tenant: str, _task: UUID) -> None:
        more = {name: accounts.c[name] + value for name, value in changes.items()}
        await connection.execute(update(accounts).where(accounts.c.tenant == tenant).values(**more))

    return tamper


def task(**changes: Any) -> Tamper:
    async def tamper(connection: AsyncConnection, _tenant: str, task_id: UUID) -> None:
        more = {name: tasks.c[name] + value if type(value) is int else value for name, value in changes.items()}
        await connection.execute(update(tasks).where(tasks.c.task_id == task_id).values(**more))

    return tamper


def calls(**changes: Any) -> Tamper:
    async def tamper(connection: AsyncConnection, _tenant: str, task_id: UUID) -> None:
        mine = update(model_calls).where(model_calls.c.task_id == task_id, model_calls.c.step == "develop/1")
        await connection.execute(mine.values(**changes))

    return tamper


def entry(kind: str, **changes: int) -> Tamper:
    async def tamper(connection: AsyncConnection, _tenant: str, task_id: UUID) -> None:
        columns = ledger_entries.c
        more = {name: columns[name] + value for name, value in changes.items()}
        mine = update(ledger_entries).where(columns.task_id == task_id, columns.kind == kind)
        await connection.execute(mine.values(**more))

    return tamper


def without(kind: str) -> Tamper:
    async def tamper(connection: AsyncConnection, _tenant: str, task_id: UUID) -> None:
        columns = ledger_entries.c
        await connection.execute(delete(ledger_entries).where(columns.task_id == task_id, columns.kind == kind))

    return tamper


async def add_entry(connection: AsyncConnection, tenant: str, task_id: UUID) -> None:
    values = {"tenant": tenant, "account": "task", "task_id": task_id, "step": "forged", "epoch": 0, "ask": 0}
    amounts = {"held_tokens": 0, "spent_tokens": 1, "held_micro_usd": 0, "spent_micro_usd": 0}
    await connection.execute(insert(ledger_entries).values(**values, **amounts, dispatch=0, kind="settle"))


async def forget_the_account(connection: AsyncConnection, tenant: str, _task: UUID) -> None:
    await connection.execute(delete(accounts).where(accounts.c.tenant == tenant))


EARLIER = text("now() - interval '61 minutes'")

# What somebody does to which task, and the findings of which kind, about the account or the task, that must be told.
TAMPERINGS: list[tuple[str, str, Tamper, set[tuple[str, str]]]] = [
    ("account spent", "running", account(spent_tokens=-1), {("sum", "account"), ("drift", "account")}),
    ("account spent money", "running", account(spent_micro_usd=1), {("sum", "account"), ("drift", "account")}),
    ("account held", "running", account(held_tokens=1), {("sum", "account")}),
    ("account held money", "running", account(held_micro_usd=-1), {("sum", "account")}),
    ("a slot too many", "running", account(slots_used=1), {("hold", "account")}),
    ("a slot too few", "running", account(slots_used=-1), {("hold", "account")}),
    (
        "an account that is gone",
        "running",
        forget_the_account,
        {(each, "account") for each in ("sum", "hold", "drift")},
    ),
    ("task spent", "running", task(spent_tokens=-1), {("sum", "task")}),
    ("task spent money", "running", task(spent_micro_usd=-1), {("sum", "task")}),
    ("task held", "running", task(held_tokens=1), {("sum", "task"), ("hold", "task")}),
    ("task held money", "running", task(held_micro_usd=-1), {("sum", "task"), ("hold", "task")}),
    ("task charged", "ended", task(charged_tokens=-1), {("drift", "account"), ("drift", "task")}),
    ("task charged money", "ended", task(charged_micro_usd=1), {("drift", "account"), ("drift", "task")}),
    ("spent after the end", "ended", task(spent_tokens=1), {("sum", "task"), ("drift", "task")}),
    ("held after the end", "ended", task(held_tokens=1), {("sum", "task"), ("hold", "task")}),
    ("a slot after the end", "ended", task(admitted=True), {("hold", "account"), ("hold", "task")}),
    ("a hold without a slot", "running", task(admitted=False), {("hold", "account"), ("hold", "task")}),
    ("an end around the ledger", "running", task(state="failed"), {("hold", "task"), ("drift", "task")}),
    ("a call that nobody ends", "running", calls(sent_at=EARLIER), {("hold", "task")}),
    ("a call ended around the ledger", "running", calls(state="settled"), {("hold", "task")}),
    ("a call under way after the end", "ended", calls(state="sent"), {("hold", "task")}),
    ("an entry's tokens", "running", entry("settle", spent_tokens=-1), {("sum", "task")}),
    ("an entry's money", "running", entry("settle", spent_micro_usd=-1), {("sum", "task")}),
    ("an entry's hold", "running", entry("admit", held_tokens=1), {("sum", "account")}),
    ("an entry's charge", "ended", entry("close", spent_tokens=-1), {("sum", "account"), ("drift", "task")}),
    ("a deleted settlement", "ended", without("settle"), {("sum", "task")}),
    ("a deleted admission", "running", without("admit"), {("sum", "account")}),
    ("a deleted end", "ended", without("close"), {("sum", "account"), ("hold", "task"), ("drift", "task")}),
    ("a forged entry", "running", add_entry, {("sum", "task")}),
]


class TestFindings:
    async def test_a_ledger_of_what_ended_and_what_runs_agrees(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        story = await tell_story(gateway_url, token, database)
        report = await check(gateway_url, token, story.tenant)

        entries = len(await rows_of(database, ledger_entries, story.tenant))
        assert report == {"tenant": story.tenant, "ok": True, "entries": entries, "findings": []}
        assert entries == 14

    async def test_a_tenant_without_anything_agrees(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()

        assert await check(gateway_url, token, tenant) == {"tenant": tenant, "ok": True, "entries": 0, "findings": []}

    @pytest.mark.parametrize(
        ("whose", "tamper", "expected"), [each[1:] for each in TAMPERINGS], ids=[each[0] for each in TAMPERINGS]
    )
    async def test_it_is_found(
        self,
        whose: str,
        tamper: Tamper,
        expected: set[tuple[str, str]],
        gateway_url: str,
        token: Token,
        database: Database,
        owner: AsyncEngine,
    ) -> None:
        story = await tell_story(gateway_url, token, database)
        victim: UUID = getattr(story, whose)
        await ruin(owner, lambda connection: tamper(connection, story.tenant, victim))
        report = await check(gateway_url, token, story.tenant)

        found = {(each["kind"], "task" if each["task_id"] else "account") for each in report["findings"]}
        assert found == expected, report
        assert {each["task_id"] for each in report["findings"]} <= {None, str(victim)}
        assert report["ok"] is False

    async def test_an_entry_for_a_task_of_somebody_else_is_found(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        story, other = [await tell_story(gateway_url, token, database) for _ in range(2)]
        async with database.service() as connection:
            await add_entry(connection, story.tenant, other.running)
        report, others = [await check(gateway_url, token, each.tenant) for each in (story, other)]

        assert [(each["kind"], each["task_id"]) for each in report["findings"]] == [("sum", str(other.running))]
        assert others["ok"], others

    async def test_an_overrun_is_told_and_is_no_fault(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            task = await admitted_task(http, database)
        await spend(database, task, "plan", used=1_250, reserved=1_000)
        report = await check(gateway_url, token, tenant)

        (finding,) = report["findings"]
        assert report["ok"] is True
        assert (finding["kind"], finding["task_id"]) == ("overrun", task["task_id"])
        assert "250 tokens" in finding["message"]


async def test_work_under_way_is_no_finding(gateway_url: str, token: Token, database: Database) -> None:
    tenant, done = tenant_name(), asyncio.Event()
    reports: list[dict[str, Any]] = []

    async def watch() -> None:
        while not done.is_set():
            reports.append(await check(gateway_url, token, tenant))

    async def work(http: Any) -> None:
        for _ in range(3):
            task = await submit(http)
            await admit(database, task)
            await asyncio.gather(*(spend(database, task, f"develop/{number}") for number in range(4)))
            await finish(database, task)

    async with client(gateway_url, token("developer", tenant)) as http, asyncio.TaskGroup() as beside:
        beside.create_task(watch())
        await asyncio.gather(*(work(http) for _ in range(3)))
        done.set()

    assert len(reports) > 1
    assert [each["findings"] for each in reports if each["findings"]] == []


async def ruin(owner: AsyncEngine, act: Callable[[AsyncConnection], Awaitable[None]]) -> None:
    """Do something as the owner, whom only row-level security would keep from it."""
    names = ("accounts", "tasks", "model_calls", "ledger_entries")
    async with owner.begin() as connection:
        for name in names:
            await connection.execute(text(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY"))
        await act(connection)
        for name in names:
            await connection.execute(text(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY"))
