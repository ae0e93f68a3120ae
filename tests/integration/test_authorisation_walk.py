"""Every route for every role, and for a tenant that nothing there belongs to."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from gateway.authorisation import ROLES, Role
from gateway.operations import Operation
from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS
from schema.database import Database
from schema.prompts import active_version
from tests.support.approvals import pending
from tests.support.http import SPEC, VOTE_SPEC, client, problem, set_task, submit, tenant_name
from tests.support.learning import install_prompts
from tests.support.letters import park
from tests.support.paths import path_of

Token = Callable[..., str]

# As design §4 has it, one letter a role: admin, operator, developer, approver, viewer.
LETTERS: dict[Role, str] = {"admin": "a", "operator": "o", "developer": "d", "approver": "p", "viewer": "v"}
ALLOWED = {
    "POST /v1/tasks": "ad",
    "POST /v1/consensus": "ad",
    "GET /v1/tasks": "aodpv",
    "GET /v1/tasks/{task_id}": "aodpv",
    "GET /v1/tasks/{task_id}/result": "aodpv",
    "GET /v1/tasks/{task_id}/consensus": "aodpv",
    "GET /v1/tasks/{task_id}/events": "aodpv",
    "GET /v1/tasks/{task_id}/evidence": "ao",
    "POST /v1/tasks/{task_id}/cancel": "aod",
    "POST /v1/tasks/{task_id}/decision": "ap",
    "POST /v1/tasks/{task_id}/truth": "aop",
    "GET /v1/tasks/{task_id}/findings": "aodpv",
    "POST /v1/tasks/{task_id}/follow-ups": "ad",
    "GET /v1/policies/{tenant}": "aodpv",
    "PUT /v1/policies/{tenant}": "a",
    "GET /v1/governance/voters": "aodpv",
    "GET /v1/governance/status": "aodpv",
    "GET /v1/governance/stats": "aodpv",
    "GET /v1/prompts/{role}": "aodpv",
    "GET /v1/prompts/{role}/versions/{version_id}": "aodpv",
    "POST /v1/prompts/{role}/rollback": "ao",
    "GET /v1/approvals": "aodp",
    "GET /v1/approvals/{approval_id}": "aodp",
    "POST /v1/approvals/{approval_id}/approve": "ap",
    "POST /v1/approvals/{approval_id}/reject": "ap",
    "POST /v1/proposals": "ad",
    "POST /v1/sandbox/executions": "ad",
    "POST /v1/tokens": "a",
    "GET /v1/tokens": "a",
    "DELETE /v1/tokens": "a",
    "DELETE /v1/tokens/{jti}": "a",
    "GET /v1/audit": "ao",
    "GET /v1/audit/verify": "ao",
    "GET /v1/budgets/{tenant}": "aod",
    "PUT /v1/budgets/{tenant}": "a",
    "GET /v1/budgets/{tenant}/entries": "aod",
    "GET /v1/budgets/{tenant}/check": "aod",
    "POST /v1/tasks/{task_id}/top-up": "a",
    "POST /v1/tasks/{task_id}/erasure": "a",
    "POST /v1/tenants/{tenant}/erasure": "a",
    "GET /v1/circuits": "aod",
    "GET /v1/circuits/changes": "aod",
    "GET /v1/dead-letters": "aod",
    "GET /v1/dead-letters/{letter_id}": "aod",
    "POST /v1/dead-letters/{letter_id}/redrive": "ao",
    "POST /v1/dead-letters/{letter_id}/discard": "ao",
    "POST /v1/dead-letters/redrive": "ao",
    "POST /v1/dead-letters/discard": "ao",
    "POST /codec/decode": "a",
    "POST /codec/encode": "a",
    "POST /ui": "a",
    "POST /ui-sessions/end": "a",
}
# What a permitted request is answered with here, where nothing more is said of it than its path.
BODIES: dict[str, Any] = {
    "POST /v1/tasks": SPEC,
    "POST /v1/consensus": VOTE_SPEC,
    "POST /v1/tasks/{task_id}/decision": {"decision": "reject", "reason": "because"},
    "POST /v1/tasks/{task_id}/truth": {"source": "tests", "good": False, "reason": "because"},
    "POST /v1/tasks/{task_id}/follow-ups": {"number": 1},
    "PUT /v1/policies/{tenant}": {"quorum": 2},
    "POST /v1/approvals/{approval_id}/approve": {"reason": "because", "digest": "0" * 64},
    "POST /v1/approvals/{approval_id}/reject": {"reason": "because", "digest": "0" * 64},
    "POST /v1/proposals": {"kind": "weights"},
    "POST /v1/prompts/{role}/rollback": {"version": str(uuid4()), "reason": "because"},
    # Refused as late as anything can be, since there is no worker that would run it.
    "POST /v1/sandbox/executions": {"command": ["true"], "image": "none-such"},
    "POST /v1/tokens": {"sub": "somebody", "role": "viewer", "ttl": "1m"},
    "PUT /v1/budgets/{tenant}": {"slots": 1},
    "POST /v1/tasks/{task_id}/top-up": {"tokens": 1},
    "POST /v1/tasks/{task_id}/erasure": {"reason": "because"},
    "POST /v1/tenants/{tenant}/erasure": {"reason": "because"},
    "POST /v1/dead-letters/redrive": {"filter": {}},
    "POST /v1/dead-letters/discard": {"filter": {}},
    "POST /codec/decode": {"payloads": []},
    "POST /codec/encode": {"payloads": []},
}
QUERIES = {"DELETE /v1/tokens": {"sub": "nobody"}}
DONE = {200, 201, 202, 409, 422}
"""409 and 422 are about the state and the content: whoever hears them was let in."""
ABOUT_A_TASK = [each for each in OPERATIONS if "{task_id}" in each.path]


def name(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


def shown(value: Role | Operation) -> str:
    return name(value) if isinstance(value, Operation) else value


async def ask(
    http: httpx.AsyncClient, operation: Operation, task_id: str, tenant: str = "x", **ids: UUID
) -> httpx.Response:
    """A request that is right in all but who makes it; of a stream, only how it begins."""
    what = name(operation)
    path = path_of(operation.path, uuid4(), task_id=task_id, role="developer", tenant=tenant, **ids)
    request = http.build_request(operation.method, path, json=BODIES.get(what), params=QUERIES.get(what))
    response = await http.send(request, stream=True)
    streaming = response.headers["content-type"].startswith("text/event-stream")
    if not streaming:
        await response.aread()
    await response.aclose()
    return response


async def prompt_version(database: Database) -> UUID:
    """The platform's version of the developer's prompt."""
    await install_prompts(database)
    async with database.service() as connection:
        found = await active_version(connection, "*", "developer")
    assert found is not None
    return found


def test_the_table_here_has_every_route() -> None:
    assert set(ALLOWED) == {name(each) for each in OPERATIONS}


@pytest.mark.parametrize(("role", "operation"), list(itertools.product(ROLES, OPERATIONS)), ids=shown)
async def test_a_role_is_let_in_where_the_design_says_and_nowhere_else(
    role: Role, operation: Operation, gateway_url: str, token: Token, database: Database
) -> None:
    tenant = tenant_name()
    # A developer cancels their own only, and nobody decides on theirs.
    owner = "ann" if name(operation).endswith("/cancel") else "bob"
    async with client(gateway_url, token("developer", tenant, owner)) as http:
        task = await submit(http)
    if name(operation).endswith("/decision"):
        await set_task(database, task, state="escalated")
    ids = {
        "letter_id": await park(database, task),
        "approval_id": (await pending(database, tenant, proposer="bob")).update_id,
        "version_id": await prompt_version(database),
    }
    async with client(gateway_url, token(role, tenant, "ann")) as http:
        response = await ask(http, operation, task["task_id"], tenant, **ids)

    if LETTERS[role] in ALLOWED[name(operation)]:
        assert response.status_code in DONE, response.text
    else:
        assert (response.status_code, problem(response)) == (403, "forbidden")


@pytest.mark.parametrize("operation", ABOUT_A_TASK, ids=name)
@pytest.mark.parametrize("state", ["submitted", "escalated", "rejected"])
async def test_a_foreign_task_is_404_in_whatever_state(
    operation: Operation, state: str, gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
    await set_task(database, task, state=state)
    async with client(gateway_url, token("admin", tenant_name())) as http:
        foreign = await ask(http, operation, task["task_id"])
        absent = await ask(http, operation, str(uuid4()))

    assert [(each.status_code, problem(each)) for each in (foreign, absent)] == [(404, "not-found")] * 2
    assert {**foreign.json(), "request_id": ""} == {**absent.json(), "request_id": ""}


async def test_nothing_of_another_tenant_is_in_a_list_a_page_or_a_chain(
    gateway_url: str, token: Token, database: Database
) -> None:
    theirs, mine = tenant_name(), tenant_name()
    async with client(gateway_url, token("admin", theirs, "eve")) as http:
        task = await submit(http)
        issued = (await http.post("/v1/tokens", json={"sub": "their-sub", "role": "viewer"})).json()
    async with client(gateway_url, token("admin", mine)) as http:
        answers = [
            await http.get("/v1/tasks"),
            await http.get("/v1/tasks", params={"state": "submitted", "limit": 100}),
            await http.get("/v1/tokens"),
            await http.get("/v1/tokens", params={"sub": "their-sub"}),
            await http.get("/v1/audit", params={"actor": "eve", "limit": 1000}),
            await http.get("/v1/audit", params={"object": task["task_id"]}),
        ]
        pages = [
            await http.get("/v1/tasks", params={"cursor": task["task_id"]}),
            await http.get("/v1/tokens", params={"cursor": issued["jti"]}),
        ]
        verified = (await http.get("/v1/audit/verify")).json()
        elsewhere = [
            await http.get("/v1/audit", headers={"Golden-Tenant": theirs}),
            await http.get("/v1/tokens", headers={"Golden-Tenant": theirs}),
            await http.get("/v1/tasks", headers={"Golden-Tenant": "*"}),
        ]

    assert [answer.json()["items"] for answer in answers[:2]] == [[], []]
    assert all(item["tenant"] == mine for item in answers[2].json()["items"])
    assert [answer.json()["items"] for answer in answers[3:]] == [[]] * 3
    assert {page.status_code for page in pages} == {422}
    assert verified["tenant"] == mine
    assert {each.status_code for each in elsewhere} == {403}


async def test_revoking_what_another_tenant_has_does_nothing_to_it(gateway_url: str, token: Token) -> None:
    theirs = tenant_name()
    async with client(gateway_url, token("admin", theirs)) as http:
        issued = (await http.post("/v1/tokens", json={"sub": "ann", "role": "viewer"})).json()
    async with client(gateway_url, token("admin", tenant_name())) as http:
        for query in ({"jti": issued["jti"]}, {"sub": "ann"}):
            assert (await http.delete("/v1/tokens", params=query)).status_code == 200
        assert (await http.delete(f"/v1/tokens/{issued['jti']}")).status_code == 200
    async with client(gateway_url, issued["token"]) as http:
        assert (await http.get("/v1/tasks")).status_code == 200


async def test_one_key_in_two_tenants_is_two_keys_on_every_route_that_takes_one(
    gateway_url: str, token: Token, database: Database
) -> None:
    shared = {"Idempotency-Key": f"shared-{uuid4()}"}
    found = []
    for tenant in (tenant_name(), tenant_name()):
        async with client(gateway_url, token("admin", tenant, "same"), **shared) as http:
            task = await submit(http)
            issued = (await http.post("/v1/tokens", json={"sub": "ann", "role": "viewer"})).json()
            cancelled = await http.post(f"{task['links']['self']}/cancel")
            found.append((task["task_id"], issued["jti"], cancelled.json()["task_id"]))

    assert len({each for group in found for each in group}) == 4
    assert all(task == cancelled for task, _, cancelled in found)


async def test_a_stream_of_a_foreign_task_never_begins_even_where_it_was_read_to_an_end_by_its_own(
    gateway_url: str, token: Token, database: Database
) -> None:
    async with client(gateway_url, token("developer", tenant_name())) as http:
        task = await submit(http)
    async with client(gateway_url, token("viewer", tenant_name())) as http:
        guesses = [{}, {"Last-Event-ID": "0"}, {"Last-Event-ID": "1"}, {"Golden-Tenant": task["tenant"]}]
        asked = (http.get(task["links"]["events"], headers=headers) for headers in guesses)
        answers = await asyncio.gather(*asked)

    assert [answer.status_code for answer in answers] == [404, 404, 404, 403]


async def test_what_is_public_needs_no_token_and_minds_none(gateway_url: str, token: Token) -> None:
    for holder in (None, "not.a.token", token("viewer", tenant_name())):
        async with client(gateway_url, holder) as http:
            statuses = {each.path: (await http.get(each.path)).status_code for each in PUBLIC_OPERATIONS}
        with contextlib.suppress(KeyError):
            # Its link is its proof, and here is none.
            assert statuses.pop("/ui") == 401
        assert set(statuses.values()) == {200}
