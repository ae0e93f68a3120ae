"""A tenant's policy of votes over HTTP, and what it lets its tasks ask for."""

from collections.abc import Callable

from gateway.policies import REMEDY
from tests.support.http import SPEC, VOTE_SPEC, client, problem, tenant_name

Token = Callable[..., str]


async def test_a_policy_keeps_what_was_said_and_shows_what_is_in_force(gateway_url: str, token: Token) -> None:
    tenant = tenant_name()
    path = f"/v1/policies/{tenant}"
    async with client(gateway_url, token("admin", tenant, "ann")) as http:
        before = (await http.get(path)).json()
        answer = await http.put(path, json={"quorum": 3, "veto": True})
        after = (await http.get(path)).json()
        cleared = (await http.put(path, json={})).json()

    assert (before["policy"], before["updated_by"]) == ({}, None)
    assert answer.json() == after
    assert (after["policy"], after["updated_by"]) == ({"quorum": 3, "veto": True}, "ann")
    assert after["in_force"] == {**before["in_force"], "quorum": 3}
    assert (cleared["policy"], cleared["in_force"]) == ({}, before["in_force"])


async def test_a_policy_that_cannot_work_is_refused_by_its_field(gateway_url: str, token: Token) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("admin", tenant)) as http:
        answer = await http.put(f"/v1/policies/{tenant}", json={"quorum": 9, "weights": {}})

    assert answer.status_code == 422
    assert {each["field"] for each in answer.json()["errors"]} == {"quorum", "weights"}


async def test_a_guard_has_no_more_rules_than_can_be_merged(gateway_url: str, token: Token) -> None:
    tenant = tenant_name()
    policy = {"guards": {"lint": {f"R{number}": "high" for number in range(201)}}}
    async with client(gateway_url, token("admin", tenant)) as http:
        answers = [await http.put(f"/v1/policies/{tenant}", json=policy)]
        answers.append(await http.post("/v1/tasks", json={**SPEC, "policy": policy}))

    assert [each.status_code for each in answers] == [422, 422]
    named = [each.json()["errors"][0]["field"] for each in answers]
    assert named == ["guards.lint", "policy.guards.lint"]


async def test_only_an_admin_of_the_tenant_sets_it_and_nobody_sees_anothers(gateway_url: str, token: Token) -> None:
    tenant = tenant_name()
    path = f"/v1/policies/{tenant}"
    async with client(gateway_url, token("developer", tenant)) as http:
        read, refused = await http.get(path), await http.put(path, json={"quorum": 1})
    async with client(gateway_url, token("admin", tenant_name())) as http:
        foreign = [await http.get(path), await http.put(path, json={"quorum": 1})]

    assert (read.status_code, refused.status_code, problem(refused)) == (200, 403, "forbidden")
    assert [(each.status_code, problem(each)) for each in foreign] == [(404, "not-found")] * 2


async def test_a_task_or_a_vote_that_is_laxer_is_refused_by_the_field_with_its_remedy(
    gateway_url: str, token: Token
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("admin", tenant)) as http:
        await http.put(f"/v1/policies/{tenant}", json={"quorum": 3})
        lax = {"policy": {"quorum": 2}}
        refused = [
            await http.post("/v1/tasks", json={**SPEC, **lax}),
            await http.post("/v1/consensus", json={**VOTE_SPEC, **lax}),
        ]
        stricter = await http.post("/v1/tasks", json={**SPEC, "policy": {"quorum": 4}})

    for answer in refused:
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["field"]) == (422, "policy.quorum")
        assert fault["message"].endswith(REMEDY)
    assert stricter.status_code == 202


async def test_the_first_answer_of_a_key_stands_when_the_policy_has_become_stricter(
    gateway_url: str, token: Token
) -> None:
    tenant = tenant_name()
    lax = {**SPEC, "policy": {"quorum": 2}}
    async with client(gateway_url, token("admin", tenant), **{"Idempotency-Key": "one"}) as http:
        first = await http.post("/v1/tasks", json=lax)
        await http.put(f"/v1/policies/{tenant}", json={"quorum": 3})
        again = await http.post("/v1/tasks", json=lax)

    assert first.json()["task_id"] == again.json()["task_id"]
