"""The sandbox, for real: Docker, gVisor, the image, the runner and the pool."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from activities.docker_pool import DockerSandboxPool
from schema.errors import FinalError, IsolationRequired, SandboxBusy, SandboxUnavailable
from schema.messages.sandbox import SandboxJob, SandboxLimits
from schema.settings import Settings
from tests.support.sandbox import OWNER, PYTEST, containers_of, judged, kill_all, make_pool, outcomes, python

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

DOUBLE = "def double(x):\n    return 2 * x\n"
WRONG = "def double(x):\n    return x\n"
TESTS = {"test_double.py": "from double import double\n\n\ndef test_double():\n    assert double(2) == 4\n"}


async def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await asyncio.to_thread(condition):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_right_candidate_passes(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": DOUBLE}, TESTS))
    assert run.passed, run
    assert outcomes(run) == {"test_double.py::test_double": "passed"}
    assert run.isolation == "gvisor"
    assert run.usage.wall_seconds > 0
    assert run.usage.cpu_seconds > 0


async def test_a_wrong_candidate_fails_with_the_reason(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": WRONG}, TESTS))
    assert (run.exit_code, run.passed) == (1, False)
    assert run.tests[0].outcome == "failed"
    assert "assert 2 == 4" in run.tests[0].message


async def test_a_syntax_error_is_told_with_the_test_it_spoils(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": "def double(x:\n"}, TESTS))
    assert not run.passed
    assert outcomes(run)["test_double.py::test_double"] == "error"
    assert "SyntaxError" in run.tests[0].message


async def test_a_test_that_no_candidate_gave_a_module_for_is_an_error(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({}, TESTS))
    assert outcomes(run)["test_double.py::test_double"] == "error"
    assert "No module named 'double'" in run.tests[0].message


async def test_parameters_classes_and_async_tests_all_report(pool: DockerSandboxPool) -> None:
    tests = {
        "checks/test_more.py": (
            "import unittest\nimport pytest\nfrom double import double\n"
            "@pytest.mark.parametrize('x', [1, 2])\ndef test_each(x):\n    assert double(x) == 2 * x\n"
            "class TestIt:\n    def test_in_class(self):\n        assert double(0) == 0\n"
            "class Old(unittest.TestCase):\n    def test_old(self):\n        self.assertEqual(double(1), 2)\n"
            "@pytest.mark.skip\ndef test_skipped():\n    pass\n"
        ),
        "checks/conftest.py": "",
    }
    run = await pool.run(judged({"double.py": DOUBLE}, tests))
    assert outcomes(run) == {
        "checks/test_more.py::test_each[1]": "passed",
        "checks/test_more.py::test_each[2]": "passed",
        "checks/test_more.py::TestIt::test_in_class": "passed",
        "checks/test_more.py::Old::test_old": "passed",
        "checks/test_more.py::test_skipped": "skipped",
    }
    assert not run.passed


async def test_without_tests_of_its_own_a_job_is_judged_by_its_files(pool: DockerSandboxPool) -> None:
    run = await pool.run(SandboxJob(files={"double.py": DOUBLE, **TESTS}, command=("pytest",)))
    assert run.passed, run


async def test_an_option_that_could_change_the_judging_is_refused(pool: DockerSandboxPool) -> None:
    run = await pool.run(SandboxJob(files={}, tests=TESTS, command=("pytest", "-k", "nothing")))
    assert (run.exit_code, run.passed) == (4, False)
    assert "-k is not allowed" in run.stderr


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


async def test_a_memory_hog_ends_as_oom(pool: DockerSandboxPool) -> None:
    run = await pool.run(python("hog = bytearray(900 << 20)\nprint(len(hog))\n"))
    assert run.limit == "oom"


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


async def test_there_is_no_network(pool: DockerSandboxPool) -> None:
    run = await pool.run(python("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)\n"))
    assert run.exit_code == 1
    assert "OSError" in run.stderr


@pytest.mark.parametrize(
    "path", ["/made", "/etc/passwd", "/opt/golden/pytest.ini", "/opt/golden/site/pytest/__init__.py", "/dev/shm/made"]
)
async def test_the_root_can_not_be_written(pool: DockerSandboxPool, path: str) -> None:
    run = await pool.run(python(f"open({path!r}, 'a').write('x')\n"))
    assert run.exit_code == 1
    assert "Error" in run.stderr


async def test_the_candidate_is_nobody_without_a_capability(pool: DockerSandboxPool) -> None:
    code = (
        "import os\nprint(os.getresuid(), os.getresgid(), os.getgroups())\n"
        "print([line.split()[1] for line in open('/proc/self/status') if line.startswith('CapEff')])\n"
    )
    run = await pool.run(python(code))
    assert run.stdout == "(65534, 65534, 65534) (65534, 65534, 65534) []\n['0000000000000000']\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "os.kill(1, 9)",
        "os.setuid(0)",
        "open('/proc/1/mem', 'rb').read(1)",
        "[os.open(f'/proc/1/fd/{n}', os.O_RDWR) for n in range(3, 9)]",
        "os.unlink('/work/main.py')",
        "os.rename('/work/main.py', '/work/other.py')",
        "open('/work/main.py', 'w')",
        "os.chmod('/work', 0o777)",
    ],
)
async def test_the_candidate_reaches_neither_process_1_nor_what_was_given(
    pool: DockerSandboxPool, attempt: str
) -> None:
    run = await pool.run(python(f"import os\ntry:\n    {attempt}\nexcept PermissionError:\n    print('refused')\n"))
    assert run.stdout == "refused\n", run


async def test_process_1_has_nothing_in_its_environment(pool: DockerSandboxPool) -> None:
    run = await pool.run(python("print(repr(open('/proc/1/environ').read()))\n"))
    assert run.stdout == "''\n"


CHEATS = {
    "ending early with success": {"double.py": "import os\nos._exit(0)\n"},
    "ending early inside of the test": {"double.py": "import os\ndef double(x):\n    os._exit(0)\n"},
    "a conftest that makes all pass": {
        "double.py": WRONG,
        "conftest.py": (
            "import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, call):\n"
            "    result = yield\n    report = result.get_result()\n    report.outcome = 'passed'\n"
        ),
    },
    "a test file of its own": {"double.py": WRONG, "test_double.py": "def test_double():\n    pass\n"},
    "a package in place of the test file": {
        "double.py": WRONG,
        "test_double/__init__.py": "def test_double():\n    pass\n",
    },
    "a pytest of its own": {
        "double.py": WRONG,
        "pytest.py": "import sys\ndef main(*a, **k):\n    return 0\nsys.exit(0)\n",
        "pytest/__main__.py": "",
    },
    "configuration that collects nothing": {"double.py": WRONG, "pytest.ini": "[pytest]\naddopts = --collect-only\n"},
    "configuration in pyproject.toml": {
        "double.py": WRONG,
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--co'\n",
    },
    "a plugin that loads itself": {
        "double.py": WRONG,
        "evil.py": "import os\nos._exit(0)\n",
        "evil-1.dist-info/entry_points.txt": "[pytest11]\nevil = evil\n",
        "evil-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1\n",
    },
    "sitecustomize": {"double.py": WRONG, "sitecustomize.py": "import os\nos._exit(0)\n"},
    "a standard module of its own": {"double.py": WRONG, "json.py": "def dumps(*a, **k):\n    return ''\n"},
    "skipping": {"double.py": "import pytest\ndef double(x):\n    pytest.skip('not today')\n"},
    "expected failure": {"double.py": "import pytest\ndef double(x):\n    pytest.xfail('fine')\n"},
    "leaving pytest with success": {"double.py": "import pytest\ndef double(x):\n    pytest.exit('done', 0)\n"},
    "rewriting the test": {"double.py": "open('/work/test_double.py', 'w').write('def test_double(): pass')\n" + WRONG},
    "a conftest made at run time": {
        "double.py": "open('/work/conftest.py', 'w').write('import os; os._exit(0)')\n" + WRONG
    },
}


@pytest.mark.parametrize("name", CHEATS)
async def test_a_cheat_does_not_pass(pool: DockerSandboxPool, name: str) -> None:
    run = await pool.run(judged(CHEATS[name], TESTS))
    assert not run.passed, run
    assert outcomes(run).get("test_double.py::test_double") != "passed"


async def test_a_candidate_may_have_a_module_named_like_the_runners(pool: DockerSandboxPool) -> None:
    tests = {"test_it.py": "from deploy import one\n\n\ndef test_one():\n    assert one == 1\n"}
    run = await pool.run(judged({"deploy.py": "one = 1\n"}, tests))
    assert run.passed, run


async def test_binary_output_becomes_text_that_every_store_holds(pool: DockerSandboxPool) -> None:
    code = "import sys\nsys.stdout.buffer.write('grün \\U0001f40d '.encode() + b'\\xff\\x00\\xed\\xa0\\x80')\n"
    run = await pool.run(python(code))
    assert run.stdout.startswith("grün \U0001f40d \ufffd\ufffd")
    run.stdout.encode()
    assert "\x00" not in run.stdout


async def test_a_message_with_half_a_character_arrives_as_text(pool: DockerSandboxPool) -> None:
    run = await pool.run(judged({"double.py": "def double(x):\n    raise ValueError('\\ud800\\x00')\n"}, TESTS))
    assert run.tests[0].outcome == "failed"
    run.model_dump_json().encode()


async def test_a_command_that_does_not_exist_is_a_failure_with_its_name(pool: DockerSandboxPool) -> None:
    run = await pool.run(SandboxJob(files={}, command=("nothing-here",)))
    assert run.exit_code == 127
    assert "nothing-here" in run.stderr


async def test_an_unknown_image_is_refused_for_good(pool: DockerSandboxPool) -> None:
    with pytest.raises(FinalError, match="no sandbox image 'other'; there is default"):
        await pool.run(SandboxJob(files={}, command=PYTEST, image="other"))


async def test_four_runs_at_once_on_a_pool_of_two_all_pass(pool: DockerSandboxPool) -> None:
    runs = await asyncio.gather(*(pool.run(judged({"double.py": DOUBLE}, TESTS)) for _ in range(4)))
    assert all(run.passed for run in runs)


async def test_a_cancelled_run_ends_its_container_within_a_second(sandboxed: None) -> None:
    pool = make_pool(f"{OWNER}-cancel", size=1)
    await pool.start()
    before = set(containers_of(f"{OWNER}-cancel"))
    running = asyncio.create_task(pool.run(python("while True:\n    pass\n")))
    assert await until(lambda: len(containers_of(f"{OWNER}-cancel")) == 2)
    running.cancel()
    started = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await until(lambda: not before & set(containers_of(f"{OWNER}-cancel")), 2)
    assert time.monotonic() - started < 2
    await pool.close()
    assert await until(lambda: not containers_of(f"{OWNER}-cancel"))


async def test_containers_that_die_while_they_wait_are_replaced(sandboxed: None) -> None:
    owner = f"{OWNER}-dead"
    pool = make_pool(owner, size=2)
    await pool.start()
    assert await until(lambda: len(containers_of(owner)) == 2)
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
    with pytest.raises(SandboxBusy):
        await pool.run(python(""))
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
    with pytest.raises(SandboxUnavailable, match="does not answer"):
        await make_pool().start()


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
    assert await until(lambda: not containers_of(owner), 5)


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


def test_the_limits_are_those_of_the_design() -> None:
    assert SandboxLimits().model_dump() == {
        "seconds": 30, "memory_mb": 512, "processes": 64, "output_kb": 256, "disk_mb": 64,
    }  # fmt: skip
