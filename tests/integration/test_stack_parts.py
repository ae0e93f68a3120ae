"""The embedded parts keep what they were given, through kill -9, long paths and neighbours."""

import json
import os
import signal
from pathlib import Path

import httpx
import psycopg
import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from deploy.local import model_server, postgres, temporal
from deploy.local.process import Process
from schema.settings import Settings
from tests.support.parts import local_settings, running_model, running_part, running_postgres, running_temporal
from tests.support.processes import is_gone, until


def ask(settings: Settings, query: str) -> list[tuple[object, ...]]:
    """Run a statement as the superuser."""
    url = postgres.superuser_url(settings).replace("+psycopg", "")
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


async def kill(process: Process) -> None:
    """Kill -9 a part and wait until it runs again and is ready."""
    killed = process.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await until(lambda: process.pid not in (None, killed))
    await until(process.part.ready)


async def test_postgres_has_its_roles_and_tables(tmp_path: Path) -> None:
    async with running_postgres(tmp_path) as settings:
        roles = ask(
            settings,
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname LIKE 'golden%' "
            "ORDER BY rolname",
        )
        assert roles == [(name, False, False, False) for name in sorted(postgres.ROLES)]
        assert ask(settings, "SHOW listen_addresses") == [("",)]
        assert ask(settings, "SHOW fsync") == [("on",)]
        await postgres.set_up(settings)  # a second time changes nothing
        assert mode(settings.postgres_socket) == mode(postgres.data_folder(settings)) == 0o700


async def test_postgres_keeps_its_data_when_the_server_is_killed(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    await postgres.prepare(settings)
    async with running_part(postgres.part(settings), tmp_path) as process:
        await postgres.set_up(settings)
        ask(settings, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
        await kill(process)
        assert ask(settings, "SELECT count(*) FROM kept") == [(1000,)]


async def test_postgres_starts_over_the_lock_files_of_a_killed_server(tmp_path: Path) -> None:
    async with running_postgres(tmp_path) as settings:
        stale = (postgres.data_folder(settings) / "postmaster.pid").read_text().splitlines()
    # Its number belongs to another living process by now: to us.
    text = "\n".join((str(os.getpid()), *stale[1:])) + "\n"
    for lock in (postgres.data_folder(settings) / "postmaster.pid", settings.postgres_socket / ".s.PGSQL.5432.lock"):
        lock.write_text(text)
    async with running_postgres(tmp_path) as again:
        assert ask(again, "SELECT 1")


async def test_postgres_starts_in_a_home_that_is_too_long_for_a_socket(tmp_path: Path) -> None:
    home = tmp_path / ("long" * 30) / "home"
    async with running_postgres(home) as settings:
        assert ask(settings, "SELECT 1")
        assert not settings.postgres_socket.is_relative_to(home)
        assert mode(settings.postgres_socket) == 0o700
    settings.postgres_socket.rmdir()


async def test_an_unfinished_first_start_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    async with running_postgres(tmp_path) as settings:
        assert ask(settings, "SELECT 1")


async def test_temporal_keeps_workflows_when_the_server_is_killed(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    async with running_part(temporal.part(settings), tmp_path) as process:
        await start_workflow(settings.temporal_target, "kept")
        await kill(process)
        client = await Client.connect(settings.temporal_target)
        kept = await client.get_workflow_handle("kept").describe()
    assert kept.status is WorkflowExecutionStatus.RUNNING


async def test_two_stacks_run_side_by_side(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    async with running_postgres(one) as first, running_postgres(two) as second:
        ask(first, "CREATE TABLE only_here ()")
        assert ask(second, "SELECT to_regclass('only_here')") == [(None,)]
    async with running_temporal(one) as first_target, running_temporal(two) as second_target:
        await start_workflow(first_target, "same-id")
        await start_workflow(second_target, "same-id")


@pytest.mark.model
async def test_the_model_answers_in_the_shape_asked_for(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}
    question = {
        "model": model_server.MODEL,
        "messages": [{"role": "user", "content": "What is 2 plus 3? Answer in JSON."}],
        "max_tokens": 50,
        "temperature": 0,
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}},
    }
    async with running_model(tmp_path) as url, httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
        answer = (await client.post("/chat/completions", json=question)).json()
        foreign = await client.get("/models", headers={"Origin": "https://elsewhere.example"})
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["sum"], int)
    assert answer["usage"]["completion_tokens"] > 0
    assert foreign.headers.get("access-control-allow-origin") not in ("*", "https://elsewhere.example")


async def test_nothing_is_left_of_a_stopped_part(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    await postgres.prepare(settings)
    async with running_part(postgres.part(settings), tmp_path) as process:
        pid = process.pid
    assert pid is not None
    assert is_gone(pid)
    assert not (postgres.data_folder(settings) / "postmaster.pid").exists()


async def start_workflow(target: str, identity: str) -> None:
    client = await Client.connect(target)
    await client.start_workflow("Nobody", id=identity, task_queue="nobody-listens")
