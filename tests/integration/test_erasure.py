"""Erasure: what was written is nowhere any more, what it cost and who did what is; and it is seen through."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import sqlalchemy.exc
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from activities.accounts import Accounts
from activities.erasing import ACTOR, Erasures
from activities.erasure import erase_task
from activities.verdicts import Verdicts
from gateway.routes import OPERATIONS
from schema import tables
from schema.database import Database
from schema.engine import task_workflow_id
from schema.messages.learning import Pattern, PromptEvidence
from schema.messages.sandbox import SandboxRun
from schema.messages.steps import FinishInput
from schema.messages.task import TaskState
from schema.settings import Settings
from schema.texts import canonical_json, get_text, put_text
from tests.integration.conftest import Token
from tests.support.budgets import price
from tests.support.http import client, problem, submit, tenant_name
from tests.support.learning import approve, pending_update, propose, row_of
from tests.support.letters import park
from tests.support.past import past_task
from tests.support.paths import path_of
from tests.support.processes import until
from tests.support.traces_left import has_history, places_of

WHY = {"reason": "ticket 42"}


def word() -> str:
    """A word that is nowhere else."""
    return f"mark{uuid4().hex}"


def erasure_of(task: dict[str, Any]) -> str:
    return f"{task['links']['self']}/erasure"


async def write_everywhere(database: Database, task: dict[str, Any], mark: str) -> None:
    """What a task leaves in each place that holds words; then its end."""
    tenant, task_id = task["tenant"], UUID(task["task_id"])
    about: dict[str, Any] = {"task_id": task_id, "tenant": tenant}
    step = {**about, "step": "prove/1", "epoch": 1}
    call = {"role": "developer", "model": "m", "prompt_version": "1", "reserved_tokens": 1, "ask": 1, "dispatch": 1}
    async with database.tenant(tenant) as connection:
        candidate = await put_text(connection, tenant, canonical_json({"files": {"a.py": f"x = '{mark}'\n"}}))
        run = SandboxRun(exit_code=1, stdout=mark, isolation="gvisor")
        report = await put_text(connection, tenant, run.model_dump_json(), task_id)
        answer = await put_text(connection, tenant, f"the answer {mark}")
        proof = {"candidate": candidate, "report": report, "note": mark}
        await connection.execute(insert(tables.task_steps).values(**step, state="done", detail="", result=proof))
        await connection.execute(insert(tables.model_calls).values(**step, **call, state="sent"))
        of_call = update(tables.model_calls).where(tables.model_calls.c.task_id == task_id)
        await connection.execute(of_call.values(state="settled", response=answer, invalid=mark))
        await connection.execute(insert(tables.decisions).values(**about, decision="accept", reason=mark, actor="ann"))
        await connection.execute(
            insert(tables.truths).values(**about, source="human", good=True, actor="ann", reason=mark)
        )
    await park(database, task, detail=mark, reason=mark, input={"text": mark})
    ended = FinishInput(task_id=task_id, tenant=tenant, state=TaskState.REJECTED, reason=mark, report=report)
    assert await Verdicts(Accounts(database, price)).finish(ended.model_copy(update={"candidate": candidate}))


async def end(database: Database, task: dict[str, Any], reason: str = "no") -> None:
    ended = FinishInput(task_id=UUID(task["task_id"]), tenant=task["tenant"], state=TaskState.REJECTED, reason=reason)
    assert await Verdicts(Accounts(database, price)).finish(ended)


async def agrees(http: httpx.AsyncClient, tenant: str) -> bool:
    """Whether the ledger's sums are right, and the audit chain."""
    books = (await http.get(f"/v1/budgets/{tenant}/check")).json()
    chain = (await http.get("/v1/audit/verify")).json()
    return not books["findings"] and bool(chain["intact"])


async def test_nothing_that_was_written_is_left_and_what_it_cost_is(
    settings: Settings, gateway_url: str, token: Token, database: Database, temporal_client: Client
) -> None:
    tenant, mark = tenant_name(), word()
    async with client(gateway_url, token("admin", tenant), **{"Idempotency-Key": mark}) as http:
        task = await submit(http, title=f"title {mark}", instructions=f"Say {mark}.")
        await write_everywhere(database, task, mark)
        before = places_of(settings, mark)
        calls = (await http.get(f"/v1/budgets/{tenant}/entries")).json()["items"]
        erased = await http.post(erasure_of(task), json=WHY)
        records = (await http.get("/v1/audit", params={"object": task["task_id"]})).json()["items"]

        assert {name.split(".")[0] for name in before} == {
            "tasks", "texts", "task_events", "task_steps", "model_calls", "dead_letters", "decisions", "truths",
            "idempotency_keys",
        }  # fmt: skip
        assert (erased.status_code, erased.json()["tasks"]) == (200, 1), erased.text
        assert places_of(settings, mark) == set()
        assert (await http.get(f"/v1/budgets/{tenant}/entries")).json()["items"] == calls
        assert await agrees(http, tenant)
        (told,) = [each for each in records if each["action"] == "tasks.erase"]
        assert (told["actor"], told["outcome"]) == ("admin", "allowed")
        assert told["reason"].endswith("; ticket 42")
    await until(lambda: _gone(temporal_client, task))


