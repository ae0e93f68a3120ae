"""What a candidate can't reach."""

import pytest

from activities.docker_pool import DockerSandboxPool
from tests.support.sandbox import python

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox


async def test_there_is_no_network(pool: DockerSandboxPool) -> None:
    run = await pool.run(python("import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)\n"))
    assert run.exit_code == 1
    assert "OSError" in run.stderr


@pytest.mark.parametrize(
    "path", ["/made", "/etc/passwd", "/opt/golden/pytest.ini", "/opt/golden/site/pytest/__init__.py", "/dev/made"]
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
