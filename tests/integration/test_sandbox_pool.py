"""The pool: made ahead, given back, closed, crashed, refused."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from activities.docker_pool import DockerSandboxPool
from schema.errors import IsolationRequired, SandboxBusy, SandboxUnavailable
from schema.settings import Settings
from tests.support.sandbox import (
    DOUBLE,
    OWNER,
    TESTS,
    containers_of,
    judged,
    kill_all,
    make_pool,
    python,
    until,
)

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

SOON = 2.0
"""Seconds; a full pool is asked again before, a broken engine after."""


async def test_four_runs_at_once_on_a_pool_of_two_all_pass(pool: DockerSandboxPool) -> None:
    runs = await asyncio.gather(*(pool.run(judged({"double.py": DOUBLE}, TESTS)) for _ in range(4)))
    assert all(run.passed for run in runs)


async def test_a_cancelled_run_ends_its_container_long_before_its_time(sandboxed: None) -> None:
    pool = make_pool(f"{OWNER}-cancel", size=1)
    await pool.start()
    before = set(containers_of(f"{OWNER}-cancel"))
    running = asyncio.create_task(pool.run(python("while True:\n    pass\n", seconds=60)))
    assert await until(lambda: len(containers_of(f"{OWNER}-cancel")) == 2)
    running.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await until(lambda: not before & set(containers_of(f"{OWNER}-cancel")), 30)
    assert time.monotonic() - started < 30
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-cancel"))


async def test_containers_that_die_while_they_wait_are_replaced(sandboxed: None) -> None:
    owner = f"{OWNER}-dead"
    pool = make_pool(owner, size=2)
    await pool.start()
    await pool.settle()
    assert len(containers_of(owner)) == 2
    await asyncio.to_thread(kill_all, owner)
    assert (await pool.run(judged({"double.py": DOUBLE}, TESTS))).passed
    await pool.close()
    assert await until(lambda: not containers_of(owner))


async def test_a_pool_that_closes_ends_the_run_that_is_on(sandboxed: None) -> None:
    owner = f"{OWNER}-closing"
    pool = make_pool(owner, size=1)
    await pool.start()
    running = asyncio.create_task(pool.run(python("while True:\n    pass\n")))
    assert await until(lambda: len(containers_of(owner)) == 2)
    await pool.close()
    with pytest.raises(SandboxUnavailable):
        await running
    assert await until(lambda: not containers_of(owner))


async def test_who_waits_too_long_for_a_sandbox_is_told_busy(sandboxed: None) -> None:
    pool = make_pool(f"{OWNER}-busy", size=1, wait_seconds=0.2)
    await pool.start()
    running = asyncio.create_task(pool.run(python("while True:\n    pass\n")))
    await asyncio.sleep(0)
    with pytest.raises(SandboxBusy) as busy:
        await pool.run(python(""))
    assert busy.value.retry_after is not None
    assert busy.value.retry_after < SOON
    running.cancel()
    await asyncio.wait([running])
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-busy"))


async def test_without_the_runtime_nothing_weaker_runs(sandboxed: None) -> None:
    images = Settings().sandbox_images
    pool = DockerSandboxPool(isolation="gvisor", runtime="no-such", images=images, size=1, owner=f"{OWNER}-none")
    with pytest.raises(IsolationRequired, match="GOLDEN_SANDBOX_ISOLATION=unsafe-runc"):
        await pool.start()
    await pool.close()


async def test_a_runtime_that_is_not_what_it_is_called_is_refused(sandboxed: None) -> None:
    images = Settings().sandbox_images
    pool = DockerSandboxPool(isolation="gvisor", runtime="runc", images=images, size=1, owner=f"{OWNER}-fake")
    with pytest.raises(IsolationRequired, match="gave runc"):
        await pool.start()
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-fake"))


async def test_without_gvisor_the_result_says_so(sandboxed: None) -> None:
    images = Settings().sandbox_images
    pool = DockerSandboxPool(isolation="unsafe-runc", runtime="runc", images=images, size=1, owner=f"{OWNER}-runc")
    await pool.start()
    run = await pool.run(judged({"double.py": DOUBLE}, TESTS))
    assert run.passed, run
    assert run.isolation == "runc"
    unshared = await pool.run(python("import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))\n"))
    assert unshared.stdout == "-1\n"
    await pool.close()


async def test_a_pool_without_an_engine_is_unavailable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    with pytest.raises(SandboxUnavailable, match="does not answer") as away:
        await make_pool().start()
    assert away.value.retry_after is not None
    assert away.value.retry_after > SOON


WORKER = """
import asyncio, sys
from tests.support.sandbox import make_pool, python
async def main():
    pool = make_pool(sys.argv[1], size=1)
    await pool.start()
    running = asyncio.create_task(pool.run(python("while True: pass", seconds=60)))
    await asyncio.sleep(1)
    print("running", flush=True)
    await running
asyncio.run(main())
"""


async def test_a_killed_worker_leaves_no_container(sandboxed: None) -> None:
    owner = f"{OWNER}-killed"
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, owner, stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert await worker.stdout.readline() == b"running\n"
    assert containers_of(owner)
    worker.kill()
    await worker.communicate()
    assert await until(lambda: not containers_of(owner), 30)


async def test_reaping_leaves_a_living_siblings_containers(pool: DockerSandboxPool) -> None:
    await pool.run(python(""))
    assert await until(lambda: len(containers_of(OWNER)) >= 1)
    assert await make_and_reap(OWNER) == 0
    assert (
        await pool.run(
            judged({"double.py": DOUBLE}, TESTS),
        )
    ).passed


async def make_and_reap(owner: str) -> int:
    """What a sibling that starts under the same name would remove."""
    sibling = make_pool(owner, size=1)
    await sibling.start()
    try:
        return await sibling.reap(owner)
    finally:
        await sibling.close()