async def _gone(client: Client, task: dict[str, Any]) -> bool:
    return not await has_history(client, task_workflow_id(UUID(task["task_id"])))


async def test_a_text_that_another_task_has_stays_until_that_is_erased_too(
    settings: Settings, gateway_url: str, token: Token, database: Database
) -> None:
    tenant, mark = tenant_name(), word()
    async with client(gateway_url, token("admin", tenant)) as http:
        first, second = [await submit(http, instructions=f"Say {mark}.") for _ in range(2)]
        for task in (first, second):
            await end(database, task)
        one = (await http.post(erasure_of(first), json=WHY)).json()
        shown = await http.get(second["links"]["result"])
        left = places_of(settings, mark)
        other = (await http.post(erasure_of(second), json=WHY)).json()

    assert (one["texts"], one["shared"], other["texts"], other["shared"]) == (1, 1, 2, 0)
    assert (shown.status_code, left) == (200, {"texts.body"})
    assert places_of(settings, mark) == set()


async def test_a_text_that_is_submitted_while_it_is_erased_is_there(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("admin", tenant_name())) as http:
        old = [await submit(http, instructions="the same") for _ in range(8)]
        for task in old:
            await end(database, task)
        erasing = [http.post(erasure_of(task), json=WHY) for task in old]
        submitting = [submit(http, instructions="the same") for _ in old]
        erased, new = await asyncio.gather(asyncio.gather(*erasing), asyncio.gather(*submitting))
        for task in new:
            await end(database, task)
            wanted = select(tables.tasks.c.spec).where(tables.tasks.c.task_id == UUID(task["task_id"]))
            async with database.tenant(task["tenant"]) as connection:
                spec = await get_text(connection, task["tenant"], str(await connection.scalar(wanted)))
            assert "the same" in spec

    assert {each.status_code for each in erased} == {200}


async def test_to_erase_again_finds_the_first_erasure(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("admin", tenant)) as http:
        task = await submit(http)
        await end(database, task)
        first, again = [(await http.post(erasure_of(task), json=WHY)).json() for _ in range(2)]
        assert await agrees(http, tenant)

    assert again == {**first, "completed_at": again["completed_at"]}


async def test_a_task_that_goes_on_is_cancelled_first(gateway_url: str, token: Token) -> None:
    async with client(gateway_url, token("admin", tenant_name())) as http:
        task = await submit(http)
        refused = await http.post(erasure_of(task), json=WHY)
        shown = await http.get(task["links"]["self"])

    assert (refused.status_code, problem(refused)) == (409, "task-not-final")
    assert "golden cancel" in refused.json()["detail"]
    assert shown.json()["title"] == task["title"]


ABOUT_A_TASK = [each for each in OPERATIONS if "{task_id}" in each.path and not each.path.endswith("/erasure")]


