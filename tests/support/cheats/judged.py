"""Candidates that want a pass without a solution, and the tests that they must not pass."""

from dataclasses import dataclass, field

PLAIN = """
from double import double


def test_double():
    assert double(2) == 4
    assert double('a') == 'aa'
"""
TABLE = """
import pytest
from double import double


@pytest.mark.parametrize(('x', 'y'), [(1, 2), (2, 4), ('a', 'aa')])
def test_double(x, y):
    assert double(x) == y
"""
LOOP = """
from double import double

CASES = {1: 2, 'a': 'aa', 2.5: 5.0}


def test_double():
    for x, y in CASES.items():
        assert double(x) == y
"""
UNITTEST = """
import unittest
from double import double


class Case(unittest.TestCase):
    def test_double(self):
        self.assertEqual(double(2), 4)
        self.assertEqual(double('a'), 'aa')
"""
LISTS = """
from double import double


def test_double():
    assert double([1, 2]) == [1, 2, 1, 2]
"""
ERRORS = """
import pytest
from double import double


def test_double():
    with pytest.raises(TypeError):
        double(None)
    with pytest.raises(ValueError):
        double('x' * 99)
"""
TRUTH = """
from double import even


def test_even():
    assert even(2)
    assert not even(3)
    assert even(4) is True
"""
NEAR = """
import pytest
from double import double


def test_double():
    assert double(0.1) == pytest.approx(0.2)
"""
OTHERS = """
from double import double


def test_double():
    assert 3 < double(2) < 5
    assert 'aa' in double('a')
    assert double(3) in (6, 7)
    assert double(1) != 3
"""
MOCKED = """
from unittest import mock
from double import double


def test_double():
    assert double(2) == 4
"""
MESSAGES = """
from double import double
CASES = [((1,), 2), ((2,), 4)]
def test_double():
    for args, expected in CASES:
        result = double(*args)
        assert result == expected, f"{args}: {result} != {expected}"
"""
RECORDS = """
import pytest
from double import double
CASES = [{"in": 1, "out": 2}, {"in": "a", "out": "aa"}]
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["in"]))
def test_double(case):
    assert double(case["in"]) == case["out"]
"""
CHOICES = """
from double import double
def test_double():
    assert double(3) in (6, 9)
    assert "aa" in double("a")
"""
LIBRARY = """
import json, math
from double import double
def test_double():
    assert math.isclose(double(0.1), 0.2)
    assert json.loads(json.dumps(double([1]))) == [1, 1]
"""
WRONG = """
def double(x):
    return 0
"""
ALWAYS = """
class Always:
    def __eq__(self, other):
        return True
    def __ne__(self, other):
        return False
    def __lt__(self, other):
        return True
    __gt__ = __le__ = __ge__ = __contains__ = __bool__ = lambda self, *a: True
    __hash__ = None
def double(x):
    return Always()
even = double
"""
ALWAYS_TRUE = ALWAYS.replace("return False", "return True")
FORGE = r"""
import json, os


def tell(**record):
    for fd in range(3, 64):
        try:
            os.write(fd, json.dumps(record).encode() + b'\n')
        except OSError:
            pass


def forge(outcome='passed'):
    test = 'test_double.py::test_double'
    tell(kind='collected', ids=[test])
    tell(kind='start', id=test)
    tell(kind='phase', id=test, outcome=outcome, message='', seconds=0.1)
    tell(kind='finished', status=0)


"""
READ = """
import re


def double(x):
    source = open('/work/test_double.py').read()
"""


@dataclass(frozen=True)
class Cheat:
    """A program, and the tests that it must not pass."""

    program: str
    tests: str = PLAIN
    more: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        return {"double.py": self.program, **self.more}

    @property
    def judges(self) -> dict[str, str]:
        return {"test_double.py": self.tests}
