"""Votes over HTTP: put to one, explained while a person is asked and afterwards, as JSON and as a picture."""

from collections.abc import Callable
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest
from sqlalchemy import insert, select

from schema.database import Database
from schema.messages.candidate import CandidateSpec, spec_of
from schema.messages.task import TaskResult
from schema.tables import ballots, task_steps, tasks, truths
from schema.texts import get_text, put_text
from tests.support.http import VOTE_SPEC, client, problem, set_task, submit, tenant_name
from tests.support.votes import VOTE

Token = Callable[..., str]

SVG = {"Accept": "image/svg+xml"}


async def store_vote(database: Database, task: dict[str, Any]) -> None:
    """What `ConsensusRound` leaves of a vote."""
    async with database.tenant(task["tenant"]) as connection:
        reference = await put_text(connection, task["tenant"], VOTE.model_dump_json())
        step = {"task_id": UUID(task["task_id"]), "tenant": task["tenant"], "step": "vote/1", "epoch": 1}
        await connection.execute(insert(task_steps).values(**step, state="done", result={"text": reference}))


async def test_who_decides_sees_the_vote_before_the_task_has_ended(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await submit(http)
    path = task["links"]["consensus"]
    await store_vote(database, task)
    async with client(gateway_url, token("approver", tenant)) as http:
        early = await http.get(path)
        await set_task(database, task, state="escalated", reason=VOTE.question)
        told = await http.get(path)
        shown = await http.get(path, headers=SVG)
        asked = (await http.get(task["links"]["self"])).json()["reason"]
        refused = await http.get(path, headers={"Accept": "text/html"})

    assert (early.status_code, problem(early)) == (409, "task-not-final")
    assert told.json() == VOTE.model_dump(mode="json")
    assert ElementTree.fromstring(shown.text).get("role") == "img"  # noqa: S314 (our own)
    headers = {"content-type": "image/svg+xml", "vary": "Accept", "x-content-type-options": "nosniff"}
    assert headers.items() <= dict(shown.headers).items()
    assert shown.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert asked == VOTE.question
    assert (refused.status_code, problem(refused)) == (406, "not-acceptable")


async def test_a_ballot_that_came_after_the_verdict_is_told_with_it(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        task_id, tenant = UUID(task["task_id"]), task["tenant"]
        result = TaskResult.model_validate({"task_id": task_id, "state": "accepted", "consensus": VOTE})
        late = {"voter": "architect", "round": 1, "choice": "reject", "confidence": 0.6}
        row = {"task_id": task_id, "tenant": tenant, "vote": 1, "weight": 2000, "effective_weight": 0, "late": True}
        async with database.tenant(tenant) as connection:
            reference = await put_text(connection, tenant, result.model_dump_json())
            await connection.execute(insert(ballots).values(**row, **late))
        await set_task(database, task, state="accepted", result=reference)
        found = (await http.get(task["links"]["consensus"])).json()

    assert found["late"] == [*VOTE.model_dump(mode="json")["late"], late]


async def test_an_end_without_a_vote_is_told_as_that(gateway_url: str, token: Token, database: Database) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
        await set_task(database, task, state="failed", reason="deadline")
        answer = await http.get(task["links"]["consensus"])

    assert (answer.status_code, problem(answer)) == (404, "no-vote")


async def test_a_candidate_is_put_to_a_vote_once_for_its_key(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant), **{"Idempotency-Key": "one"}) as http:
        first = await http.post("/v1/consensus", json=VOTE_SPEC)
        again = await http.post("/v1/consensus", json=VOTE_SPEC)
        other = await http.post("/v1/consensus", json={**VOTE_SPEC, "title": "Another"})

    task = first.json()
    assert (first.status_code, task["kind"], first.headers["location"]) == (202, "vote", task["links"]["self"])
    assert again.json()["task_id"] == task["task_id"]
    assert (other.status_code, problem(other)) == (409, "idempotency-key-reused")
    async with database.tenant(tenant) as connection:
        reference = await connection.scalar(select(tasks.c.spec).where(tasks.c.task_id == UUID(task["task_id"])))
        spec = spec_of(await get_text(connection, tenant, str(reference)))
    assert isinstance(spec, CandidateSpec)
    assert spec.candidate == VOTE_SPEC["files"]


@pytest.mark.parametrize(
    ("changes", "field"), [({"evidence": None}, "tests"), ({"image": "none"}, "image"), ({"given": 3}, "given")]
)
async def test_what_cannot_be_voted_on_is_told_by_its_field(
    changes: dict[str, Any], field: str, gateway_url: str, token: Token
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        answer = await http.post("/v1/consensus", json={**VOTE_SPEC, **changes})

    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])


async def known(database: Database, tenant: str) -> list[tuple[str, bool, str]]:
    """What became known of the tenant's tasks, by source."""
    async with database.tenant(tenant) as connection:
        rows = await connection.execute(select(truths).order_by(truths.c.source))
        return [(row.source, row.good, row.actor) for row in rows]


@pytest.mark.parametrize(("decision", "good"), [("accept", True), ("reject", False)])
async def test_what_a_person_decides_is_a_truth_about_the_vote(
    decision: str, good: bool, gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await submit(http)
    await set_task(database, task, state="escalated")
    async with client(gateway_url, token("approver", tenant, "pat")) as http:
        await http.post(f"{task['links']['self']}/decision", json={"decision": decision, "reason": "seen"})

    assert await known(database, tenant) == [("human", good, "pat")]


async def test_what_turned_out_later_is_told_by_somebody_else_and_can_be_taken_back(
    gateway_url: str, token: Token, database: Database
) -> None:
    tenant, bad = tenant_name(), {"source": "rollback", "good": False, "reason": "it broke the login"}
    async with client(gateway_url, token("admin", tenant, "ann")) as http:
        task = await submit(http)
        path = f"{task['links']['self']}/truth"
        await set_task(database, task, state="accepted")
        own = await http.post(path, json=bad)
    async with client(gateway_url, token("operator", tenant, "olga")) as http:
        told = await http.post(path, json=bad)
        back = await http.post(path, json={**bad, "good": True, "reason": "it was another change"})
        human = await http.post(path, json={**bad, "source": "human"})

    assert (own.status_code, problem(own)) == (403, "forbidden")
    assert (told.status_code, back.status_code, human.status_code) == (200, 200, 422)
    assert await known(database, tenant) == [("rollback", True, "olga")]
    async with database.tenant(tenant) as connection:
        assert await connection.scalar(select(truths.c.reason)) == "it was another change"
    async with client(gateway_url, token("admin", tenant)) as http:
        records = (await http.get("/v1/audit", params={"action": "tasks.truth", "outcome": "allowed"})).json()["items"]
    assert [record["reason"] for record in records] == ["rollback: bad", "rollback: good"]
    assert "login" not in str(records)


async def test_nothing_is_known_of_a_task_that_has_not_ended(gateway_url: str, token: Token) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        path = f"{(await submit(http))['links']['self']}/truth"
    async with client(gateway_url, token("operator", tenant)) as http:
        answer = await http.post(path, json={"source": "tests", "good": True, "reason": "more tests"})

    assert (answer.status_code, problem(answer)) == (409, "task-not-final")
