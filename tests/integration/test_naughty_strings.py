"""Strings that break what believes them, in every place where a client may write: refused or kept as they are."""

import asyncio
import copy
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from gateway.operations import Operation, PublicOperation
from gateway.request_line import MAX_HEADER_BYTES
from gateway.routes import OPERATIONS, PUBLIC_OPERATIONS
from gateway.terminal import clean
from schema.database import Database
from schema.tables import decisions
from tests.support.http import SPEC, VOTE_SPEC, client, set_task, submit, tenant_name
from tests.support.learning import install_prompts
from tests.support.naughty import NAUGHTY
from tests.support.paths import path_of
from tests.support.share import share

Token = Callable[..., str]
Headers = list[tuple[bytes, bytes]]
Request = tuple[str, str, Headers, bytes]

ROUTES: tuple[Operation | PublicOperation, ...] = (*OPERATIONS, *PUBLIC_OPERATIONS)
JSON, YAML = [(b"Content-Type", b"application/json")], [(b"Content-Type", b"application/yaml")]
MAX_URL = 60_000
"""httpx sends no longer one; the gateway takes less by far."""

MANY: dict[str, Any] = {
    "filter": {
        "kind": "model",
        "cause": "ModelUnavailable",
        "task": str(uuid4()),
        "step": "plan",
        "parked_before": "2026-01-01T00:00:00Z",
        "ids": [str(uuid4())],
    },
    "per_minute": 5,
    "reason": "because",
}
FULL: dict[str, Any] = {
    "/v1/tasks": {
        **SPEC,
        "files": {"lib/a.py": "x = 1\n"},
        "command": ["pytest", "-q"],
        "deadline": "30m",
        "image": "default",
        "labels": {"team": "core"},
        "policy": {"rule": "majority"},
    },
    "/v1/tasks/{task_id}/decision": {"decision": "reject", "reason": "because"},
    "/v1/consensus": {
        **VOTE_SPEC,
        "evidence": {"findings": [{"id": "a", "guard": "b", "rule": "c", "severity": "low", "message": "d"}]},
        "plan": "Add.",
    },
    "/v1/tasks/{task_id}/truth": {"source": "tests", "good": True, "reason": "because"},
    "/v1/tasks/{task_id}/follow-ups": {"number": 1},
    "/v1/policies/{tenant}": {"voters": {"reviewer": 5000, "tester": 5000}, "quorum": 2, "guards": {"lint": "off"}},
    # Of another image: what is valid otherwise is refused as late as can be, since nobody would run it here.
    "/v1/sandbox/executions": {"files": {"a.py": "1"}, "tests": {}, "command": ["true", "x"], "image": "unnamed"},
    "/v1/tokens": {"sub": "ann", "role": "viewer", "tenant": "t", "ttl": "1m"},
    "/v1/dead-letters/redrive": {**MANY, "route": ["openai:gpt-5", "embedded"]},
    "/v1/dead-letters/discard": MANY,
    "/v1/dead-letters/{letter_id}/redrive": {"reason": "because", "route": ["embedded"], "top_up_tokens": 5},
    "/v1/dead-letters/{letter_id}/discard": {"reason": "because"},
    "/v1/approvals/{approval_id}/approve": {"reason": "because", "digest": "0" * 64},
    "/v1/approvals/{approval_id}/reject": {"reason": "because", "digest": "0" * 64},
    "/v1/proposals": {"role": "tester", "change": {"from": "Look.", "to": "Look twice."}, "reason": "because"},
    "/v1/prompts/{role}/rollback": {"version": str(uuid4()), "reason": "because"},
    "/v1/budgets/{tenant}": {"limit_tokens": 5, "limit_micro_usd": None, "slots": 1},
    "/v1/tasks/{task_id}/top-up": {"tokens": 5, "micro_usd": 0},
    "/v1/tasks/{task_id}/erasure": {"reason": "because"},
    "/v1/tenants/{tenant}/erasure": {"reason": "because", "cancel": False},
    "/codec/decode": {"payloads": [{"metadata": {"encoding": "YQ=="}, "data": "YQ=="}]},
    "/codec/encode": {"payloads": [{"metadata": {"encoding": "YQ=="}, "data": "YQ=="}]},
}
HEADERS = (
    *("Authorization", "Idempotency-Key", "Golden-Tenant", "Last-Event-ID", "X-Request-Id", "traceparent"),
    *("X-Forwarded-For", "Content-Type", "Content-Encoding", "Accept", "Cookie", "Origin", "X-Namespace"),
)


def variants(value: Any, naughty: str) -> Iterator[Any]:
    """The value with the string in place of each of its parts and of each of its names."""
    yield naughty
    if isinstance(value, dict):
        for key, item in value.items():
            yield {**{name: other for name, other in value.items() if name != key}, naughty: item}
            for changed in variants(item, naughty):
                yield {**value, key: changed}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for changed in variants(item, naughty):
                copied = copy.copy(value)
                copied[index] = changed
                yield copied


def check(answer: httpx.Response, what: object) -> None:
    """It is an answer of ours and no fault of ours, whose headers nobody else has written."""
    assert answer.status_code < 500, (what, answer.text)
    assert "set-cookie" not in answer.headers, what
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json", what
        told = answer.json()
        assert all(error["field"].isprintable() for error in told.get("errors", ())), what
        assert len(answer.content) < 20_000, what


