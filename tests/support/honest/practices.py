"""Tests that use more of pytest, unittest and hypothesis than an assertion."""

from tests.support.honest.double import Program, double

PRACTICES: dict[str, Program] = {
    "a helper named like a test": double("""
import pytest
def test_data():
    return [1, 2]
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('x', test_data())
def test_it(x):
    assert double(x) == x + x
"""),
    "one test calls another": double("""
def test_a():
    assert double(1) == 2
def test_b():
    test_a()
"""),
    "state from test to test": double("""
seen = []
def test_a():
    seen.append(double(1))
    assert seen == [2]
def test_b():
    seen.append(double(2))
    assert seen == [2, 4]
"""),
    "matchers": double("""
from unittest.mock import ANY
class Even:
    def __eq__(self, other):
        return other % 2 == 0
def test_it():
    assert double(2) == ANY
    assert ANY == double(2)
    assert [double(2), 1] == [ANY, 1]
    assert double(3) == Even()
    assert {'a': double(1), 'b': 2} == {'a': ANY, 'b': 2}
"""),
    "mocks": double("""
from unittest import mock
@mock.patch.object(module, 'double', return_value=7)
def test_it(fake):
    assert module.double(1) == 7
    fake.assert_called_once_with(1)
    assert fake.call_args_list == [mock.call(1)]
"""),
    "monkeypatching": double(r"""
def test_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr('builtins.len', lambda x: 3)
    assert len([]) == 3
    monkeypatch.undo()
    (tmp_path / 'a').write_text('x')
    assert double((tmp_path / 'a').read_text()) == 'xx'
    print('hello')
    assert capsys.readouterr().out == 'hello\n'
"""),
    "hypothesis": double("""
from hypothesis import given, settings, strategies as st
@settings(max_examples=20, deadline=None)
@given(xs=st.lists(st.integers()), x=st.integers())
def test_it(xs, x):
    assert double(xs) == xs + xs
    assert double(x) == x + x
"""),
    "a generator": double(
        """
def test_it():
    g = gen(2)
    assert next(g) == 0
    assert list(g) == [1]
    assert sum(gen(4)) == 6
    assert [*gen(0)] == []
""",
        """
def gen(n):
    yield from range(n)
""",
    ),
    "chance": double(
        """
def test_it():
    assert 1 <= roll() <= 6
    assert roll() in range(1, 7)
    assert len({roll() for _ in range(500)}) == 6
""",
        """
import random
def roll():
    return random.randint(1, 6)
""",
    ),
    "a walrus and a pattern": double("""
def test_it():
    assert (y := double(2)) == 4
    match y:
        case 4:
            assert y == 4
        case _:
            assert False, y
"""),
    "a local function and a docstring": double('''
def test_it(x=3, *, y=6):
    """It doubles."""
    def twice(n):
        expected = n + n
        assert double(n) == expected
    twice(x)
    assert double(x) == y
'''),
}
