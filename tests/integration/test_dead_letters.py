"""Dead letters over HTTP: seen, redriven, discarded, one at a time."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select, update
from temporalio.client import Client

from gateway.authorisation import ROLES, Role
from schema.audit import payload_digest
from schema.database import Database
from schema.tables import accounts, dead_letters, ledger_entries, tasks
from tests.support.audit import acts_of
from tests.support.http import client, problem, set_task, submit, tenant_name
from tests.support.letters import SIGNAL, park, parked_task, read, signals_of

Token = Callable[..., str]
ROUTE = "/v1/dead-letters"
DECISIONS = ("redrive", "discard")
SHOWN = [
    *(
        "id",
        "task_id",
        "tenant",
        "step",
        "epoch",
        "kind",
        "cause",
        "detail",
        "attempts",
        "state",
        "parked_at",
        "age_seconds",
    ),
    *("decided_at", "decided_by", "reason"),
]


class TestSeeing:
    async def test_letters_are_listed_newest_first_in_pages(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, parked = await parked_task(http, database, 3)
            first = (await http.get(ROUTE, params={"limit": 2})).json()
            second = (await http.get(ROUTE, params={"limit": 2, "cursor": first["next_cursor"]})).json()

        assert [each["id"] for each in first["items"] + second["items"]] == [str(each) for each in reversed(parked)]
        assert second["next_cursor"] is None
        assert list(first["items"][0]) == SHOWN

    async def test_a_list_is_narrowed_by_each_of_its_fields(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            _, (other,) = await parked_task(http, database)
            await http.post(f"{ROUTE}/{other}/discard")
            task = await submit(http)
            wanted = await park(database, task, kind="budget", cause="BudgetExhausted")
            queries = [
                {"state": "open"},
                {"kind": "budget"},
                {"cause": "BudgetExhausted"},
                {"task": task["task_id"]},
                {"tenant": tenant, "state": "open"},
            ]
            found = [(await http.get(ROUTE, params=query)).json()["items"] for query in queries]
            elsewhere = (await http.get(ROUTE, params={"tenant": "another"})).json()["items"]

        assert [[each["id"] for each in items] for items in found] == [[str(wanted)]] * len(queries)
        assert elsewhere == []

    async def test_a_letter_shows_its_input_by_reference_and_where_to_look(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("developer", tenant_name())) as http:
            task, (letter,) = await parked_task(http, database)
            shown = (await http.get(f"{ROUTE}/{letter}")).json()

        assert list(shown) == [*SHOWN, "input", "route", "resume_at", "workflow_id", "links"]
        assert (shown["state"], shown["input"], shown["route"]) == ("open", {"plan": "0" * 64}, None)
        assert shown["workflow_id"] == f"task/{task['task_id']}"
        assert (shown["links"]["self"], shown["links"]["task"]) == (f"{ROUTE}/{letter}", task["links"]["self"])
        assert shown["links"]["temporal"].endswith(f"/workflows/task%2F{task['task_id']}")

    async def test_the_platform_lists_those_of_every_tenant_or_of_one(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenants, parked = [tenant_name(), tenant_name()], []
        for tenant in tenants:
            async with client(gateway_url, token("admin", tenant)) as http:
                parked += (await parked_task(http, database))[1]
        async with client(gateway_url, token("operator", "*"), **{"Golden-Tenant": "*"}) as http:
            every = (await http.get(ROUTE, params={"limit": 2})).json()["items"]
            one = (await http.get(ROUTE, params={"tenant": tenants[0]})).json()["items"]
            decided = await http.post(f"{ROUTE}/{parked[0]}/discard")
        async with client(gateway_url, token("operator", "*"), **{"Golden-Tenant": tenants[0]}) as http:
            named = (await http.get(ROUTE)).json()["items"]

        assert [each["id"] for each in every] == [str(each) for each in reversed(parked)]
        assert [each["id"] for each in one] == [each["id"] for each in named] == [str(parked[0])]
        # What is decided is decided for one tenant, in its audit chain.
        assert (decided.status_code, decided.json()["errors"][0]["field"]) == (422, "Golden-Tenant")

    async def test_forged_queries_are_refused_by_field(self, gateway_url: str, token: Token) -> None:
        queries = {
            "state": "closed",
            "kind": "weather",
            "task": "1",
            "cursor": str(uuid4()),
            "limit": "0",
            "cause": "",
            "tenant": "No Tenant",
            "order": "oldest",
        }
        async with client(gateway_url, token("admin", tenant_name())) as http:
            answers = {name: await http.get(ROUTE, params={name: value}) for name, value in queries.items()}

        assert {name: each.status_code for name, each in answers.items()} == dict.fromkeys(queries, 422)
        assert {name: each.json()["errors"][0]["field"] for name, each in answers.items()} == {
            name: name for name in queries
        }


class TestWho:
    @pytest.mark.parametrize("role", ROLES)
    async def test_a_role_sees_and_decides_what_the_design_lets_it(
        self, role: Role, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("developer", tenant)) as http:
            _, letters = await parked_task(http, database, 2)
        async with client(gateway_url, token(role, tenant)) as http:
            seen = [(await http.get(path)).status_code for path in (ROUTE, f"{ROUTE}/{letters[0]}")]
            done = [
                (await http.post(f"{ROUTE}/{letters[0]}/redrive")).status_code,
                (await http.post(f"{ROUTE}/{letters[1]}/discard")).status_code,
                *[(await http.post(f"{ROUTE}/{each}", json={"filter": {}})).status_code for each in DECISIONS],
            ]

        assert seen == [200 if role in ("admin", "operator", "developer") else 403] * 2
        assert done == ([200, 200, 202, 202] if role in ("admin", "operator") else [403] * 4)

    async def test_anothers_letter_is_404_like_one_that_is_not_there(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, (letter,) = await parked_task(http, database)
        async with client(gateway_url, token("admin", tenant_name())) as http:
            answers = []
            for named in (letter, uuid4(), "x'--"):
                answers.append(await http.get(f"{ROUTE}/{named}"))
                answers += [await http.post(f"{ROUTE}/{named}/{each}") for each in DECISIONS]
                answers.append(await http.post(f"{ROUTE}/{named}/redrive", json={"top_up_tokens": 1}))
            cursor = await http.get(ROUTE, params={"cursor": str(letter)})

        assert {(each.status_code, problem(each), each.json()["detail"]) for each in answers} == {
            (404, "not-found", "there is no such dead letter")
        }
        assert cursor.status_code == 422
        assert (await read(database, letter)).state == "open"


class TestDeciding:
    async def test_a_redrive_is_a_row_a_record_and_a_signal(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        tenant = tenant_name()
        body: dict[str, Any] = {"reason": "the provider is back", "route": ["openai:gpt-5", "embedded"]}
        async with client(gateway_url, token("operator", tenant, sub="olga")) as http:
            async with client(gateway_url, token("developer", tenant)) as author:
                task, (letter,) = await parked_task(author, database)
            answer = await http.post(f"{ROUTE}/{letter}/redrive", json=body)

        assert answer.status_code == 200, answer.text
        shown, row = answer.json(), await read(database, letter)
        assert (shown["state"], shown["decided_by"], shown["reason"]) == ("redriven", "olga", body["reason"])
        assert shown["route"] == row.route == body["route"]
        assert (row.state, row.resume_at, row.epoch) == ("redriven", None, 0)
        assert await signals_of(temporal_client, task) == [SIGNAL]
        record = (await acts_of(database, tenant))[-1]
        assert (record.action, record.object, record.actor) == ("dead-letters.redrive", str(letter), "olga")
        assert record.digest == payload_digest(body)
        assert body["reason"] not in record.model_dump_json()

    @pytest.mark.parametrize("decision", DECISIONS)
    async def test_no_body_is_as_good_as_an_empty_one_and_no_workflow_as_good_as_one(
        self, decision: str, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task = await submit(http)
            letters = [await park(database, task, f"prove/{n}", workflow_id=f"task/{uuid4()}") for n in (1, 2)]
            bare = await http.post(f"{ROUTE}/{letters[0]}/{decision}")
            empty = await http.post(f"{ROUTE}/{letters[1]}/{decision}", json={})

        assert [each.status_code for each in (bare, empty)] == [200, 200]
        assert bare.json()["state"] == {"redrive": "redriven", "discard": "discarded"}[decision]

    async def test_a_letter_is_decided_once(self, gateway_url: str, token: Token, database: Database) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, (letter,) = await parked_task(http, database)
            first = await http.post(f"{ROUTE}/{letter}/discard")
            again = [await http.post(f"{ROUTE}/{letter}/{each}") for each in DECISIONS]
            again.append(await http.post(f"{ROUTE}/{letter}/redrive", json={"top_up_tokens": 5}))

        assert first.json()["state"] == "discarded"
        assert {(each.status_code, problem(each), each.json()["state"]) for each in again} == {
            (409, "dead-letter-decided", "discarded")
        }

    async def test_racing_decisions_let_one_in(self, gateway_url: str, token: Token, database: Database) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, (letter,) = await parked_task(http, database)
            racing = (http.post(f"{ROUTE}/{letter}/{each}") for each in DECISIONS * 5)
            answers = await asyncio.gather(*racing)

        assert sorted(each.status_code for each in answers) == [200] + [409] * 9
        (won,) = [each.json()["state"] for each in answers if each.status_code == 200]
        assert (await read(database, letter)).state == won

    async def test_a_key_finds_its_first_answer_and_fits_no_other_letter_or_body(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant), **{"Idempotency-Key": "k"}) as http:
            _, (letter, other) = await parked_task(http, database, 2)
            path, body = f"{ROUTE}/{letter}/redrive", {"top_up_tokens": 100}
            answers = await asyncio.gather(*(http.post(path, json=body) for _ in range(5)))
            reused = [await http.post(path), await http.post(f"{ROUTE}/{other}/redrive", json=body)]

        assert {each.status_code for each in answers} == {200}
        assert len({each.text for each in answers}) == 1
        assert {(each.status_code, problem(each)) for each in reused} == {(409, "idempotency-key-reused")}
        assert await budget_of(database, letter) == 20_100
        records = [each for each in await acts_of(database, tenant) if each.action == "dead-letters.redrive"]
        assert [each.reason for each in records[:2]] == [
            "100 tokens more",
            "repeated: the first request with this key did it",
        ]

    async def test_the_letter_of_a_task_that_has_ended_can_only_be_discarded(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task, (letter,) = await parked_task(http, database)
            await set_task(database, task, state="cancelled")
            redriven = await http.post(f"{ROUTE}/{letter}/redrive")
            discarded = await http.post(f"{ROUTE}/{letter}/discard")

        assert (redriven.status_code, problem(redriven), redriven.json()["state"]) == (409, "task-final", "cancelled")
        assert discarded.status_code == 200

    async def test_forged_bodies_are_refused_by_field(self, gateway_url: str, token: Token, database: Database) -> None:
        forged: dict[str, list[Any]] = {
            "reason": [" ", "", "x" * 2_001, 3, "a\x00b"],
            "route": ["openai:gpt-5", [], ["m"] * 9],
            "route.0": [[""], ["two words"], ["x" * 201], ["bell\x07"], [3]],
            "top_up_tokens": [0, -1, 10_000_001, "5", 1.5, True],
            "state": ["redriven"],
            "resume_at": ["2026-01-01T00:00:00Z"],
        }
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, (letter,) = await parked_task(http, database)
            for field, values in forged.items():
                for value in values:
                    answer = await http.post(f"{ROUTE}/{letter}/redrive", json={field.partition(".")[0]: value})
                    assert answer.status_code == 422, (field, value)
                    assert [each["field"] for each in answer.json()["errors"]] == [field], value
            more = await http.post(f"{ROUTE}/{letter}/discard", json={"top_up_tokens": 5, "route": ["m"]})

        assert {each["field"] for each in more.json()["errors"]} == {"top_up_tokens", "route"}
        assert (await read(database, letter)).state == "open"


async def budget_of(database: Database, letter: UUID) -> int:
    """The budget of a letter's task, in tokens."""
    task_id = (await read(database, letter)).task_id
    async with database.service() as connection:
        return int(
            (await connection.execute(select(tasks.c.budget_tokens).where(tasks.c.task_id == task_id))).scalar_one()
        )


