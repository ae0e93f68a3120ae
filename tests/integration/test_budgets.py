"""Budgets over HTTP: accounts, limits and entries, and what no other tenant hears of them."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy.exc
from sqlalchemy import delete, update

from gateway.authorisation import ROLES, Role
from schema.audit import payload_digest
from schema.database import Database
from schema.settings import Settings
from schema.tables import accounts, ledger_entries
from tests.support.audit import acts_of
from tests.support.budgets import admitted_task, finish, rows_of, spend, waits
from tests.support.http import client, problem, submit, tenant_name

Token = Callable[..., str]

NOTHING = {"spent_tokens": 0, "held_tokens": 0, "spent_micro_usd": 0, "held_micro_usd": 0, "slots_used": 0}
FORGED = [1.5, 1.0, -1, 1e99, 2**53 + 1, 2**64, "5", "none", True, [], {}]
ENTRY = [
    *("id", "at", "account", "task_id", "step", "epoch", "ask", "dispatch", "kind"),
    *("held_tokens", "spent_tokens", "held_micro_usd", "spent_micro_usd", "actor"),
]


def path(tenant: str) -> str:
    return f"/v1/budgets/{tenant}"


class TestAccount:
    async def test_a_tenant_that_never_submitted_has_what_its_first_task_would_give_it(
        self, gateway_url: str, token: Token, database: Database, settings: Settings
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            before = (await http.get(path(tenant))).json()
            rows = await rows_of(database, accounts, tenant)
            await submit(http)
            after = (await http.get(path(tenant))).json()

        limits = {"limit_tokens": None, "limit_micro_usd": None, "slots": settings.tenant_slots}
        assert before == after == {"tenant": tenant, **limits, **NOTHING}
        assert rows == []

    async def test_it_shows_what_a_task_holds_and_what_it_has_spent_at_its_end(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await http.put(path(tenant), json={"limit_micro_usd": 1_000_000})
            task = await admitted_task(http, database, budget_tokens=20_000)
            running = (await http.get(path(tenant))).json()
            await spend(database, task, "plan", used=600)
            await finish(database, task)
            ended = (await http.get(path(tenant))).json()

        assert [running[name] for name in ("held_tokens", "held_micro_usd", "slots_used")] == [20_000, 40_000, 1]
        assert [ended[name] for name in ("held_tokens", "held_micro_usd", "slots_used")] == [0, 0, 0]
        assert [ended[name] for name in ("spent_tokens", "spent_micro_usd")] == [600, 1_200]

    async def test_put_makes_the_account_and_is_recorded_with_the_digest_of_what_was_set(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant, limits = tenant_name(), {"limit_tokens": 50_000, "limit_micro_usd": None, "slots": 3}
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            answer = await http.put(path(tenant), json=limits)
            shown = (await http.get(path(tenant))).json()

        assert answer.json() == shown == {"tenant": tenant, **limits, **NOTHING}
        (act,) = [each for each in await acts_of(database, tenant) if each.action == "budgets.write"]
        assert (act.actor, act.outcome, act.object) == ("ann", "allowed", tenant)
        assert act.digest == payload_digest(limits)

    async def test_what_is_left_out_stays_and_null_is_no_limit(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            bodies = [{"limit_tokens": 5, "limit_micro_usd": 6, "slots": 7}, {"limit_tokens": None}, {"slots": 0}, {}]
            answers = [(await http.put(path(tenant), json=body)).json() for body in bodies]

        shown = [(each["limit_tokens"], each["limit_micro_usd"], each["slots"]) for each in answers]
        assert shown == [(5, 6, 7), (None, 6, 7), (None, 6, 0), (None, 6, 0)]

    async def test_a_limit_below_what_is_spent_and_held_is_taken(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await admitted_task(http, database, budget_tokens=20_000)
            answer = (await http.put(path(tenant), json={"limit_tokens": 1})).json()

        assert (answer["limit_tokens"], answer["held_tokens"]) == (1, 20_000)

    async def test_racing_puts_of_different_limits_all_count(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            bodies = [{name: 9} for name in ("limit_tokens", "limit_micro_usd", "slots")] * 5
            answers = await asyncio.gather(*(http.put(path(tenant), json=body) for body in bodies))
            shown = (await http.get(path(tenant))).json()

        assert {answer.status_code for answer in answers} == {200}
        assert [shown[name] for name in ("limit_tokens", "limit_micro_usd", "slots")] == [9, 9, 9]

    @pytest.mark.parametrize("field", ["limit_tokens", "limit_micro_usd", "slots"])
    @pytest.mark.parametrize("forged", FORGED, ids=repr)
    async def test_a_forged_number_is_refused_and_changes_nothing(
        self, field: str, forged: Any, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            answer = await http.put(path(tenant), json={field: forged})

        assert (answer.status_code, problem(answer)) == (422, "invalid-request")
        assert answer.json()["errors"][0]["field"] == field
        assert await rows_of(database, accounts, tenant) == []

    @pytest.mark.parametrize(
        "body", [{"slots": None}, {"spent_tokens": 0}, {"held_tokens": 0}, {"tenant": "x"}, {"slots_used": 0}], ids=repr
    )
    async def test_nothing_but_limits_is_taken(self, body: dict[str, Any], gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            answer = await http.put(path(tenant), json=body)

        assert (answer.status_code, problem(answer)) == (422, "invalid-request")

    @pytest.mark.parametrize("role", ROLES)
    async def test_watchers_see_and_admins_set(self, role: Role, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token(role, tenant)) as http:
            seen = [await http.get(path(tenant) + more) for more in ("", "/entries", "/check")]
            put = await http.put(path(tenant), json={"slots": 1})

        may_see = role in ("admin", "operator", "developer")
        assert {answer.status_code for answer in seen} == {200 if may_see else 403}
        assert put.status_code == (200 if role == "admin" else 403)


class TestWalls:
    @pytest.mark.parametrize("more", ["", "/entries", "/check"])
    async def test_another_tenants_budget_is_404_whether_there_is_one_or_not(
        self, more: str, gateway_url: str, token: Token
    ) -> None:
        theirs = tenant_name()
        async with client(gateway_url, token("admin", theirs)) as http:
            await submit(http)
        async with client(gateway_url, token("admin", tenant_name())) as http:
            answers = [await http.get(path(each) + more) for each in (theirs, tenant_name(), "*", "' OR true --")]

        assert [(each.status_code, problem(each)) for each in answers] == [(404, "not-found")] * 4
        assert len({each.json()["detail"] for each in answers}) == 1

    async def test_another_tenants_limits_are_404_and_stay(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        theirs = tenant_name()
        async with client(gateway_url, token("admin", theirs)) as http:
            await submit(http)
            before = await rows_of(database, accounts, theirs)
        async with client(gateway_url, token("admin", tenant_name())) as http:
            answer = await http.put(path(theirs), json={"slots": 0})

        assert (answer.status_code, problem(answer)) == (404, "not-found")
        assert await rows_of(database, accounts, theirs) == before

    async def test_the_platform_names_the_tenant_that_the_path_names(self, gateway_url: str, token: Token) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", "*")) as http:
            unnamed = await http.get(path(tenant))
            named = await http.put(path(tenant), json={"slots": 2}, headers={"Golden-Tenant": tenant})
            another = await http.get(path(tenant), headers={"Golden-Tenant": tenant_name()})

        assert [each.status_code for each in (unnamed, named, another)] == [422, 200, 404]
        assert named.json()["slots"] == 2


class TestEntries:
    async def test_they_are_listed_newest_first_in_pages(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            task = await admitted_task(http, database)
            await spend(database, task, "plan")
            await finish(database, task)
            everything = (await http.get(f"{path(tenant)}/entries")).json()
            pages: list[list[dict[str, Any]]] = []
            cursor = None
            while not pages or cursor is not None:
                query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
                page = (await http.get(f"{path(tenant)}/entries", params=query)).json()
                pages.append(page["items"])
                cursor = page["next_cursor"]

        items = everything["items"]
        assert [each["kind"] for each in items] == ["close", "settle", "sent", "reserve", "admit"]
        assert [each for page in pages for each in page] == items
        assert all(list(each) == ENTRY for each in items)
        assert everything["next_cursor"] is None

    async def test_they_are_narrowed_by_task_and_kind(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            tasks = [await admitted_task(http, database) for _ in range(2)]
            await spend(database, tasks[0], "plan")

            async def kinds(**query: str) -> list[str]:
                page = (await http.get(f"{path(tenant)}/entries", params=query)).json()
                return [each["kind"] for each in page["items"]]

            assert await kinds(task=tasks[1]["task_id"]) == ["admit"]
            assert await kinds(kind="admit") == ["admit", "admit"]
            assert await kinds(kind="settle", task=tasks[0]["task_id"]) == ["settle"]
            assert await kinds(task=str(uuid4())) == []

    @pytest.mark.parametrize(
        "query",
        [{"kind": "gift"}, {"task": "1"}, {"cursor": "0"}, {"cursor": "x"}, {"limit": "1001"}, {"limit": "1e3"}],
        ids=repr,
    )
    async def test_a_query_that_means_nothing_is_refused(
        self, query: dict[str, str], gateway_url: str, token: Token
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            answer = await http.get(f"{path(tenant)}/entries", params=query)

        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(query)))

    async def test_another_tenants_are_reached_neither_by_task_nor_by_cursor(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        theirs, mine = tenant_name(), tenant_name()
        async with client(gateway_url, token("developer", theirs)) as http:
            task = await admitted_task(http, database)
            await spend(database, task, "plan")
            entry = (await http.get(f"{path(theirs)}/entries")).json()["items"][0]
        async with client(gateway_url, token("admin", mine)) as http:
            by_task = await http.get(f"{path(mine)}/entries", params={"task": task["task_id"]})
            by_cursor = await http.get(f"{path(mine)}/entries", params={"cursor": entry["id"]})
            by_path = await http.get(f"{path(theirs)}/entries", params={"cursor": entry["id"]})

        assert by_task.json() == {"items": [], "next_cursor": None}
        assert (by_cursor.status_code, by_path.status_code) == (422, 404)

    @pytest.mark.parametrize("act", [update(ledger_entries).values(held_tokens=0), delete(ledger_entries)], ids=str)
    @pytest.mark.parametrize("role", ["tenant", "service"])
    async def test_nobody_changes_or_deletes_one(
        self, role: str, act: Any, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            await admitted_task(http, database)
        before = await rows_of(database, ledger_entries, tenant)
        with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
            async with database.tenant(tenant) if role == "tenant" else database.service() as connection:
                await connection.execute(act.where(ledger_entries.c.tenant == tenant))

        assert await rows_of(database, ledger_entries, tenant) == before != []


async def test_room_made_by_a_put_is_enough_for_who_waits(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("admin", tenant)) as http:
        await http.put(path(tenant), json={"limit_tokens": 19_999})
        task = await submit(http, budget_tokens=20_000)
        before = await waits(database, task)
        await http.put(path(tenant), json={"limit_tokens": 20_000})
        after = await waits(database, task)
        shown = (await http.get(path(tenant))).json()

    assert (before, after, shown["held_tokens"]) == (True, False, 20_000)
