"""Candidates that try to pass without being right."""

import pytest

from activities.docker_pool import DockerSandboxPool
from tests.support.sandbox import TESTS, WRONG, judged, outcomes

pytest_plugins = ["tests.support.sandbox_fixtures"]
pytestmark = pytest.mark.sandbox

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