async def test_whatever_is_asked_about_an_erased_task_is_gone(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant, bodies = tenant_name(), {"decision": {"decision": "accept", "reason": "r"}, "follow-ups": {"number": 1}}
    bodies |= {"truth": {"source": "tests", "good": True, "reason": "r"}, "top-up": {"tokens": 1}}
    async with client(gateway_url, token("admin", tenant, "bob")) as http:
        task, kept = await submit(http), await submit(http)
        await end(database, task)
        at = (await http.post(erasure_of(task), json=WHY)).json()["erased_at"]
        listed = (await http.get("/v1/tasks")).json()["items"]
    async with client(gateway_url, token("admin", tenant, "ann")) as http:
        found = {}
        for each in ABOUT_A_TASK:
            path = path_of(each.path, uuid4(), task_id=task["task_id"])
            answer = await http.request(each.method, path, json=bodies.get(path.rsplit("/", 1)[1]))
            found[each.path] = (answer.status_code, problem(answer), answer.json().get("erased_at"))
    async with client(gateway_url, token("admin", tenant_name())) as http:
        foreign = await http.get(task["links"]["self"])

    assert len(found) > 8
    assert set(found.values()) == {(410, "erased", at.replace("Z", "+00:00"))}
    assert [each["task_id"] for each in listed] == [kept["task_id"]]
    assert (foreign.status_code, problem(foreign)) == (404, "not-found")


async def test_an_erasure_that_was_interrupted_is_completed(
    settings: Settings, gateway_url: str, token: Token, database: Database, temporal_client: Client
) -> None:
    tenant, mark = tenant_name(), word()
    async with client(gateway_url, token("admin", tenant)) as http:
        task = await submit(http, title=mark)
        await end(database, task)
        task_id = UUID(task["task_id"])
        # The gateway died behind its transaction.
        async with database.tenant(tenant) as connection:
            await erase_task(connection, tenant, task_id, "ann")
        assert await has_history(temporal_client, task_workflow_id(task_id))
        await until(lambda: _completed(database, temporal_client, task_id))
        assert (await http.post(erasure_of(task), json=WHY)).json()["completed_at"] is not None

    assert await _gone(temporal_client, task)
    assert places_of(settings, mark) == set()


async def _completed(database: Database, client: Client, task_id: UUID, days: int | None = None) -> bool:
    await Erasures(database, client, days).go_on()
    done = select(tables.erasures.c.completed_at).where(tables.erasures.c.task_id == task_id)
    async with database.service() as connection:
        return await connection.scalar(done) is not None


async def test_what_was_under_way_writes_nothing_of_an_erased_task(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("admin", tenant)) as http:
        task = await submit(http)
        await end(database, task)
        await http.post(erasure_of(task), json=WHY)
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="the task was erased"):
        async with database.tenant(tenant) as connection:
            await put_text(connection, tenant, "late", UUID(task["task_id"]))


async def test_retention_erases_what_is_old_and_nothing_else(
    settings: Settings, gateway_url: str, token: Token, database: Database, temporal_client: Client, owner: AsyncEngine
) -> None:
    tenant, old_word, young_word = tenant_name(), word(), word()
    run = uuid4()
    async with client(gateway_url, token("admin", tenant)) as http:
        old, young = await submit(http, title=old_word), await submit(http, title=young_word)
        waiting = await submit(http, title=young_word)
        for task in (old, young):
            await end(database, task)
        async with database.service() as connection:
            ago = {"updated_at": text("now() - interval '40 days'")}
            for task in (old, waiting):
                await connection.execute(
                    update(tables.tasks).where(tables.tasks.c.task_id == UUID(task["task_id"])).values(ago)
                )
            digest = await put_text(connection, tenant, f"a program {old_word}", run, of_run=True)
        async with owner.begin() as connection:
            await connection.execute(text("SELECT set_config('golden.erasing', :t, true)"), {"t": tenant})
            await connection.execute(
                text("UPDATE text_uses SET at = now() - interval '40 days' WHERE digest = :d"), {"d": digest}
            )
        await until(lambda: _completed(database, temporal_client, UUID(old["task_id"]), 30))
        records = (await http.get("/v1/audit", params={"actor": ACTOR})).json()["items"]
        assert await agrees(http, tenant)

    assert places_of(settings, old_word) == set()
    assert places_of(settings, young_word) == {"tasks.title", "texts.body"}
    assert {(each["action"], each["object"], each["reason"]) for each in records} == {
        ("tasks.erase", old["task_id"], "older than 30 days"),
        ("sandbox.erase", str(run), "older than 30 days"),
    }
    assert await _gone(temporal_client, old)


async def test_what_was_learned_of_a_task_keeps_none_of_its_words(
    settings: Settings, database: Database, token: Token
) -> None:
    tenant, mark = tenant_name(), word()
    task_id = await past_task(database, tenant, mark)
    pattern = Pattern(
        rule="security/B602", role="developer", tasks=9, failing=5, base_rate=0.05, p_value=0.001, q_value=0.01,
        window_days=14, task_ids=(task_id,), messages=(f"said {mark}",),
    )  # fmt: skip
    update_id = await propose(database, tenant, evidence=PromptEvidence(pattern=pattern))
    async with database.tenant(tenant) as connection:
        whole = await erase_task(connection, tenant, task_id, "ann")
    assert (whole, places_of(settings, mark)) == (False, {"learning_updates.evidence", "texts.body"})

    async with database.service() as connection:
        await connection.execute(text("SELECT reject_prompt_update(:id, 'bob', 'no', now())"), {"id": update_id})
        await connection.execute(
            update(tables.tasks).where(tables.tasks.c.task_id == update_id).values(state="cancelled")
        )
    async with database.tenant(tenant) as connection:
        # Retention may have come to the proposal first.
        assert await erase_task(connection, tenant, update_id, ACTOR)
        whole = await erase_task(connection, tenant, task_id, "ann")
    assert (whole, places_of(settings, mark)) == (True, set())
    assert (await row_of(database, update_id)).evidence[0]["pattern"]["failing"] == 5


