"""A pass can't be faked: candidates that try to pass without being right, and honest ones between them."""

import asyncio
from collections.abc import Iterator

import pytest
import pytest_asyncio

from activities.docker_pool import DockerSandboxPool
from activities.judging import judge
from schema.messages.sandbox import SandboxJob, SandboxRun
from tests.support.cheats import CHEATS
from tests.support.honest import HONEST
from tests.support.sandbox import DOUBLE, TESTS, judged, outcomes
from tests.support.share import share

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]

BY_CONTROL = ["equal to everything", "the answers read from the file", "a test that is not run"]
TRIED = list(dict.fromkeys([*BY_CONTROL, *share(CHEATS, of=5)]))
KEPT = share(HONEST, of=5)
JOBS = {
    **{("cheat", name): judged(cheat.files, cheat.judges) for name, cheat in CHEATS.items()},
    **{("honest", name): judged(files, tests) for name, (files, tests) in HONEST.items()},
}
Runs = dict[tuple[str, str], SandboxRun]


@pytest_asyncio.fixture(scope="module")
async def runs(pool: DockerSandboxPool) -> Runs:
    """Every program judged, cheats and honest ones in turn, two at a time as the pool has it."""
    gate = asyncio.Semaphore(2)

    async def one(job: SandboxJob) -> SandboxRun:
        async with gate:
            return await judge(pool, job)

    order = list(_in_turn(list(TRIED), list(KEPT)))
    done = await asyncio.gather(*(one(JOBS[key]) for key in order))
    return dict(zip(order, done, strict=True))


def _in_turn(cheats: list[str], honest: list[str]) -> Iterator[tuple[str, str]]:
    while cheats or honest:
        yield from (("cheat", cheats.pop(0)) for _ in range(min(2, len(cheats))))
        yield from (("honest", honest.pop(0)) for _ in range(min(1, len(honest))))


@pytest.mark.parametrize("name", TRIED)
def test_a_cheat_does_not_pass(runs: Runs, name: str) -> None:
    run = runs["cheat", name]
    assert not run.passed, run
    assert run.exit_code != 0 or run.limit or any(test.outcome != "passed" for test in run.tests)


@pytest.mark.parametrize("name", KEPT)
def test_an_honest_program_passes(runs: Runs, name: str) -> None:
    run = runs["honest", name]
    assert run.passed, (run.exit_code, run.limit, run.stderr, [t for t in run.tests if t.outcome != "passed"])


@pytest.mark.parametrize("name", BY_CONTROL)
def test_some_cheats_are_seen_only_by_the_control(runs: Runs, name: str) -> None:
    # What is told of a control is told only where the run before it has passed.
    assert "does not fail as it must" in runs["cheat", name].tests[0].message


async def test_a_candidate_that_fails_is_not_judged_twice(pool: DockerSandboxPool) -> None:
    wrong = await judge(pool, judged({"double.py": "def double(x):\n    return x\n"}, TESTS))
    assert outcomes(wrong) == {"test_double.py::test_double": "failed"}
    assert "assert 2 == 4" in wrong.tests[0].message


async def test_tests_among_the_files_are_controlled_too(pool: DockerSandboxPool) -> None:
    command = ("python", "-m", "pytest", "-q")
    assert (await judge(pool, SandboxJob(files={"double.py": DOUBLE, **TESTS}, command=command))).passed
    cheat = CHEATS["equal to everything"]
    assert not (await judge(pool, SandboxJob(files={**cheat.files, **cheat.judges}, command=command))).passed


async def test_a_candidate_may_have_a_module_named_like_the_runners(pool: DockerSandboxPool) -> None:
    tests = {"test_it.py": "from deploy import one\n\n\ndef test_one():\n    assert one == 1\n"}
    run = await judge(pool, judged({"deploy.py": "one = 1\n"}, tests))
    assert run.passed, run
