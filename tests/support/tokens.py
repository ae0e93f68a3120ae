"""Tokens over the API, and what becomes of them."""

import asyncio
from typing import Any

import httpx

from gateway.authorisation import Role
from schema.audit import ChainedRecord
from schema.database import Database
from tests.support.audit import chain_of
from tests.support.http import client

ROUTE = "/v1/tokens"
SECONDS = 10
"""A revocation must have arrived everywhere by then."""


async def issue(http: httpx.AsyncClient, *, sub: str = "bob", role: Role = "viewer", **body: Any) -> dict[str, Any]:
    """A token that the gateway has issued; it must do so."""
    response = await http.post(ROUTE, json={"sub": sub, "role": role, **body})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def status(url: str, token: str, tenant: str | None = None) -> int:
    """What becomes of a request with that token."""
    async with client(url, token, **({"Golden-Tenant": tenant} if tenant else {})) as http:
        return (await http.get("/v1/tasks")).status_code


async def told_of(database: Database, tenant: str, action: str) -> list[ChainedRecord]:
    """What the audit log tells of one kind of act."""
    return [record for record in await chain_of(database, tenant) if record.action == action]


async def refused_by_all(urls: list[str], token: str) -> None:
    """Returns when every gateway refuses the token, which is within seconds."""
    async with asyncio.timeout(SECONDS):
        for url in urls:
            while await status(url, token) != 401:  # noqa: ASYNC110 (another process)
                await asyncio.sleep(0.05)
