"""A client of the gateway for tests, and a task that is valid but for what a test changes."""

import ssl
from ipaddress import IPv6Network
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import Table, func, select, update

from schema.database import Database
from schema.tables import tasks

SPEC: dict[str, Any] = {
    "title": "Add two numbers",
    "instructions": "Write add(a, b).",
    "tests": {"test_add.py": "from add import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"},
    "budget_tokens": 20_000,
}

VOTE_SPEC: dict[str, Any] = {
    "title": "Is this add good?",
    "instructions": "Write add(a, b).",
    "files": {"add.py": "def add(a, b):\n    return a + b\n"},
    "evidence": {"tests": [{"id": "test_add.py::test_add", "outcome": "passed"}]},
    "budget_tokens": 20_000,
}

TRUST = ssl.create_default_context()
"""Of all clients: reading the certificates again takes each of them longer than what it asks."""


def client(url: str, token: str | None, **headers: str) -> httpx.AsyncClient:
    """A client that sends `token` with every request."""
    authorization = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=url, headers={**authorization, **headers}, timeout=20, verify=TRUST)


def spec(**changes: Any) -> dict[str, Any]:
    """The valid task with some fields changed."""
    return {**SPEC, **changes}


def tenant_name() -> str:
    """A tenant that no other test has."""
    return f"t-{uuid4().hex[:12]}"


async def submit(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    """Submit the valid task with some fields changed; it must be accepted."""
    response = await http.post("/v1/tasks", json=spec(**changes))
    assert response.status_code == 202, response.text
    return dict(response.json())


async def set_task(database: Database, task: dict[str, Any], **values: Any) -> None:
    """Change a task's row behind everybody's back."""
    async with database.service() as connection:
        await connection.execute(update(tasks).where(tasks.c.task_id == UUID(task["task_id"])).values(**values))


def client_network() -> str:
    """The network of a client that no other test has: an IPv6 client counts as the network it is in."""
    return str(IPv6Network(((0xFD << 56 | uuid4().int >> 72) << 64, 64)))


def forwarded(network: str) -> dict[str, str]:
    """The header by which a trusted proxy says that a request comes from there."""
    return {"X-Forwarded-For": str(IPv6Network(network)[uuid4().int >> 64])}


def problem(response: httpx.Response) -> str:
    """The name of the problem that a response tells."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    return str(body["type"]).removeprefix("https://golden.invalid/problems/")


async def count(database: Database, table: Table, tenant: str) -> int:
    """How many rows of a table a tenant has."""
    async with database.service() as connection:
        found = await connection.execute(select(func.count()).select_from(table).where(table.c.tenant == tenant))
        return int(found.scalar_one())
