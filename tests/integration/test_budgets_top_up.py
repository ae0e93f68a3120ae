"""Top-ups: more budget for a task, held where there is room for it, and what is parked for it goes on."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client

from schema.audit import payload_digest
from schema.database import Database
from schema.tables import accounts, tasks
from tests.support.audit import acts_of
from tests.support.budgets import admit, admitted_task, entries_of, finish, rows_of
from tests.support.http import client, problem, set_task, submit, tenant_name
from tests.support.letters import SIGNAL, park, read, signals_of

Token = Callable[..., str]

FORGED = [1.5, 1.0, -1, 1e99, 2**53 + 1, "5", True, None, []]


def path(task: dict[str, Any]) -> str:
    return f"/v1/tasks/{task['task_id']}/top-up"


async def budget_of(database: Database, task: dict[str, Any]) -> tuple[int, int | None]:
    (row,) = [
        each for each in await rows_of(database, tasks, task["tenant"]) if str(each["task_id"]) == task["task_id"]
    ]
    return row["budget_tokens"], row["budget_micro_usd"]


async def held(database: Database, tenant: str) -> tuple[int, int]:
    (row,) = await rows_of(database, accounts, tenant)
    return row["held_tokens"], row["held_micro_usd"]


class TestBudget:
    async def test_an_admitted_task_holds_as_much_more_of_the_account(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            await http.put(f"/v1/budgets/{tenant}", json={"limit_micro_usd": 100_000})
            task = await admitted_task(http, database, budget_tokens=20_000)
            answer = await http.post(path(task), json={"tokens": 5_000, "micro_usd": 7})
            check = (await http.get(f"/v1/budgets/{tenant}/check")).json()

        assert (answer.status_code, answer.json()["task_id"]) == (200, task["task_id"])
        assert await budget_of(database, task) == (25_000, 40_007)
        assert await held(database, tenant) == (25_000, 40_007)
        (entry,) = await entries_of(database, tenant, "top_up")
        assert (entry["account"], entry["actor"]) == ("tenant", "ann")
        assert (entry["held_tokens"], entry["held_micro_usd"], entry["spent_tokens"]) == (5_000, 7, 0)
        assert check["ok"], check

    async def test_one_that_waits_holds_nothing_until_it_is_admitted(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            task = await submit(http, budget_tokens=20_000)
            await http.post(path(task), json={"tokens": 5_000})
            before = await held(database, tenant)
            await admit(database, task)
            check = (await http.get(f"/v1/budgets/{tenant}/check")).json()

        assert await budget_of(database, task) == (25_000, None)
        assert (before, await held(database, tenant)) == ((0, 0), (25_000, 0))
        assert check["ok"], check

    async def test_all_of_it_is_given_back_at_the_end(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            task = await admitted_task(http, database)
            for _ in range(3):
                assert (await http.post(path(task), json={"tokens": 5_000})).status_code == 200
            await finish(database, task)
            check = (await http.get(f"/v1/budgets/{tenant}/check")).json()

        assert await held(database, tenant) == (0, 0)
        assert len(await entries_of(database, tenant, "top_up")) == 3
        assert check["ok"], check

    async def test_twenty_at_once_on_room_for_five_are_five(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": 25_999})
            task = await admitted_task(http, database, budget_tokens=20_000)
            asked = (http.post(path(task), json={"tokens": 1_000}) for _ in range(20))
            answers = await asyncio.gather(*asked)
            check = (await http.get(f"/v1/budgets/{tenant}/check")).json()

        assert sorted(each.status_code for each in answers) == [200] * 5 + [409] * 15
        assert {problem(each) for each in answers if each.status_code == 409} == {"budget-exhausted"}
        assert await held(database, tenant) == (25_000, 0)
        assert await budget_of(database, task) == (25_000, None)
        assert len(await entries_of(database, tenant, "top_up")) == 5
        assert check["ok"], check

    async def test_top_ups_limits_and_ends_that_race_leave_the_sums_true(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            mine = [await admitted_task(http, database, budget_tokens=20_000) for _ in range(4)]
            acts: list[Any] = [http.post(path(task), json={"tokens": 1_000}) for task in mine * 3]
            acts += [http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": n * 10_000}) for n in range(8, 12)]
            acts += [finish(database, task) for task in mine[:2]]
            checks = [http.get(f"/v1/budgets/{tenant}/check") for _ in range(5)]
            found = await asyncio.gather(*acts, *checks)
            after = (await http.get(f"/v1/budgets/{tenant}/check")).json()

        assert [each.json()["findings"] for each in found[-5:]] == [[]] * 5
        assert after["ok"], after

    async def test_a_refusal_says_what_is_left_and_what_to_do(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": 21_500})
            task = await admitted_task(http, database, budget_tokens=20_000)
            answer = await http.post(path(task), json={"tokens": 2_000})
            await http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": 22_000})
            again = await http.post(path(task), json={"tokens": 2_000})

        assert (answer.status_code, problem(answer)) == (409, "budget-exhausted")
        assert "1,500" in answer.json()["detail"]
        assert f"PUT /v1/budgets/{tenant}" in answer.json()["detail"]
        assert again.status_code == 200


class TestRefusals:
    @pytest.mark.parametrize("state", ["accepted", "rejected", "failed", "cancelled"])
    async def test_a_task_that_has_ended_gets_no_more(
        self, state: str, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            await set_task(database, task, state=state)
            answer = await http.post(path(task), json={"tokens": 1})

        assert (answer.status_code, problem(answer), answer.json()["state"]) == (409, "task-final", state)
        assert await entries_of(database, task["tenant"], "top_up") == []

    @pytest.mark.parametrize(
        ("field", "forged"), [("tokens", 0), *itertools.product(("tokens", "micro_usd"), FORGED)], ids=repr
    )
    async def test_a_forged_number_is_refused(
        self, field: str, forged: Any, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            answer = await http.post(path(task), json={"tokens": 1, field: forged})

        assert (answer.status_code, problem(answer)) == (422, "invalid-request")
        assert answer.json()["errors"][0]["field"] == field
        assert await budget_of(database, task) == (20_000, None)

    async def test_another_tenants_task_is_404_and_stays(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            letter = await park(database, task, kind="budget")
        async with client(gateway_url, token("admin", tenant_name())) as http:
            answers = [await http.post(path(each), json={"tokens": 1}) for each in (task, {"task_id": str(uuid4())})]

        assert [(each.status_code, problem(each)) for each in answers] == [(404, "not-found")] * 2
        assert await budget_of(database, task) == (20_000, None)
        assert (await read(database, letter)).state == "open"


class TestKeys:
    async def test_the_same_key_tops_up_once_however_many_ask_at_once(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name()), **{"Idempotency-Key": "k"}) as http:
            task = await admitted_task(http, database)
            answers = await asyncio.gather(*(http.post(path(task), json={"tokens": 1_000}) for _ in range(5)))

        assert {each.status_code for each in answers} == {200}
        assert await budget_of(database, task) == (21_000, None)

    async def test_the_same_key_for_another_amount_or_task_is_refused(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            mine, other = await submit(http), await submit(http)
            key = {"Idempotency-Key": "k"}
            asked = [(mine, 1_000), (mine, 2_000), (other, 1_000)]
            answers = [await http.post(path(task), json={"tokens": more}, headers=key) for task, more in asked]

        assert [each.status_code for each in answers] == [200, 409, 409]
        assert {problem(each) for each in answers[1:]} == {"idempotency-key-reused"}
        assert await budget_of(database, other) == (20_000, None)

    async def test_a_refused_one_leaves_its_key_free(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant, key = tenant_name(), {"Idempotency-Key": "k"}
        async with client(gateway_url, token("admin", tenant)) as http:
            await http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": 20_000})
            task = await admitted_task(http, database, budget_tokens=20_000)
            refused = await http.post(path(task), json={"tokens": 1}, headers=key)
            await http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": 20_001})
            done = await http.post(path(task), json={"tokens": 1}, headers=key)

        assert (refused.status_code, done.status_code) == (409, 200)

    async def test_each_is_in_the_audit_log_with_its_digest(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant, key = tenant_name(), {"Idempotency-Key": "k"}
        async with client(gateway_url, token("admin", tenant, "ann")) as http:
            task = await submit(http)
            for _ in range(2):
                await http.post(path(task), json={"tokens": 1_000}, headers=key)

        acts = [each for each in await acts_of(database, tenant) if each.action == "tasks.top-up"]
        assert [(each.actor, each.object, each.outcome) for each in acts] == [("ann", task["task_id"], "allowed")] * 2
        assert {each.digest for each in acts} == {payload_digest({"tokens": 1_000, "micro_usd": 0})}
        assert acts[0].reason is None
        assert (acts[1].reason or "").startswith("repeated")


class TestLetters:
    async def test_what_is_parked_for_its_budget_is_redriven_and_its_workflow_told(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name(), "ann")) as http:
            task = await admitted_task(http, database)
            letters = [await park(database, task, step, kind="budget") for step in ("develop/1", "develop/2")]
            other = await park(database, task, "develop/3", kind="model")
            await http.post(path(task), json={"tokens": 1_000})

        for letter in letters:
            row = await read(database, letter)
            assert (row.state, row.decided_by, row.reason, row.decided_at is None) == (
                "redriven",
                "ann",
                "top-up",
                False,
            )
        assert (await read(database, other)).state == "open"
        assert await signals_of(temporal_client, task) == [SIGNAL]

    async def test_the_workflow_that_the_letter_names_is_told(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task, voting = await admitted_task(http, database), await submit(http)
            await park(database, task, "ballot/security/1", kind="budget", workflow_id=f"task/{voting['task_id']}")
            await http.post(path(task), json={"tokens": 1_000})

        assert await signals_of(temporal_client, task) == []
        assert await signals_of(temporal_client, voting) == [SIGNAL]

    async def test_a_lost_workflow_is_no_reason_to_refuse(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await admitted_task(http, database)
            letter = await park(database, task, kind="budget", workflow_id=f"task/{uuid4()}")
            answer = await http.post(path(task), json={"tokens": 1_000})

        assert answer.status_code == 200
        assert (await read(database, letter)).state == "redriven"

    async def test_a_refused_top_up_decides_and_tells_nothing(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await http.put(f"/v1/budgets/{tenant}", json={"limit_tokens": 20_000})
            task = await admitted_task(http, database, budget_tokens=20_000)
            letter = await park(database, task, kind="budget")
            answer = await http.post(path(task), json={"tokens": 1_000})

        assert answer.status_code == 409
        assert (await read(database, letter)).state == "open"
        assert await signals_of(temporal_client, task) == []
