"""Unauthorised access: every route without a token, forged tokens, other tenants' objects, roles, guessing."""

import json
import time
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select

from deploy.prove.guarded import AUDIT, need_triggers, need_walls
from deploy.prove.proof import Broken, Ground, expect, spec
from schema.database import Database
from schema.keys import ensure_signing_key
from schema.tables import metadata

DONE = "every route without a token, forged tokens, another tenant's objects, a role that may not, guessing"
PUBLIC = {"/healthz", "/readyz", "/.well-known/jwks.json", "/ui", "/openapi.json", "/docs",
          "/.well-known/evidence-keys.json"}  # fmt: skip
A_FEW = 20
"""Failures from one address, fewer than would bar it."""
GUESSES = 120


async def prove(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    ground.need_local("fails to authenticate so often that its address would be barred")
    tenant, other = ground.tenant("mine"), ground.tenant("theirs")
    routes = await _every_route(ground)
    forged = await _forged(ground, tenant)
    refused = await _others(ground, tenant, other)
    rows = await _walls(ground)
    guesses = await _guessing(ground)
    return (
        f"{routes} routes: 401; {forged} forged tokens: 401; {refused} acts of others: 403 or 404; "
        f"{rows} tables: no row of others; the audit log takes no change; guessing barred after {guesses}"
    )


async def _every_route(ground: Ground) -> int:
    async with ground.stranger() as client:
        paths: dict[str, dict[str, Any]] = expect(await client.get("/openapi.json"), 200).json()["paths"]
    walked = [(verb, path) for path, verbs in paths.items() if path not in PUBLIC for verb in verbs]
    for place, (verb, path) in enumerate(walked):
        async with ground.stranger(origin=f"127.7.{place // A_FEW}.{_octet(ground)}") as client:
            answer = await client.request(verb.upper(), path.replace("{", "").replace("}", ""))
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            raise Broken(f"{verb.upper()} {path} without a token was answered {answer.status_code}")
    return len(walked)


async def _forged(ground: Ground, tenant: str) -> int:
    tokens = _tokens(ground, tenant)
    async with ground.client("viewer", tenant) as client:
        expect(await client.get("/v1/tasks"), 200)
    for name, token in tokens.items():
        headers = {"Authorization": f"Bearer {token}"}
        async with ground.stranger(headers, origin=f"127.8.0.{_octet(ground)}") as client:
            answer = await client.get("/v1/tasks")
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            raise Broken(f"a token ({name}) was answered {answer.status_code}")
    return len(tokens)


def _tokens(ground: Ground, tenant: str) -> dict[str, str]:
    """Tokens that nobody may believe, each a good one with one thing wrong."""
    settings, now = ground.settings, int(time.time())
    key = ensure_signing_key(settings.keys_folder)
    good = jwt.decode(ground.token("admin", tenant), options={"verify_signature": False})
    header = {"kid": key.kid}

    def signed(private: Ed25519PrivateKey = key.private, **changes: Any) -> str:
        return jwt.encode({**good, **changes}, private, algorithm="EdDSA", headers=header)

    head, body, signature = signed().split(".")
    public = json.dumps(jwt.get_algorithm_by_name("EdDSA").to_jwk(key.private.public_key()))
    return {
        "of another key": signed(Ed25519PrivateKey.generate()),
        "alg none": jwt.encode(good, "", algorithm="none", headers=header),
        "the public key as a secret": jwt.encode(good, public.ljust(64), algorithm="HS256", headers=header),
        "expired": signed(iat=now - 900, exp=now - 300),
        "for ten years": signed(exp=now + 10 * 365 * 86_400),
        "without an end": jwt.encode({**good, "exp": None}, key.private, algorithm="EdDSA", headers=header),
        "not yet valid": signed(nbf=now + 600),
        "for another audience": signed(aud="other"),
        "of another issuer": signed(iss="other"),
        "a role that is none": signed(role="root"),
        "without its signature": f"{head}.{body}.",
        "with another signature": f"{head}.{body}.{signature[::-1]}",
    }


async def _others(ground: Ground, tenant: str, other: str) -> int:
    """What a good token may not: another tenant's task, a role's lack, one's own decision."""
    await ground.limit(other, slots=0)
    async with ground.client("admin", other, "ann") as client:
        body = {**spec(f"prove access {ground.run}")}
        task = f"/v1/tasks/{expect(await client.post('/v1/tasks', json=body), 202).json()['task_id']}"
        own = await client.post(f"{task}/decision", json={"decision": "accept", "reason": "mine"})
        expect(own, 403)
    async with ground.client("admin", tenant) as client:
        for path in (task, f"{task}/result", f"{task}/consensus", f"{task}/events", f"/v1/budgets/{other}"):
            expect(await client.get(path), 404)
        expect(await client.post(f"{task}/cancel"), 404)
        expect(await client.get("/v1/tasks", headers={"Golden-Tenant": other}), 403)
    async with ground.client("viewer", other) as client:
        expect(await client.post("/v1/tasks", json=body), 403)
        expect(await client.put(f"/v1/budgets/{other}", json={"slots": 9}), 403)
        expect(await client.post(f"{task}/cancel"), 403)
    return 11


async def _walls(ground: Ground) -> int:
    """The database's own walls: as the tenants' role, no table shows a row of a tenant but the one that is named."""
    mine = "prove-nobody"
    database, seen = Database.from_settings(ground.settings, pool_size=1), 0
    try:
        await need_walls(database)
        await need_triggers(database, AUDIT)
        async with database.service() as connection:
            tables = [table for table in metadata.sorted_tables if "tenant" in table.c]
            readable = [
                table
                for table in tables
                if await connection.scalar(select(func.has_table_privilege("golden_tenant", table.name, "SELECT")))
            ]
        async with database.tenant(mine) as connection:
            for table in readable:
                foreign = table.c.tenant.not_in((mine, "*"))
                count = await connection.scalar(select(func.count()).select_from(table).where(foreign))
                if count:
                    raise Broken(f"the tenants' role of the database sees {count:,} rows of others in {table.name}")
                seen += 1
    finally:
        await database.close()
    return seen


async def _guessing(ground: Ground) -> int:
    """How many bad tokens an address may bring before it is refused unseen."""
    async with ground.stranger({"Authorization": "Bearer x"}, origin=f"127.9.0.{_octet(ground)}") as client:
        for guess in range(1, GUESSES + 1):
            if (await client.get("/v1/tasks")).status_code == httpx.codes.TOO_MANY_REQUESTS:
                return guess - 1
    raise Broken(f"{GUESSES} guesses of a token from one address, and it may go on guessing")


def _octet(ground: Ground) -> int:
    """The last part of an address of this machine, another for each run: a limit lasts a minute."""
    return 2 + int(ground.run[:2], 16) % 250
