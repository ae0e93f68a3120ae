"""Many dead letters by one decision over HTTP: which, how fast, once each, and what is left of it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from temporalio.client import Client

from gateway import dead_letter_bulk
from schema.audit import payload_digest
from schema.database import Database
from schema.tables import dead_letters
from tests.support.audit import acts_of
from tests.support.http import client, problem, set_task, submit, tenant_name
from tests.support.letters import SIGNAL, now_in, park, park_many, parked_task, read, signals_of

Token = Callable[..., str]
ROUTE = "/v1/dead-letters"
DECISIONS = ("redrive", "discard")
SECONDS = 20
"""A signal in the background must have arrived by then."""


async def states_of(database: Database, tenant: str) -> Counter[str]:
    """How many of a tenant's letters are in which state."""
    async with database.service() as connection:
        found = await connection.execute(select(dead_letters.c.state).where(dead_letters.c.tenant == tenant))
        return Counter(found.scalars().all())


class TestWhich:
    async def test_an_empty_filter_means_all_that_are_open_and_no_filter_is_refused(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            _, letters = await parked_task(http, database, 3)
            await http.post(f"{ROUTE}/{letters[0]}/discard")
            refused = [
                await http.post(f"{ROUTE}/redrive", json={}),
                await http.post(f"{ROUTE}/redrive", json={"filter": None}),
                await http.post(f"{ROUTE}/redrive", json={"per_minute": 5}),
            ]
            bare = await http.post(f"{ROUTE}/redrive")
            before = await states_of(database, tenant)
            answer = await http.post(f"{ROUTE}/redrive", json={"filter": {}})

        assert {(each.status_code, each.json()["errors"][0]["field"]) for each in refused} == {(422, "filter")}
        assert (bare.status_code, problem(bare)) == (415, "unsupported-media-type")
        assert before == {"open": 2, "discarded": 1}
        assert (answer.status_code, answer.json()["matched"], answer.json()["per_minute"]) == (202, 2, None)
        assert await states_of(database, tenant) == {"redriven": 2, "discarded": 1}

    @pytest.mark.parametrize("decision", DECISIONS)
    async def test_a_letter_is_meant_where_all_is_true_that_the_filter_says(
        self, decision: str, gateway_url: str, token: Token, database: Database
    ) -> None:
        old = datetime(2026, 1, 1, tzinfo=UTC)
        async with client(gateway_url, token("admin", tenant_name())) as http:
            task, (other,) = await parked_task(http, database)
            elsewhere, _ = await parked_task(http, database)
            filters: list[dict[str, Any]] = [
                {"kind": "budget"},
                {"cause": "BudgetExhausted"},
                {"step": "plan", "kind": "model"},
                {"task": elsewhere["task_id"], "step": "vote"},
                {"parked_before": "2026-01-01T01:00:00+00:00"},
            ]
            wanted = [
                await park(database, task, "a", kind="budget"),
                await park(database, task, "b", cause="BudgetExhausted"),
                await park(database, task, "plan"),
                await park(database, elsewhere, "vote"),
                await park(database, task, "c", parked_at=old),
            ]
            filters.append({"ids": [str(other)], "task": task["task_id"]})
            wanted.append(other)
            for letter, given in zip(wanted, filters, strict=True):
                answer = await http.post(f"{ROUTE}/{decision}", json={"filter": given, "reason": "because"})
                assert (answer.status_code, answer.json()["matched"]) == (202, 1), given
                row = await read(database, letter)
                assert row.state == {"redrive": "redriven", "discard": "discarded"}[decision], given
                assert (row.reason, row.decided_by) == ("because", "admin")

    async def test_letters_by_id_are_all_ones_own_or_nothing_is_done(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, (theirs,) = await parked_task(http, database)
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, (mine,) = await parked_task(http, database)
            answers = [
                await http.post(f"{ROUTE}/{each}", json={"filter": {"ids": [str(mine), str(named)]}})
                for each in DECISIONS
                for named in (theirs, uuid4())
            ]
            everything = await http.post(f"{ROUTE}/discard", json={"filter": {"kind": "model"}})

        assert {(each.status_code, each.json()["detail"]) for each in answers} == {
            (404, "there is no such dead letter")
        }
        assert everything.json()["matched"] == 1
        assert (await read(database, theirs)).state == "open"

    async def test_a_redrive_leaves_out_tasks_that_have_ended(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            task, _ = await parked_task(http, database)
            await set_task(database, task, state="cancelled")
            await parked_task(http, database)
            redriven = await http.post(f"{ROUTE}/redrive", json={"filter": {}})
            discarded = await http.post(f"{ROUTE}/discard", json={"filter": {}})

        assert [each.json()["matched"] for each in (redriven, discarded)] == [1, 1]

    async def test_one_request_decides_on_so_many_and_leaves_the_youngest_to_the_next(
        self, gateway_url: str, token: Token, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dead_letter_bulk, "MOST", 100)
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            task, _ = await parked_task(http, database, 0)
            await park_many(database, task, 102)
            body = {"filter": {}, "per_minute": 6_000}
            answers = [(await http.post(f"{ROUTE}/redrive", json=body)).json() for _ in range(3)]
            (youngest, *_) = (await http.get(ROUTE, params={"limit": 1})).json()["items"]

        assert [each["matched"] for each in answers] == [100, 2, 0]
        assert youngest["step"] == "step/102"
        last = datetime.fromisoformat(answers[1]["last_at"]) - datetime.fromisoformat(youngest["decided_at"])
        assert last == timedelta(milliseconds=10)

    async def test_forged_bodies_are_refused_by_field(self, gateway_url: str, token: Token, database: Database) -> None:
        forged: dict[str, list[dict[str, Any]]] = {
            "filter": [{"filter": []}, {"filter": "all"}],
            "filter.kind": [{"filter": {"kind": "weather"}}],
            "filter.state": [{"filter": {"state": "discarded"}}],
            "filter.tenant": [{"filter": {"tenant": "another"}}],
            "filter.task": [{"filter": {"task": "1"}}, {"filter": {"task": 1}}],
            "filter.cause": [{"filter": {"cause": "a\x00b"}}, {"filter": {"cause": ""}}],
            "filter.parked_before": [{"filter": {"parked_before": "2026-01-01T00:00:00"}}],
            "filter.ids": [{"filter": {"ids": []}}, {"filter": {"ids": [str(uuid4())] * 1_001}}],
            "filter.ids.1": [{"filter": {"ids": [str(uuid4()), "1"]}}],
            "per_minute": [{"filter": {}, "per_minute": each} for each in (0, 6_001, "60", 1.5)],
            "top_up_tokens": [{"filter": {}, "top_up_tokens": 5}],
        }
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            await parked_task(http, database)
            for field, bodies in forged.items():
                for body in bodies:
                    answer = await http.post(f"{ROUTE}/redrive", json=body)
                    assert answer.status_code == 422, body
                    assert [each["field"] for each in answer.json()["errors"]] == [field], body

        assert await states_of(database, tenant) == {"open": 1}


class TestPace:
    @pytest.mark.parametrize("per_minute", [1, 7, 6_000])
    async def test_the_decisions_take_effect_one_after_the_other_exactly(
        self, per_minute: int, gateway_url: str, token: Token, database: Database
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, letters = await parked_task(http, database, 5)
            body = {"filter": {}, "per_minute": per_minute, "route": ["embedded"]}
            answer = (await http.post(f"{ROUTE}/redrive", json=body)).json()
            shown = (await http.get(f"{ROUTE}/{letters[-1]}")).json()

        rows = [await read(database, letter) for letter in letters]
        decided = rows[0].decided_at
        assert {row.decided_at for row in rows} == {decided}
        turns = [timedelta(microseconds=place * 60_000_000 // per_minute) for place in range(1, 5)]
        assert [row.resume_at for row in rows] == [None, *[decided + turn for turn in turns]]
        assert (answer["matched"], answer["per_minute"]) == (5, per_minute)
        assert datetime.fromisoformat(answer["last_at"]) == rows[-1].resume_at
        assert datetime.fromisoformat(shown["resume_at"]) == rows[-1].resume_at
        assert {tuple(row.route) for row in rows} == {("embedded",)}

    async def test_without_a_pace_all_begin_at_once(self, gateway_url: str, token: Token, database: Database) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            _, letters = await parked_task(http, database, 2)
            before = await now_in(database)
            answer = (await http.post(f"{ROUTE}/redrive", json={"filter": {}})).json()
            none = (await http.post(f"{ROUTE}/redrive", json={"filter": {}, "per_minute": 5})).json()

        assert [(await read(database, letter)).resume_at for letter in letters] == [None, None]
        assert before <= datetime.fromisoformat(answer["last_at"]) <= await now_in(database)
        assert none == {"matched": 0, "per_minute": 5, "last_at": None}

    async def test_every_workflow_hears_of_it_once_although_another_is_gone(
        self, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        async with client(gateway_url, token("admin", tenant_name())) as http:
            gone = await submit(http)
            await park(database, gone, workflow_id=f"task/{uuid4()}")
            parked = [(await parked_task(http, database, 2))[0] for _ in range(2)]
            await http.post(f"{ROUTE}/redrive", json={"filter": {}, "per_minute": 1})
            async with asyncio.timeout(SECONDS):
                while not await signals_of(temporal_client, parked[-1]):  # noqa: ASYNC110 (another process)
                    await asyncio.sleep(0.05)

        assert [await signals_of(temporal_client, task) for task in parked] == [[SIGNAL], [SIGNAL]]


class TestOnce:
    async def test_racing_requests_decide_on_each_letter_once(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant, count = tenant_name(), 40
        async with client(gateway_url, token("admin", tenant)) as http:
            _, letters = await parked_task(http, database, count)
            racing = [http.post(f"{ROUTE}/{each}", json={"filter": {}, "per_minute": 60}) for each in DECISIONS * 3]
            single = [http.post(f"{ROUTE}/{letter}/discard") for letter in letters[::10]]
            answers = await asyncio.gather(*single, *racing)

        alone = sum(each.status_code == 200 for each in answers[: len(single)])
        assert {each.status_code for each in answers[len(single) :]} == {202}
        assert alone + sum(each.json()["matched"] for each in answers[len(single) :]) == count
        assert "open" not in await states_of(database, tenant)

    async def test_a_key_finds_its_first_answer_although_more_has_been_parked_since(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant), **{"Idempotency-Key": "k"}) as http:
            task, _ = await parked_task(http, database, 3)
            body = {"filter": {"kind": "model"}, "per_minute": 30}
            answers = list(await asyncio.gather(*(http.post(f"{ROUTE}/redrive", json=body) for _ in range(5))))
            await park(database, task, "late")
            answers.append(await http.post(f"{ROUTE}/redrive", json=body))
            reused = await http.post(f"{ROUTE}/redrive", json={**body, "per_minute": 31})
            other = await http.post(f"{ROUTE}/discard", json=body)

        assert {each.status_code for each in answers} == {202}
        assert len({each.text for each in answers}) == 1
        assert answers[0].json()["matched"] == 3
        assert (reused.status_code, problem(reused)) == (409, "idempotency-key-reused")
        assert (other.status_code, other.json()["matched"]) == (202, 1)

    async def test_one_record_tells_how_many_and_which_filter(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("operator", tenant, sub="olga")) as http:
            async with client(gateway_url, token("developer", tenant)) as author:
                await parked_task(author, database, 4)
            body = {"filter": {"cause": "ModelUnavailable"}, "reason": "a secret reason"}
            await http.post(f"{ROUTE}/discard", json=body)

        (record,) = [each for each in await acts_of(database, tenant) if each.actor == "olga"]
        assert (record.action, record.outcome, record.role) == ("dead-letters.bulk.discard", "allowed", "operator")
        assert record.reason == f"4 matched the filter {payload_digest(body['filter'])}"
        assert record.digest == payload_digest(body)
        assert "secret" not in record.model_dump_json()
