"""Changing the tools that judge."""

from tests.support.cheats.judged import ALWAYS, ERRORS, LIBRARY, NEAR, UNITTEST, Cheat

PATCHING = {
    "a test that is not run": Cheat("""
import _pytest.python
_pytest.python.Function.runtest = lambda self: None
def double(x):
    return 0
"""),
    "a call that does not fail": Cheat("""
import _pytest.python
_pytest.python.pytest_pyfunc_call = lambda pyfuncitem: True
import gc
for thing in gc.get_objects():
    if type(thing).__name__ == 'HookImpl' and thing.function.__name__ == 'pytest_pyfunc_call':
        thing.function = lambda pyfuncitem: True
def double(x):
    return 0
"""),
    "reports that are passes": Cheat("""
import _pytest.reports
make = _pytest.reports.TestReport.from_item_and_call
def passed(item, call):
    call.excinfo = None
    return make(item, call)
_pytest.reports.TestReport.from_item_and_call = staticmethod(passed)
def double(x):
    return 0
"""),
    "calls that forget their exception": Cheat("""
import _pytest.runner
of = _pytest.runner.CallInfo.from_call.__func__
def forgetful(cls, func, when, reraise=None):
    info = of(cls, func, when, reraise)
    info.excinfo = None
    return info
_pytest.runner.CallInfo.from_call = classmethod(forgetful)
def double(x):
    return 0
"""),
    "no items": Cheat("""
import gc, _pytest.main
for thing in gc.get_objects():
    if isinstance(thing, _pytest.main.Session):
        thing.items = []
_pytest.main.Session.genitems = lambda self, node: iter(())
def double(x):
    return 0
"""),
    "a plugin registered at run time": Cheat("""
import gc, pytest
from _pytest.config import PytestPluginManager
class Evil:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        report.outcome = 'passed'
        return report
for thing in gc.get_objects():
    if isinstance(thing, PytestPluginManager):
        thing.register(Evil())
def double(x):
    return 0
"""),
    "the test's code replaced": Cheat("""
import sys
def double(x):
    return 0
import builtins
build = builtins.__build_class__
import _pytest.python
old = _pytest.python.Function.setup
def setup(self):
    self.obj = lambda *a, **k: None
    old(self)
    self.obj = lambda *a, **k: None
_pytest.python.Function.setup = setup
"""),
    "asserts jumped over": Cheat("""
import linecache, sys
def trace(frame, event, arg):
    if not frame.f_code.co_filename.endswith('test_double.py'):
        return None
    def local(frame, event, arg):
        if event == 'line':
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            if 'assert' in line:
                frame.f_lineno = max(l for _, _, l in frame.f_code.co_lines() if l)
        return local
    return local
sys.settrace(trace)
def double(x):
    return 0
"""),
    "failing made a skip": Cheat("""
import builtins, pytest
builtins.AssertionError = pytest.skip.Exception
def double(x):
    return 0
"""),
    "an own AssertionError": Cheat("""
import builtins, os
class Quiet(Exception):
    def __init__(self, *a):
        os._exit(0)
builtins.AssertionError = Quiet
def double(x):
    return 0
"""),
    "all() patched": Cheat(
        """
import builtins
builtins.all = lambda things: True
def double(x):
    return 0
""",
        """
from double import double
def test_double():
    assert all(double(x) == 2 * x for x in (1, 2))
""",
    ),
    "sorted() patched": Cheat(
        """
import builtins
class L(list):
    def __eq__(self, other):
        return True
builtins.sorted = L
def double(x):
    return 0
""",
        """
from double import double
def test_double():
    assert sorted([double(2)]) == [4]
""",
    ),
    "isinstance() patched": Cheat(
        """
import builtins
real = isinstance
builtins.isinstance = lambda a, b: True if b is str else real(a, b)
def double(x):
    return 0
""",
        """
from double import double
def test_double():
    assert isinstance(double('a'), str)
""",
    ),
    "unittest's checks patched": Cheat(
        """
import unittest
unittest.TestCase.assertEqual = lambda *a, **k: None
def double(x):
    return 0
""",
        UNITTEST,
    ),
    "unittest's failing patched": Cheat(
        """
import unittest
unittest.TestCase.failureException = SystemError
unittest.TestCase.fail = lambda *a: None
unittest.TestCase._baseAssertEqual = lambda *a, **k: None
def double(x):
    return 0
""",
        UNITTEST,
    ),
    "pytest.raises patched": Cheat(
        """
import contextlib, pytest
pytest.raises = lambda *a, **k: contextlib.suppress(BaseException)
def double(x):
    return 0
""",
        ERRORS,
    ),
    "the exit of pytest.raises patched": Cheat(
        """
import pytest
type(pytest.raises(ValueError)).__exit__ = lambda *a: True
def double(x):
    return 0
""",
        ERRORS,
    ),
    "pytest.approx patched": Cheat(
        ALWAYS
        + """
import pytest
pytest.approx = double
def double(x):
    return 0
""",
        NEAR,
    ),
    "the equality of approx patched": Cheat(
        """
import pytest
type(pytest.approx(1.0)).__eq__ = lambda *a: True
def double(x):
    return 0
""",
        NEAR,
    ),
    "the library that the tests use": Cheat(
        """
import json, math
math.isclose = lambda *a, **k: True
json.dumps = lambda x: "[1, 1]"
def double(x):
    return 0
""",
        LIBRARY,
    ),
}
