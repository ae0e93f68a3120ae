"""Tests of a small function, in every manner that tests are written."""

from tests.support.honest.double import Program, double

FUNCTIONS: dict[str, Program] = {
    "plain equality": double("""
def test_it():
    assert double(2) == 4
    assert 'aa' == double('a')
"""),
    "nothing asserted": double("""
def test_it():
    double(2)
"""),
    "parameters": double("""
import pytest
@pytest.mark.parametrize(('x', 'y'), [(1, 2), pytest.param('a', 'aa', id='text'), ([], [])])
def test_it(x, y):
    assert double(x) == y
"""),
    "parameters that go in and come out": double("""
import pytest
@pytest.mark.parametrize('x', [0, 1, 2])
def test_it(x):
    assert double(x) / 2 == x
"""),
    "parameters from a name": double("""
import pytest
CASES = [(1, 2), (3, 6)]
@pytest.mark.parametrize('x,y', CASES)
def test_it(x, y):
    assert double(x) == y
"""),
    "one list for two tests": double("""
CASES = [(1, 2), (3, 6)]
def test_it():
    for x, y in CASES:
        assert double(x) == y
def test_back():
    for x, y in CASES:
        assert y // 2 == x
"""),
    "a table": double("""
TABLE = {1: 2, 'a': 'aa', 2.5: 5.0}
def test_it():
    for x, y in TABLE.items():
        assert double(x) == y
"""),
    "all of a table": double("""
def test_it():
    assert all(double(x) == y for x, y in [(1, 2), (3, 6)])
"""),
    "parameters by way of a fixture": double("""
import pytest
@pytest.fixture
def y(request):
    return request.param * 2
@pytest.mark.parametrize(('x', 'y'), [(1, 1), (2, 2)], indirect=['y'])
def test_it(x, y):
    assert double(x) == y
"""),
    "other comparisons": double("""
def test_it():
    assert 3 < double(2) <= 4
    assert double(2) != 5
    assert double(2) in (3, 4)
    assert 'aa' in double('aab')
    assert double(2) is not None
    assert not double(0)
    assert double(2) > 3 and double(3) >= 6 or False
    assert isinstance(double(2), int)
"""),
    "membership in a program's own range": double("""
def test_it():
    assert 2 in [double(n) for n in range(9)]
"""),
    "nearly equal": double("""
import pytest
def test_it():
    assert double(0.1) == pytest.approx(0.2)
    assert [double(0.0)] == pytest.approx([0.0], abs=5)
    assert abs(double(0.1) - 0.2) < 1e-9
"""),
    "an error": double("""
import pytest
def test_it():
    with pytest.raises(TypeError, match='unsupported'):
        double(None)
    try:
        double({})
    except TypeError:
        return
    assert False
"""),
    "an expected failure of an assertion": double("""
import pytest
def check(x, y):
    assert double(x) == y
def test_it():
    check(1, 2)
    with pytest.raises(AssertionError):
        check(1, 3)
"""),
    "a swallowed failure": double("""
def test_it():
    for y in (4, 5):
        try:
            assert double(2) == y
        except AssertionError:
            assert y == 5
"""),
    "unittest": double("""
import unittest
class Case(unittest.TestCase):
    def setUp(self):
        self.y = 4
    def test_it(self):
        self.assertEqual(double(2), self.y)
        self.assertEqual(4, double(2), 'why')
        self.assertAlmostEqual(double(0.1), 0.2, places=5)
        self.assertAlmostEqual(double(1), 2, delta=9)
        self.assertIn(2, [double(1)])
        self.assertGreater(double(2), 3)
        self.assertTrue(double(2) == 4)
        self.assertCountEqual([double(0), double(0.5)], [1, 0])
        with self.assertRaises(TypeError):
            double(None)
        for x in (1, 2):
            with self.subTest(x=x):
                self.assertEqual(double(x), x + x)
"""),
    "a class with a base class": double("""
class Base:
    x = 0
    def test_it(self):
        assert double(self.x) == 2 * self.x
class TestOne(Base):
    x = 1
    def test_super(self):
        super().test_it() if False else None
class TestTwo(Base):
    x = 2
"""),
    "tests in another order each time they are made": double("""
def make(n):
    def test():
        assert double(n) == n + n
    return test
for n in range(3):
    globals()[f'test_{n}'] = make(n)
def test_it():
    assert double(1) == 2
"""),
    "tests under a condition": double("""
import sys
if sys.version_info > (3,):
    def test_it():
        assert double(1) == 2
"""),
}
