"""`golden up` as a process: ready, refused, interrupted, killed. Stand-ins play the worker and the gateway."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from deploy.local import lock, postgres, services
from schema.settings import Settings
from tests.support.parts import local_settings
from tests.support.processes import is_gone, until

UP = """
import os, sys
from deploy.local import services, stack
from deploy.local.process import Part
from schema.settings import Settings

def stand_in(name, port, command):
    address = f"http://127.0.0.1:{port}/"
    return Part(name, command or services.python("http.server", str(port), "--bind", "127.0.0.1"),
                lambda: services.answers(address), services.environment(settings), refusal=services.REFUSAL)

settings = Settings()
services.worker = lambda settings: stand_in("worker", services.worker_metrics_port(settings), tuple(sys.argv[1:]))
services.gateway = lambda settings: stand_in("gateway", settings.gateway_port, ())
code = stack.run(settings)
sys.stdout.flush()
os._exit(code)
"""

REFUSING = """
import http.server, os, pathlib, sys, threading, time

def refuse():
    while '"ready": true' not in pathlib.Path(sys.argv[2]).read_text():
        time.sleep(0.05)
    print("bad route", flush=True)
    os._exit(2)

threading.Thread(target=refuse).start()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def environment(settings: Settings) -> dict[str, str]:
    # No route leads to the embedded model, whose loading would only cost time here.
    return services.environment(settings, GOLDEN_MODELS="{default: []}")


@asynccontextmanager
async def up(settings: Settings, *worker: str) -> AsyncIterator[Process]:
    """A supervisor; killed at the end if it still runs."""
    command = (sys.executable, "-c", UP, *worker)
    process = await asyncio.create_subprocess_exec(*command, env=environment(settings), stdout=PIPE, stderr=STDOUT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def lines_until_ready(process: Process) -> list[str]:
    """What a supervisor says until `ready` on a line of its own, or its end."""
    assert process.stdout is not None
    lines: list[str] = []
    async with asyncio.timeout(60):
        while not lines or lines[-1] not in ("ready", ""):
            lines.append((await process.stdout.readline()).decode().rstrip("\n"))
    return lines


async def rest(process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        text = (await process.stdout.read()).decode()
        await process.wait()
    return text


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_ready_is_said_last_and_a_signal_stops_everything(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    async with up(settings) as process:
        lines = await lines_until_ready(process)
        assert lines[-1] == "ready"
        assert {line.split()[0] for line in lines[2:4]} == {"worker", "gateway"}
        assert any(settings.gateway_url in line for line in lines)
        assert settings.token_file.stat().st_mode & 0o777 == 0o600
        parts = children(process.pid)
        assert len(parts) == 4
        process.send_signal(signal.SIGINT)
        told = await rest(process)
    assert process.returncode == 0
    assert "stopping\ngateway    stopped\nworker     stopped\n" in told
    assert all(map(is_gone, parts))
    assert lock.running(settings) is None


async def test_a_second_stack_is_refused(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    async with up(settings) as first:
        assert (await lines_until_ready(first))[-1] == "ready"
        async with up(settings) as second:
            told = await rest(second)
        assert second.returncode == 2
        assert f"process {first.pid}" in told
        assert "golden down" in told


async def test_a_killed_stack_leaves_nothing_and_starts_again_with_its_data(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    url = postgres.superuser_url(settings).replace("+psycopg", "")
    async with up(settings) as process:
        assert (await lines_until_ready(process))[-1] == "ready"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1")
        parts = children(process.pid)
        process.kill()
    async with up(settings) as process:
        assert (await lines_until_ready(process))[-1] == "ready"
        assert all(map(is_gone, parts))
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT * FROM kept").fetchall() == [(1,)]


async def test_every_part_that_is_killed_comes_back(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    async with up(settings) as process:
        assert (await lines_until_ready(process))[-1] == "ready"
        for part in children(process.pid):
            os.kill(part, signal.SIGKILL)
            assert process.stdout is not None
            async with asyncio.timeout(30):
                while b"ready again" not in await process.stdout.readline():
                    pass
        assert len(children(process.pid)) == 4


async def test_a_part_that_fails_ends_the_stack_and_shows_its_log(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    async with up(settings, sys.executable, "-c", "raise SystemExit('no key ring')") as process:
        told = await rest(process)
    assert process.returncode == 4
    assert "worker ended again and again; its last lines:\nno key ring\n" in told
    assert lock.running(settings) is None


@pytest.mark.parametrize("ready_before", [False, True])
async def test_a_part_that_refuses_its_settings_ends_the_stack_at_once(tmp_path: Path, ready_before: bool) -> None:
    settings = local_settings(tmp_path)
    code = REFUSING if ready_before else "print('bad route', flush=True); raise SystemExit(2)"
    port = str(services.worker_metrics_port(settings))
    async with up(settings, sys.executable, "-c", code, port, str(settings.run_folder / "stack.json")) as process:
        told = await rest(process)
    assert process.returncode == 2
    assert ("\nready\n" in told) is ready_before
    assert "worker can't work with its settings; its last lines:\n" in told
    assert "bad route\n" in told
    assert "starting again" not in told
    assert lock.running(settings) is None


async def test_a_taken_port_is_named_with_its_setting(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.temporal_ui_port))
        other.listen()
        async with up(settings) as process:
            told = await rest(process)
    assert process.returncode == 2
    assert told == f"port {settings.temporal_ui_port} is taken: set GOLDEN_TEMPORAL_UI_PORT\n"


async def test_interrupting_a_start_leaves_nothing(tmp_path: Path) -> None:
    settings = local_settings(tmp_path)
    async with up(settings, "sleep", "600") as process:
        await until(lambda: (tmp_path / "logs" / "worker.log").exists())
        parts = children(process.pid)
        process.send_signal(signal.SIGTERM)
        await rest(process)
    assert process.returncode == 0
    assert all(map(is_gone, parts))


@pytest.mark.stack
async def test_down_stops_a_detached_stack(tmp_path: Path) -> None:
    """With the real worker, gateway and model."""
    settings = local_settings(tmp_path)

    async def golden(command: str, *flags: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(*services.python("deploy.local.commands"), command, *flags),
            env=services.environment(settings),
            stdout=PIPE,
            stderr=STDOUT,
        )
        told = await rest(process)
        return process.returncode, told

    try:
        code, told = await golden("up", "--detach")
        assert code == 0, told
        assert told.endswith("ready\n")
        running = lock.running(settings)
        assert running is not None
    finally:
        code, told = await golden("down")
    assert (code, told) == (0, "stopped\n")
    assert is_gone(running.pid)
