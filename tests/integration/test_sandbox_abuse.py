"""A corpus of hostile programs: each meets its outcome, honest programs between them pass, and the pool stays well."""

import asyncio

import pytest

from activities.docker_pool import DockerSandboxPool
from schema.messages.sandbox import SandboxRun
from tests.support.abuse import BOMBS, GIVEN, OUTLIVING, OUTPUT, Abuse
from tests.support.abuse_resources import DISK, MEMORY
from tests.support.abuse_system import SYSTEM
from tests.support.sandbox import DOUBLE, OWNER, TESTS, containers_of, judged, make_pool, python, until
from tests.support.share import share

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

GROUPS = {"outliving": OUTLIVING, "bombs": BOMBS, "output": OUTPUT, "memory": MEMORY, "disk": DISK, "system": SYSTEM}
HONEST_EVERY = 4
WAITING = 300
"""Seconds that a program may have to wait until those before it are through."""
PROCESSES = """
import multiprocessing, subprocess, threading, atexit, sys


def square(x):
    return x * x


if __name__ == "__main__":
    atexit.register(print, "bye")
    with multiprocessing.Pool(3) as pool:
        print(pool.map(square, range(4)))
    thread = threading.Thread(target=print, args=("thread",))
    thread.start()
    thread.join()
    subprocess.run(["echo", "child"], check=True)
    sys.exit(0)
"""


def problem(abuse: Abuse, run: SandboxRun) -> str | None:
    """What is wrong with a program's outcome."""
    if run.limit not in abuse.limits:
        return f"{abuse.id}: the limit is {run.limit}, exit code {run.exit_code}, {run.stdout!r}, {run.stderr!r}"
    if abuse.stdout is not None and run.stdout != abuse.stdout:
        return f"{abuse.id}: it said {run.stdout[-300:]!r}, {run.stderr[-300:]!r}"
    return f"{abuse.id}: it passed" if run.passed else None


async def outcome(pool: DockerSandboxPool, abuse: Abuse) -> str | None:
    return problem(abuse, await pool.run(python(abuse.code, **{**GIVEN, **abuse.given})))


async def honest(pool: DockerSandboxPool) -> str | None:
    run = await pool.run(judged({"double.py": DOUBLE}, TESTS))
    return None if run.passed else f"an honest program: {run}"


@pytest.mark.parametrize("group", GROUPS)
async def test_hostile_programs_meet_their_outcomes_and_honest_ones_between_them_pass(
    sandboxed: None, group: str
) -> None:
    owner = f"{OWNER}-abuse"
    pool = make_pool(owner, size=2, wait_seconds=WAITING)
    await pool.start()
    work = [outcome(pool, abuse) for abuse in share(GROUPS[group], of=2)]
    for place in range(len(work), 0, -HONEST_EVERY):
        work.insert(place, honest(pool))
    problems = [told for told in await asyncio.gather(*work) if told]
    await pool.close()
    assert problems == []
    assert await until(lambda: not containers_of(owner))


async def test_an_honest_program_may_have_processes_threads_and_last_words(pool: DockerSandboxPool) -> None:
    run = await pool.run(python(PROCESSES))
    assert (run.exit_code, run.limit) == (0, None), run
    assert run.stdout == "[0, 1, 4, 9]\nthread\nchild\nbye\n"


def test_every_program_of_the_corpus_has_a_name_of_its_own() -> None:
    names = [abuse.id for group in GROUPS.values() for abuse in group]
    assert len(set(names)) == len(names)
