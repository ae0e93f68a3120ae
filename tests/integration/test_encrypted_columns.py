"""What users and models wrote is sealed in the columns that hold it."""

import json
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update

from schema.columns import MARK
from schema.database import Database
from schema.errors import SealBroken
from schema.tables import decisions, model_calls, task_events, task_steps, tasks
from schema.texts import digest_of, get_text, put_text
from tests.integration.conftest import Token
from tests.support.http import client, submit, tenant_name

MARKER = "a-marker-that-only-this-file-of-columns-writes"


async def test_what_users_and_models_wrote_is_in_no_column_to_be_read(
    gateway_url: str, database: Database, token: Token
) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await submit(http, title=f"title {MARKER}", instructions=f"instructions {MARKER}")
        assert (await http.get(f"/v1/tasks/{task['task_id']}")).json()["title"] == f"title {MARKER}"
        listed = (await http.get("/v1/tasks")).json()["items"]
        assert [item["title"] for item in listed] == [f"title {MARKER}"]
    task_id = UUID(task["task_id"])
    who = {"task_id": task_id, "tenant": tenant}
    async with database.service() as connection:
        await connection.execute(update(tasks).where(tasks.c.task_id == task_id).values(reason=MARKER))
        await connection.execute(insert(decisions).values(**who, decision="accept", reason=MARKER, actor="a"))
        step = {**who, "step": "plan", "epoch": 1}
        await connection.execute(insert(task_steps).values(**step, state="done", result={"text": MARKER}))
        call = {"ask": 1, "dispatch": 1, "role": "r", "model": "m", "prompt_version": "p", "reserved_tokens": 1}
        await connection.execute(insert(model_calls).values(**step, **call, state="settled", invalid=MARKER))
        data = {"rationale": [MARKER]}
        await connection.execute(insert(task_events).values(**who, sequence=99, event="ballot", data=data))
    async with database.service() as connection:
        for table in ("tasks", "texts", "task_events", "task_steps", "model_calls", "decisions"):
            query = f"SELECT to_jsonb(t)::text FROM {table} t WHERE tenant = :t"  # noqa: S608
            rows = await connection.execute(text(query), {"t": tenant})
            stored = rows.scalars().all()
            assert stored
            assert all(MARK in row and MARKER not in row for row in stored), table
        assert await connection.scalar(select(tasks.c.reason).where(tasks.c.task_id == task_id)) == MARKER
        assert await connection.scalar(select(decisions.c.reason).where(decisions.c.task_id == task_id)) == MARKER
        assert await connection.scalar(select(task_steps.c.result).where(task_steps.c.task_id == task_id)) == {
            "text": MARKER
        }
        assert await connection.scalar(select(model_calls.c.invalid).where(model_calls.c.task_id == task_id)) == MARKER
        event = select(task_events.c.data).where(task_events.c.task_id == task_id, task_events.c.sequence == 99)
        assert await connection.scalar(event) == data


async def test_rows_from_before_the_key_ring_are_read(gateway_url: str, database: Database, token: Token) -> None:
    tenant = tenant_name()
    async with client(gateway_url, token("developer", tenant)) as http:
        task = await submit(http, title="sealed")
        who = {"id": UUID(task["task_id"])}
        async with database.service() as connection:
            await connection.execute(
                text("UPDATE tasks SET title = 'clear', reason = 'plain' WHERE task_id = :id"), who
            )
            plain = {"t": tenant, "d": digest_of("old"), "b": "old"}
            await connection.execute(text("INSERT INTO texts (tenant, digest, body) VALUES (:t, :d, :b)"), plain)
            event = {**who, "t": tenant, "data": json.dumps({"at": "2026-01-01T00:00:00Z", "state": "queued"})}
            await connection.execute(
                text(
                    "INSERT INTO task_events (task_id, sequence, tenant, event, data) "
                    "VALUES (:id, 9, :t, 'state', CAST(:data AS jsonb))"
                ),
                event,
            )
        shown = (await http.get(f"/v1/tasks/{task['task_id']}")).json()
    assert (shown["title"], shown["reason"]) == ("clear", "plain")
    async with database.tenant(tenant) as connection:
        assert await get_text(connection, tenant, digest_of("old")) == "old"
        wanted = select(task_events.c.data)
        found = await connection.scalar(wanted.where(task_events.c.task_id == who["id"], task_events.c.sequence == 9))
    assert found == {"at": "2026-01-01T00:00:00Z", "state": "queued"}


async def test_a_text_is_not_another_one_and_not_changed(database: Database) -> None:
    tenant = tenant_name()
    async with database.tenant(tenant) as connection:
        first, second = await put_text(connection, tenant, "first"), await put_text(connection, tenant, "second")
    async with database.service() as connection:
        body = await connection.scalar(
            text("SELECT body FROM texts WHERE tenant = :t AND digest = :d"), {"t": tenant, "d": second}
        )
        swapped = {"t": tenant, "d": digest_of("third"), "b": body}
        await connection.execute(text("INSERT INTO texts (tenant, digest, body) VALUES (:t, :d, :b)"), swapped)
    async with database.tenant(tenant) as connection:
        assert await get_text(connection, tenant, first) == "first"
        with pytest.raises(SealBroken, match="not the one"):
            await get_text(connection, tenant, digest_of("third"))