class TestHigherLimits:
    async def admitted(self, http: httpx.AsyncClient, database: Database, *, limit: int | None) -> UUID:
        """An open letter of an admitted task, whose tenant may spend `limit`."""
        task, (letter,) = await parked_task(http, database)
        await set_task(database, task, admitted=True)
        async with database.service() as connection:
            await connection.execute(
                update(accounts)
                .where(accounts.c.tenant == task["tenant"])
                .values(limit_tokens=limit, held_tokens=20_000, spent_tokens=5_000, slots_used=1)
            )
        return letter

    async def test_what_an_admitted_task_gets_more_is_held_on_the_account_and_entered(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("operator", tenant, sub="olga")) as http:
            async with client(gateway_url, token("developer", tenant)) as author:
                letter = await self.admitted(author, database, limit=30_000)
            answer = await http.post(f"{ROUTE}/{letter}/redrive", json={"top_up_tokens": 5_000})

        assert answer.status_code == 200, answer.text
        assert await budget_of(database, letter) == 25_000
        async with database.service() as connection:
            held = (await connection.execute(select(accounts).where(accounts.c.tenant == tenant))).one()
            entries = await connection.execute(select(ledger_entries).where(ledger_entries.c.tenant == tenant))
            (entry,) = entries.all()
        assert held.held_tokens == 25_000
        assert (entry.kind, entry.account, entry.held_tokens, entry.actor) == ("top_up", "tenant", 5_000, "olga")

    async def test_nothing_is_decided_where_the_tenant_has_no_room(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            letter = await self.admitted(http, database, limit=30_000)
            answer = await http.post(f"{ROUTE}/{letter}/redrive", json={"top_up_tokens": 5_001})

        assert (answer.status_code, problem(answer)) == (409, "budget-exhausted")
        assert "5,000 tokens left" in answer.json()["detail"]
        assert (await read(database, letter)).state == "open"
        assert await budget_of(database, letter) == 20_000

    async def test_a_task_that_waits_for_its_slot_gets_more_without_a_hold(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            _, letters = await parked_task(http, database, 2)
            answers = [await http.post(f"{ROUTE}/{each}/redrive", json={"top_up_tokens": 7}) for each in letters]

        assert [each.status_code for each in answers] == [200, 200]
        assert await budget_of(database, letters[0]) == 20_014
        async with database.service() as connection:
            held = (
                await connection.execute(select(accounts.c.held_tokens).where(accounts.c.tenant == tenant))
            ).scalar_one()
            entries = await connection.execute(select(ledger_entries).where(ledger_entries.c.tenant == tenant))
            assert [(each.held_tokens, each.ask) for each in entries] == [(0, 0), (0, 1)]
        assert held == 0

    async def test_racing_redrives_pass_no_limit(self, gateway_url: str, token: Token, database: Database) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            first = await self.admitted(http, database, limit=30_000)
            task = {"tenant": tenant, "task_id": str((await read(database, first)).task_id)}
            letters = [first, *[await park(database, task, f"prove/{number}") for number in range(7)]]
            racing = (http.post(f"{ROUTE}/{each}/redrive", json={"top_up_tokens": 2_000}) for each in letters)
            answers = await asyncio.gather(*racing)

        assert sorted(each.status_code for each in answers) == [200, 200] + [409] * 6
        states = [(await read(database, each)).state for each in letters]
        assert sorted(states) == ["open"] * 6 + ["redriven"] * 2
        assert await budget_of(database, first) == 24_000


async def test_a_tenants_connection_sees_no_letter_of_another(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("admin", tenant_name())) as http:
        _, (letter,) = await parked_task(http, database)
    row = await read(database, letter)
    async with database.tenant(tenant_name()) as connection:
        assert (await connection.execute(select(dead_letters))).all() == []
        changed = await connection.execute(update(dead_letters).values(state="discarded"))
        assert changed.rowcount == 0
    assert row.state == (await read(database, letter)).state == "open"
