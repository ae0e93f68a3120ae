"""kill -9 of whoever sees a proposal through, in each of its stages: it goes on where its row is, and nothing twice."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest_asyncio
from sqlalchemy import insert, select, text, update
from temporalio.client import Client
from temporalio.service import RPCError
from uuid_utils.compat import uuid7

from schema.database import Database
from schema.engine import APPROVAL_DECIDED, approval_workflow_id, connect, start_approval
from schema.messages.learning import Pattern, PromptDiff, PromptEvidence
from schema.prompts import active_version
from schema.proposals import SUPERVISOR, write_proposal
from schema.tables import accounts, model_calls, tasks
from schema.texts import canonical_json, put_text
from tests.support.audit import acts_of
from tests.support.golden import Golden
from tests.support.http import tenant_name
from tests.support.learning import row_of
from tests.support.processes import until
from tests.support.prompt_updates import end_tasks, named, task_of
from tests.support.provider import Provider, Script
from tests.support.specs import spec

RULE = "security/B602"
GUIDELINE = "Pass the arguments of a command as a list, and never through a shell."
PATTERN = Pattern(
    rule=RULE, role="developer", tasks=40, failing=9, base_rate=0.05, p_value=0.001, q_value=0.01, window_days=14
)


@pytest_asyncio.fixture
async def database(golden: Golden) -> AsyncIterator[Database]:
    database = Database.from_settings(golden.settings)
    yield database
    await database.close()


async def propose(database: Database, client: Client, tenant: str) -> UUID:
    """What a scan would propose, for a tenant with a past task, and with no room yet to try anything on it."""
    update_id = UUID(str(uuid7()))
    parent = await installed(database, tenant)
    async with database.service() as connection:
        await connection.execute(insert(accounts).values(tenant=tenant, slots=2, limit_tokens=0))
    said: dict[str, Any] = {"diff": PromptDiff(op="add"), "evidence": PromptEvidence(pattern=PATTERN), "slots": 2}
    async with database.tenant(tenant) as connection:
        past = await put_text(connection, tenant, canonical_json(spec("a past task")))
        values = {"tenant": tenant, "role": "developer", "proposer": SUPERVISOR, "budget_tokens": 20_000, **said}
        assert await write_proposal(connection, update_id=update_id, **values)
    await end_tasks(database, tenant, parent, False, spec=past)
    await start_approval(client, named(update_id, tenant))
    return update_id


async def installed(database: Database, tenant: str) -> UUID:
    """The version in force, which a stack that has just begun has soon."""
    found: list[UUID] = []

    async def is_there() -> bool:
        async with database.service() as connection:
            version = await active_version(connection, tenant, "developer")
        found.extend([] if version is None else [version])
        return bool(found)

    await until(is_there)
    return found[0]


async def kill_worker(golden: Golden) -> None:
    """kill -9, and wait for the one that takes its place."""
    (pid,) = golden.pids("gateway.cli worker")
    os.kill(pid, signal.SIGKILL)
    await until(lambda: golden.pids("gateway.cli worker") not in ([], [pid]))


async def waits_for_room(client: Client, update_id: UUID) -> bool:
    """Whether the evaluation was refused: killed in the act itself, it is tried again only when the time is over."""
    try:
        told = await client.get_workflow_handle(f"evaluation/{update_id}/1").describe()
    except RPCError:
        return False
    return any(each.attempt > 1 for each in told.raw_description.pending_activities)


async def let_in(database: Database, tenant: str, update_id: UUID) -> None:
    """There is room for the evaluation now, and nothing left of its own budget: it is over as soon as it asks."""
    async with database.service() as connection:
        spent = tasks.c.spent_tokens + 1
        await connection.execute(update(tasks).where(tasks.c.task_id == update_id).values(budget_tokens=spent))
        await connection.execute(update(accounts).where(accounts.c.tenant == tenant).values(limit_tokens=None))


async def decide(golden: Golden, tenant: str, update_id: UUID, digest: str) -> None:
    async with golden.client("approver", tenant, "bob") as client:
        body = {"reason": "it is right", "digest": digest}
        answer = await client.post(f"/v1/approvals/{update_id}/approve", json=body)
    assert answer.status_code == 200, answer.text


async def calls_of(database: Database, update_id: UUID) -> list[tuple[Any, ...]]:
    each = model_calls.c
    wanted = select(each.step, each.dispatch, each.state).where(each.task_id == update_id).order_by(each.dispatch)
    async with database.service() as connection:
        return [tuple(row) for row in await connection.execute(wanted)]


async def test_a_proposal_whose_worker_is_killed_in_each_stage_is_adopted_once(
    golden: Golden, provider: Provider, database: Database
) -> None:
    tenant, gate, client = tenant_name(), threading.Event(), await connect(golden.settings)
    provider.script(RULE, Script(developer=[{"guideline": GUIDELINE}], gates={"supervisor": gate}))
    update_id = await propose(database, client, tenant)

    async def state_is(state: str) -> None:
        async def reached() -> bool:
            return bool((await row_of(database, update_id)).state == state)

        await until(reached, 60)

    await until(lambda: provider.asked_about(RULE))
    await kill_worker(golden)
    gate.set()
    await state_is("evaluating")
    await until(lambda: waits_for_room(client, update_id), 60)
    await kill_worker(golden)
    await let_in(database, tenant, update_id)
    # It came to no pair: a person decides.
    await state_is("pending")
    row = await row_of(database, update_id)
    await asyncio.gather(kill_worker(golden), decide(golden, tenant, update_id, row.digest))
    await state_is("canary")
    await kill_worker(golden)
    version = (await row_of(database, update_id)).version
    await end_tasks(database, tenant, version, *[False] * 20)
    await client.get_workflow_handle(approval_workflow_id(update_id)).signal(APPROVAL_DECIDED)
    await state_is("adopted")
    assert await client.get_workflow_handle(approval_workflow_id(update_id)).result() == "adopted"

    # What was under way when it was killed is charged at its estimate; the answer was paid for once.
    assert await calls_of(database, update_id) == [("word/1", 1, "uncertain"), ("word/1", 2, "settled")]
    acts = [(act.action, act.outcome) for act in await acts_of(database, tenant) if act.object == str(update_id)]
    assert [act for act in acts if act[0] == "prompts.approve"] == [("prompts.approve", "approved")]
    assert [act for act in acts if act[0] == "prompts.canary"] == [("prompts.canary", "adopted")]
    assert (await task_of(database, update_id)).state == "accepted"
    assert await books(database, tenant, update_id) == (1, 1, 0, 0)
    async with golden.client("operator", tenant) as http:
        assert (await http.get("/v1/audit/verify")).json()["intact"]


async def books(database: Database, tenant: str, update_id: UUID) -> tuple[int, ...]:
    """Versions made of it, times that it was adopted, slots taken and tokens held."""
    counted = """
        SELECT (SELECT count(*) FROM prompt_versions WHERE update_id = :id),
               (SELECT count(*) FROM prompt_moves WHERE update_id = :id AND kind = 'adopted'), slots_used, held_tokens
          FROM accounts WHERE tenant = :tenant
    """
    async with database.service() as connection:
        found = await connection.execute(text(counted), {"id": update_id, "tenant": tenant})
        return tuple(found.one())