class TestOfATenant:
    async def test_everything_goes_and_no_other_tenant_loses_anything(
        self, settings: Settings, gateway_url: str, token: Token, database: Database, temporal_client: Client
    ) -> None:
        tenant, other, mark = tenant_name(), tenant_name(), word()
        async with client(gateway_url, token("admin", other)) as http:
            theirs = await submit(http, instructions=f"Say {mark}.")
        async with client(gateway_url, token("admin", tenant)) as http:
            task = await submit(http, instructions=f"Say {mark}.", title=mark)
            await write_everywhere(database, task, mark)
            guideline = await pending_update(database, tenant, guideline=f"Look twice at {mark}.")
            async with database.tenant(tenant) as connection:
                await put_text(connection, tenant, f"a program {mark}", uuid4(), of_run=True)
            refused = await http.post(f"/v1/tenants/{tenant}/erasure", json=WHY)
            assert await approve(database, guideline) is not None
            await _settle(database, guideline)
            erased = await http.post(f"/v1/tenants/{tenant}/erasure", json=WHY)
            again = await http.post(f"/v1/tenants/{tenant}/erasure", json=WHY)
            after = await submit(http, title="life goes on")
            verified = await agrees(http, tenant)

        assert (refused.status_code, problem(refused)) == (409, "tasks-open")
        assert (erased.status_code, again.json()["erased_at"]) == (200, erased.json()["erased_at"]), erased.text
        assert verified
        left = places_of(settings, mark)
        assert left == {"texts.body"}
        async with database.tenant(other) as connection:
            wanted = select(tables.tasks.c.spec).where(tables.tasks.c.task_id == UUID(theirs["task_id"]))
            digest = str(await connection.scalar(wanted))
            assert mark in await get_text(connection, other, digest)
        async with database.tenant(tenant) as connection:
            rows = (await connection.scalars(select(tables.texts.c.body))).all()
        assert len(rows) == 1
        await until(lambda: _gone(temporal_client, task))
        assert await has_history(temporal_client, task_workflow_id(UUID(after["task_id"])))
        assert await has_history(temporal_client, task_workflow_id(UUID(theirs["task_id"])))

    async def test_open_tasks_are_cancelled_where_that_is_said(
        self, gateway_url: str, token: Token, database: Database
    ) -> None:
        tenant = tenant_name()
        async with client(gateway_url, token("admin", tenant)) as http:
            task = await submit(http)
            refused = await http.post(f"/v1/tenants/{tenant}/erasure", json=WHY)
            waiting = await http.post(f"/v1/tenants/{tenant}/erasure", json={**WHY, "cancel": True})
            await end(database, task, "cancelled")
            done = await http.post(f"/v1/tenants/{tenant}/erasure", json={**WHY, "cancel": True})

        assert [problem(each) for each in (refused, waiting)] == ["tasks-open"] * 2
        assert ("retry-after" in refused.headers, "retry-after" in waiting.headers) == (False, True)
        assert (done.status_code, done.json()["tasks"]) == (200, 1)

    async def test_a_tenant_erases_none_but_itself(self, gateway_url: str, token: Token, database: Database) -> None:
        mine, theirs = tenant_name(), tenant_name()
        async with client(gateway_url, token("admin", theirs)) as http:
            task = await submit(http, title="theirs")
            await end(database, task)
        async with client(gateway_url, token("admin", mine)) as http:
            answers = [
                await http.post(erasure_of(task), json=WHY),
                await http.post(f"/v1/tenants/{theirs}/erasure", json=WHY),
            ]
        values = {"t": theirs, "task": UUID(task["task_id"])}
        calls = (
            "SELECT erase_task(:t, :task, '{}', 'eve')", "SELECT erase_tenant(:t, 'eve')",
            "SELECT erase_run(:t, :task)", "SELECT erase_update(:t, :task, '[]')",
            "SELECT erase_texts(:t, ARRAY[CAST(:task AS uuid)], '{}')", "SELECT erasure_begin(:t)",
        )  # fmt: skip
        for call in calls:
            async with database.tenant(mine) as connection:
                await connection.execute(text("SELECT set_config('golden.erasing', :t, true)"), {"t": theirs})
                with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"its own only|permission denied"):
                    await connection.execute(text(call), values)
                await connection.rollback()

        assert [problem(each) for each in answers] == ["not-found"] * 2
        async with database.tenant(theirs) as connection:
            assert await connection.scalar(select(tables.tasks.c.title)) == "theirs"


async def _settle(database: Database, update_id: UUID) -> None:
    """Its own task has ended."""
    async with database.service() as connection:
        ended = update(tables.tasks).where(tables.tasks.c.task_id == update_id).values(state="accepted")
        await connection.execute(ended)
