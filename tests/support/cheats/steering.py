"""Files that steer how tests are found and run."""

from tests.support.cheats.judged import WRONG, Cheat

STEERING = {
    "a conftest that makes all pass": Cheat(
        WRONG,
        more={
            "conftest.py": """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = 'passed'
    return report
"""
        },
    ),
    "a test file of its own": Cheat(
        WRONG,
        more={
            "test_double.py": """
def test_double():
    pass
"""
        },
    ),
    "a package in place of the test file": Cheat(
        WRONG,
        more={
            "test_double/__init__.py": """
def test_double():
    pass
"""
        },
    ),
    "a pytest of its own": Cheat(
        WRONG,
        more={
            "pytest.py": """
import sys
sys.exit(0)
""",
            "pytest/__main__.py": "",
            "_pytest/__init__.py": "",
        },
    ),
    "configuration that collects nothing": Cheat(
        WRONG,
        more={
            "pytest.ini": """
[pytest]
addopts = --collect-only
"""
        },
    ),
    "configuration in pyproject.toml": Cheat(
        WRONG,
        more={
            "pyproject.toml": """
[tool.pytest.ini_options]
addopts = '--co'
"""
        },
    ),
    "a plugin that loads itself": Cheat(
        WRONG,
        more={
            "evil.py": """
import os
os._exit(0)
""",
            "evil-1.dist-info/entry_points.txt": """
[pytest11]
evil = evil
""",
            "evil-1.dist-info/METADATA": """
Metadata-Version: 2.1
Name: evil
Version: 1
""",
        },
    ),
    "sitecustomize": Cheat(
        WRONG,
        more={
            "sitecustomize.py": """
import os
os._exit(0)
""",
            "usercustomize.py": """
import os
os._exit(0)
""",
        },
    ),
    "standard modules of its own": Cheat(
        WRONG,
        more={
            "json.py": """
def dumps(*a, **k):
    return ''
""",
            "unittest.py": "",
            "inspect.py": "",
            "builtins.py": "",
            "contrary.py": "",
        },
    ),
    "rewriting the test": Cheat("""
open('/work/test_double.py', 'w').write('def test_double(): pass')
def double(x):
    return 0
"""),
    "moving the test away": Cheat("""
import os
os.rename('/work/test_double.py', '/work/x.py')
def double(x):
    return 0
"""),
    "a conftest made at run time": Cheat("""
open('/work/conftest.py', 'w').write('import os; os._exit(0)')
def double(x):
    return 0
"""),
    "byte code of its own": Cheat("""
import os, py_compile
os.makedirs('/work/__pycache__', exist_ok=True)
open('/work/x.py', 'w').write('def test_double(): pass')
py_compile.compile('/work/x.py', '/work/__pycache__/test_double.cpython-311.pyc')
def double(x):
    return 0
"""),
    "the test module replaced when imported": Cheat("""
import sys, types
fake = types.ModuleType('test_double')
fake.test_double = lambda: None
sys.modules['test_double'] = fake
def double(x):
    return 0
"""),
}
