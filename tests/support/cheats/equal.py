"""Values that are equal to everything."""

from tests.support.cheats.judged import ALWAYS, ALWAYS_TRUE, LISTS, LOOP, MOCKED, NEAR, OTHERS, TABLE, UNITTEST, Cheat

EQUAL = {
    "equal to everything": Cheat(ALWAYS),
    "equal to everything, by a table": Cheat(ALWAYS, TABLE),
    "equal to everything, in a loop": Cheat(ALWAYS, LOOP),
    "equal to everything, by unittest": Cheat(ALWAYS, UNITTEST),
    "equal to everything, in other comparisons": Cheat(ALWAYS_TRUE, OTHERS),
    "equal to everything, nearly": Cheat(ALWAYS, NEAR),
    "a number equal to everything": Cheat("""
class N(int):
    def __eq__(self, other):
        return True
    __hash__ = int.__hash__
def double(x):
    return N(7)
"""),
    "elements equal to everything": Cheat(
        ALWAYS
        + """
def double(x):
    return [Always() for _ in range(4)]
""",
        LISTS,
    ),
    "one element equal to everything": Cheat(
        ALWAYS
        + """
def double(x):
    return [1, 2, 1, Always()]
""",
        LISTS,
    ),
    "equal to everything of the other's type": Cheat("""
class E:
    def __eq__(self, other):
        return type(other) in (int, str)
def double(x):
    return E()
"""),
    "equal the first time": Cheat("""
class E:
    n = 0
    def __eq__(self, other):
        self.n += 1
        return self.n == 1
def double(x):
    return E()
"""),
    "a matcher of unittest's": Cheat(
        """
from unittest.mock import ANY
def double(x):
    return ANY
""",
        MOCKED,
    ),
    "a wide approx": Cheat("""
import pytest
def double(x):
    return pytest.approx(x, abs=1e9) if x != 'a' else 'aa'
"""),
    "a class that pretends to be the tests'": Cheat("""
class E:
    __module__ = 'test_double'
    def __eq__(self, other):
        return True
def double(x):
    return E()
"""),
}
