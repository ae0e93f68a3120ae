"""Runaway learning: proposals in a row, one's own approval, a digest of something else, and the tables themselves."""

from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from deploy.prove.guarded import LEARNING, need_triggers
from deploy.prove.proof import Broken, Ground, NotShown, expect, until
from schema.database import Database
from schema.tables import prompt_limits, prompt_pointers

DONE = "two updates of one prompt in a row, one's own approved, another digest, limits and pointers written by SQL"
ROLE = "security"
LESSONS = ("Name the file and the line of each risk that you see.", "Look at every path that comes from outside.")
PENDING_WITHIN = 30.0


async def prove(ground: Ground) -> str:
    """The figure; raises Broken, NotShown."""
    tenant = ground.tenant("learn")
    first = await _propose(ground, tenant, LESSONS[0])
    await _pending(ground, tenant, first["id"])
    async with ground.client("admin", tenant, "ann") as client:
        expect(await _approve(client, first, first["digest"]), 403)
    async with ground.client("approver", tenant, "bob") as client:
        expect(await _approve(client, first, "0" * 64), 409)
        expect(await _approve(client, first, first["digest"]), 200)
    second = await _propose(ground, tenant, LESSONS[1])
    state = await _held_back(ground, tenant, second)
    written = await _by_hand(ground, tenant, second) if ground.local else "SQL not shown"
    return f"own approval 403, other digest 409; the second update is {state}; {written}"


async def _propose(ground: Ground, tenant: str, lesson: str) -> dict[str, Any]:
    async with ground.client("admin", tenant, "ann") as client:
        body = {"role": ROLE, "add": lesson, "reason": "golden prove"}
        answer = await client.post("/v1/proposals", json=body)
    proposal: dict[str, Any] = expect(answer, 200, 201, 202).json()
    return proposal


async def _approve(client: Any, proposal: dict[str, Any], digest: str) -> Any:
    body = {"reason": "golden prove", "digest": digest}
    return await client.post(f"/v1/approvals/{proposal['id']}/approve", json=body)


async def _state(ground: Ground, tenant: str, update_id: str) -> str:
    async with ground.client("admin", tenant, "ann") as client:
        return str(expect(await client.get(f"/v1/approvals/{update_id}"), 200).json()["state"])


async def _pending(ground: Ground, tenant: str, update_id: str) -> None:
    async def there() -> bool:
        return await _state(ground, tenant, update_id) == "pending"

    if not await until(there, PENDING_WITHIN):
        raise NotShown(
            f"the proposal is {await _state(ground, tenant, update_id)}, not pending: nobody can decide on it"
        )


async def _held_back(ground: Ground, tenant: str, second: dict[str, Any]) -> str:
    """The second of a day is not decided on: it waits, or its approval is refused."""

    async def settled() -> bool:
        return await _state(ground, tenant, second["id"]) in ("waiting", "pending")

    await until(settled, PENDING_WITHIN)
    async with ground.client("approver", tenant, "bob") as client:
        answer = await _approve(client, second, second["digest"])
    state = await _state(ground, tenant, second["id"])
    if answer.is_success or state not in ("waiting", "pending", "proposed"):
        raise Broken(f"two updates of the role {ROLE} within a minute were approved")
    return f"{state}, its approval refused ({answer.status_code})"


async def _by_hand(ground: Ground, tenant: str, second: dict[str, Any]) -> str:
    """As the tenants' role of the database: no statement may give it more than the API does."""
    approve = text("SELECT approve_prompt_update(CAST(:id AS uuid), 'bob', 'prove', :digest)")
    row = {"tenant": tenant, "role": ROLE, "max_per_day": 1000, "cooldown_hours": 0, "approval": "automatic"}
    attempts: dict[str, Any] = {
        "move the pointer": update(prompt_pointers).values(canary=None),
        "raise the limits": insert(prompt_limits).values(row),
        "change the limits": update(prompt_limits).values(max_per_day=1000),
        "approve": approve.bindparams(id=second["id"], digest=second["digest"]),
    }
    database = Database.from_settings(ground.settings, pool_size=1)
    try:
        await need_triggers(database, LEARNING)
        for what, statement in attempts.items():
            try:
                async with database.tenant(tenant) as connection:
                    await connection.execute(statement)
            except SQLAlchemyError:
                continue
            raise Broken(f"the tenants' role of the database may {what}")
        async with database.service() as connection:
            limits = await connection.execute(select(prompt_limits).where(prompt_limits.c.role == ROLE))
            most = max(limit.max_per_day for limit in limits)
            # By the rule itself: the second may also wait for the trial of the first.
            rule = text("SELECT allowed FROM can_auto_update_prompt(:role, now(), :tenant)")
            if (await connection.execute(rule, {"role": ROLE, "tenant": tenant})).scalar_one():
                raise Broken(f"the limits allow two updates of the role {ROLE} within a minute: {most} a day")
    finally:
        await database.close()
    return f"{len(attempts)} statements refused; at most {most} a day"