async def ask_all(http: httpx.AsyncClient, requests: Iterable[Request]) -> None:
    """Send requests, a few at a time, and look at each answer."""
    at_once = asyncio.Semaphore(8)

    async def ask(method: str, url: str, headers: Headers, content: bytes) -> None:
        async with at_once:
            answer = await http.request(method, url, headers=headers, content=content)
        check(answer, (method, url[:200], headers, content[:200]))

    await asyncio.gather(*(ask(*request) for request in requests))


@pytest.mark.parametrize(
    "operation",
    # A discard reads its body as the redrive beside it does.
    [each for each in OPERATIONS if each.takes is not None and not each.path.endswith("/discard")],
    ids=lambda each: each.path,
)
async def test_in_every_field_of_every_body(
    operation: Operation, gateway_url: str, token: Token, database: Database
) -> None:
    method, path = operation.method, operation.path
    assert path in FULL, "say what a full body of this route is"
    await install_prompts(database)
    async with client(gateway_url, token("admin", tenant_name(), "ann")) as http:
        task = await submit(http)
        url = path_of(path, uuid4(), task_id=task["task_id"], tenant=task["tenant"], role="tester")
        # Each place has every fifth string, and each string every fifth place.
        bodies = [
            json.dumps(body).encode()
            for number, naughty in enumerate(NAUGHTY)
            for body in share(variants(FULL[path], naughty), of=5, start=number)
        ]
        bodies += [naughty.encode("utf-8", "surrogatepass") for naughty in NAUGHTY]
        await ask_all(http, ((method, url, JSON, body) for body in bodies))
        await ask_all(http, ((method, url, YAML, body) for body in bodies[-len(NAUGHTY) :]))


@pytest.mark.parametrize("operation", ROUTES, ids=lambda each: f"{each.method} {each.path}")
async def test_in_every_parameter_of_path_and_query(
    operation: Operation | PublicOperation, gateway_url: str, token: Token
) -> None:
    names = list(operation.query.model_fields) if isinstance(operation, Operation) else [*operation.query]
    urls = []
    for naughty in share(NAUGHTY, of=4, start=len(operation.path)):
        written = quote(naughty.encode("utf-8", "surrogatepass"), safe="")
        path = path_of(operation.path, written)
        queries = [f"{name}={written}" for name in names] + [f"{written}=1"]
        urls += [url for url in [path, *(f"{operation.path}?{query}" for query in queries)] if len(url) < MAX_URL]
    async with client(gateway_url, token("admin", tenant_name())) as http:
        await ask_all(http, ((operation.method, url, [], b"") for url in urls))


@pytest.mark.parametrize("header", HEADERS)
async def test_in_every_header(header: str, gateway_url: str, token: Token) -> None:
    asked = [("GET", "/v1/tasks"), ("POST", "/v1/tasks"), ("GET", "/v1/tasks/x/events"), ("GET", "/ui")]
    values = [naughty.encode("utf-8", "surrogatepass") for naughty in share(NAUGHTY, of=4, start=len(header))]
    # What no client can send in a header is sent as bytes in test_http_limits.py.
    sent = [value for value in values if not set(value) & set(b"\r\n\0") and value == value.strip()]
    async with client(gateway_url, token("admin", tenant_name())) as http:
        await ask_all(
            http,
            (
                (method, path, [(header.encode(), value)], b"")
                for value in sent
                if len(value) < MAX_HEADER_BYTES
                for method, path in asked
            ),
        )


async def test_what_is_taken_is_kept_and_shown_as_it_was_written(
    gateway_url: str, token: Token, database: Database
) -> None:
    kept = 0
    async with client(gateway_url, token("developer", tenant_name())) as http:
        for naughty in NAUGHTY:
            content = json.dumps({**SPEC, "title": naughty})
            answer = await http.post("/v1/tasks", content=content, headers={"Content-Type": "application/json"})
            if answer.status_code == 202:
                kept += 1
                shown = (await http.get(answer.json()["links"]["self"])).json()
                assert shown["title"] == naughty
                assert not any(character in clean(shown["title"]) for character in "\x1b\x07\x9b\u202e\u2066")
    # Most are harmless where nothing believes them.
    assert kept > len(NAUGHTY) // 3


async def test_a_decisions_reason_is_kept_as_it_was_written(gateway_url: str, token: Token, database: Database) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant, "ann")) as http:
        task = await submit(http)
    await set_task(database, task, state="escalated")
    reason = "'; DROP TABLE decisions; -- {{7*7}} \u202e<script> 🜃"
    async with client(gateway_url, token("approver", tenant, "bob")) as http:
        answer = await http.post(f"{task['links']['self']}/decision", json={"decision": "reject", "reason": reason})
    async with database.tenant(tenant) as connection:
        stored = (await connection.execute(select(decisions.c.reason))).scalar_one()

    assert (answer.status_code, stored) == (200, reason)


@pytest.mark.parametrize("naughty", NAUGHTY, ids=lambda value: ascii(value)[:30])
def test_the_command_line_shows_none_that_a_terminal_obeys(naughty: str) -> None:
    shown = clean(naughty)

    assert not any(ord(character) < 32 and character not in "\n\t" for character in shown)
    assert not any(character in shown for character in "\x7f\x9b\u202e\u2066\u2069\u200b\ufeff")
    shown.encode()
