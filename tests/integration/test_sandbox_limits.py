"""Every limit of a run is named in its result, and none looks like a failure or a pass."""

import time

import pytest

from activities.docker_pool import DockerSandboxPool
from schema.messages.sandbox import SandboxLimits
from tests.support.sandbox import DOUBLE, TESTS, judged, outcomes, python

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox


async def test_an_endless_loop_ends_with_what_it_said_before(pool: DockerSandboxPool) -> None:
    run = await pool.run(python("print('begun')\nwhile True:\n    pass\n", seconds=1))
    assert (run.limit, run.stdout) == ("timeout", "begun\n")


async def test_an_endless_test_is_named(pool: DockerSandboxPool) -> None:
    endless = "def double(x):\n    while True:\n        pass\n"
    run = await pool.run(judged({"double.py": endless}, TESTS, seconds=1))
    assert run.limit == "timeout"
    assert run.tests[0].outcome == "missing"
    assert run.tests[0].message == "the run ended in this test (timeout)"


async def test_what_a_program_leaves_behind_dies_with_it(pool: DockerSandboxPool) -> None:
    daemon = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n"
        "    os._exit(0)\nprint('left')\n"
    )
    started = time.monotonic()
    run = await pool.run(python(daemon))
    assert (run.exit_code, run.stdout) == (0, "left\n")
    assert time.monotonic() - started < 20


HOG = "hog = b'x' * (900 << 20)\n"


async def test_a_memory_hog_ends_as_oom_with_what_it_said_before(pool: DockerSandboxPool) -> None:
    said = "import sys\nprint('begun')\nprint('still', file=sys.stderr)\nsys.stdout.buffer.write(b'\\xff\\n')\n"
    run = await pool.run(python(said + HOG))
    assert (run.limit, run.stdout, run.stderr) == ("oom", "begun\n\ufffd\n", "still\n")


async def test_a_memory_hog_in_a_test_ends_with_the_tests_until_then(pool: DockerSandboxPool) -> None:
    tests = {"test_it.py": "def test_one():\n    print('one')\n\n\ndef test_two():\n    from work import hog\n"}
    run = await pool.run(judged({"work.py": HOG}, tests))
    assert (run.limit, run.passed) == ("oom", False)
    assert outcomes(run) == {
        "test_it.py::test_one": "passed",
        "test_it.py::test_two": "missing",
        "session": "missing",
    }
    assert run.tests[1].message == "the run ended in this test (oom)"
    assert "one" in run.stdout


async def test_a_fork_bomb_is_no_pass_and_the_pool_goes_on(pool: DockerSandboxPool) -> None:
    bomb = "import os\ntry:\n    while True:\n        os.fork()\nfinally:\n    while True:\n        pass\n"
    run = await pool.run(python(bomb, seconds=2))
    assert run.limit == "processes"
    assert (await pool.run(judged({"double.py": DOUBLE}, TESTS))).passed


async def test_too_many_threads_are_told_as_processes(pool: DockerSandboxPool) -> None:
    threads = (
        "import threading, time\nfor _ in range(300):\n    threading.Thread(target=time.sleep, args=(30,)).start()\n"
    )
    run = await pool.run(python(threads, seconds=2))
    assert run.limit == "processes"


async def test_a_flood_of_output_is_cut(pool: DockerSandboxPool) -> None:
    run = await pool.run(python("while True:\n    print('x' * 1000)\n", output_kb=16))
    assert run.limit == "output"
    assert len(run.stdout) == 16 * 1024


async def test_a_flood_of_output_inside_of_a_test_is_cut_too(pool: DockerSandboxPool) -> None:
    loud = "def double(x):\n    while True:\n        print('x' * 1000)\n"
    run = await pool.run(judged({"double.py": loud}, TESTS))
    assert run.limit == "output"


@pytest.mark.parametrize(
    "code",
    [
        "for i in range(99):\n    open(f'part-{i}', 'wb').write(bytes(1 << 20))\n",
        "open('whole', 'wb').write(bytes(99 << 20))\n",
        "open('/tmp/elsewhere', 'wb').write(bytes(30 << 20))\n",
    ],
)
async def test_filling_the_disk_is_told(pool: DockerSandboxPool, code: str) -> None:
    run = await pool.run(python(code))
    assert run.limit == "disk", run


@pytest.mark.parametrize("limits", [{"memory_mb": 64}, {"disk_mb": 1}, {"processes": 8}, {"memory_mb": 1024}])
async def test_the_limits_of_a_job_can_be_small_or_large(pool: DockerSandboxPool, limits: dict[str, int]) -> None:
    run = await pool.run(judged({"double.py": DOUBLE}, TESTS, **limits))
    assert run.passed, run


async def test_two_hundred_processes_are_possible_where_the_job_allows_them(pool: DockerSandboxPool) -> None:
    code = (
        "import os, time\npids = []\nfor _ in range(200):\n    pid = os.fork()\n    if pid == 0:\n"
        "        time.sleep(2)\n        os._exit(0)\n    pids.append(pid)\n"
        "for pid in pids:\n    os.waitpid(pid, 0)\nprint(len(pids))\n"
    )
    run = await pool.run(python(code, processes=256, memory_mb=1024))
    assert (run.limit, run.stdout) == (None, "200\n"), run


def test_the_limits_are_those_of_the_design() -> None:
    assert SandboxLimits().model_dump() == {
        "seconds": 30, "memory_mb": 512, "processes": 64, "output_kb": 256, "disk_mb": 64,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "stdout", "exit_code"),
    [
        ("open('/dev/stdout', 'w').write('x')\nopen('/dev/stderr', 'w').write('y')\n", "x", 0),
        ("raise OSError(28, 'No space left on device')\n", "", 1),
        ("print('fork: [Errno 11]', end='')\nraise SystemExit(\"can't start new thread\")\n", "fork: [Errno 11]", 1),
        (
            "import os, socket\na, b = socket.socketpair()\nfor s in (a, b):\n"
            "    socket.send_fds(s, [b'x'], [1, 2, a.fileno(), b.fileno()])\nprint('b', flush=True)\nos._exit(0)\n",
            "b\n",
            0,
        ),
    ],
    ids=["output opened again", "words of a disk", "words of processes", "output passed in a circle"],
)
async def test_no_limit_is_named_where_none_was_met(
    pool: DockerSandboxPool, code: str, stdout: str, exit_code: int
) -> None:
    run = await pool.run(python(code, seconds=60))
    assert (run.limit, run.stdout, run.exit_code) == (None, stdout, exit_code), run
    assert run.usage.wall_seconds < 30
