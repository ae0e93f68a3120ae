"""Programs that do what honest programs do, and their tests."""

from tests.support.honest.double import DOUBLE, Program

PROGRAMS: dict[str, Program] = {
    "async": (
        {
            "double.py": """
async def double(x):
    return 2 * x
"""
        },
        {
            "conftest.py": """
import asyncio, inspect
def pytest_pyfunc_call(pyfuncitem):
    if inspect.iscoroutinefunction(pyfuncitem.obj):
        names = pyfuncitem._fixtureinfo.argnames
        asyncio.run(pyfuncitem.obj(**{n: pyfuncitem.funcargs[n] for n in names}))
        return True
""",
            "test_double.py": """
from double import double
async def test_it(tmp_path):
    assert await double(2) == 4
""",
        },
    ),
    "equality of its own": (
        {
            "double.py": """
from dataclasses import dataclass
@dataclass
class P:
    x: int
    y: int
class Name:
    def __init__(self, s):
        self.s = s
    def __eq__(self, other):
        return self.s.lower() == getattr(other, 's', other).lower()
class Bag(list):
    def __eq__(self, other):
        return sorted(self) == sorted(other)
class Loose:
    def __init__(self, v):
        self.v = v
    def __eq__(self, other):
        return self.v == other.v
"""
        },
        {
            "test_double.py": """
from double import P, Name, Bag, Loose
def test_it():
    assert P(1, 2) == P(1, 2)
    assert [P(1, 2)] == [P(1, 2)]
    assert Name('Bob') == 'bob'
    assert Bag([0, 1]) == [1, 0]
    assert Loose(1) == Loose(1)
    assert {'a': P(0, 0)} == {'a': P(0, 0)}
    assert P(1, 2) != P(2, 1)
    assert P(1, 2) in [P(1, 2)]
"""
        },
    ),
    "numbers and texts of every kind": (
        {
            "double.py": """
def same(x):
    return x
"""
        },
        {
            "test_double.py": """
from double import same
from decimal import Decimal
from collections import Counter, OrderedDict
import math
def test_it():
    assert same(0.0) == 0.0
    assert same(-1.5) == -1.5
    assert same('') == ''
    assert same('---') == '---'
    assert same('§') == '§'
    assert same('grün') == 'grün'
    assert same(b'ab') == b'ab'
    assert same({0, 1}) == {0, 1}
    assert same([0, 1]) == [0, 1]
    assert same(()) == ()
    assert same({}) == {}
    assert same(None) == None
    assert same(True) == True
    assert same([['§'], {'§': '§'}]) == [['§'], {'§': '§'}]
    assert same(1j) == 1j
    assert same(Decimal('1.10')) == Decimal('1.1')
    assert same(float('inf')) == math.inf
    assert same(Counter('aab')) == {'a': 2, 'b': 1}
    assert OrderedDict(a=1) == same({'a': 1})
    assert same(10 ** 30) == 10 ** 30
    assert same(range(3)) == range(3)
    assert same((1, None)) == (1, None)
    assert same([1] * 1000) == [1] * 1000
    assert list(map(same, 'ab')) == ['a', 'b']
    assert next(iter([same(3)])) == 3
    assert 3 in iter([1, same(3)])
    it = iter([1, 2])
    assert next(it) == 1
    assert next(it) == 2
"""
        },
    ),
    "a program that prints and exits": (
        {
            "main.py": """
import atexit, sys, threading

def work(n):
    return [n] * 3

atexit.register(print, 'bye')
if __name__ == '__main__':
    thread = threading.Thread(target=lambda: print(work(int(sys.argv[1]))))
    thread.start()
    thread.join()
    sys.exit(3)
"""
        },
        {
            "test_main.py": r"""
import subprocess, sys
from main import work
def test_work():
    print('x' * 10000)
    assert work(1) == [1, 1, 1]
def test_program():
    done = subprocess.run([sys.executable, 'main.py', '7'], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout == '[7, 7, 7]\nbye\n'
def test_inline():
    code = 'from main import work; print(work(2))'
    assert subprocess.check_output([sys.executable, '-c', code], text=True).splitlines()[0] == '[2, 2, 2]'
"""
        },
    ),
    "threads, processes and files": (
        {
            "pool.py": """
import threading, multiprocessing, concurrent.futures, tempfile, pathlib
def squares(n):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda x: x * x, range(n)))
def forked(n):
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    process = context.Process(target=queue.put, args=(n,))
    process.start()
    value = queue.get()
    process.join()
    return value
def stored(text):
    path = pathlib.Path(tempfile.mkdtemp()) / 'x'
    path.write_text(text)
    return path.read_text()
threading.Thread(target=lambda: None).start()
"""
        },
        {
            "test_pool.py": """
from pool import squares, forked, stored
def test_threads():
    assert squares(4) == [0, 1, 4, 9]
def test_processes():
    assert forked(5) == 5
def test_files():
    assert stored('abc') == 'abc'
"""
        },
    ),
    "a package with helpers and data": (
        {
            "app/__init__.py": "",
            "app/core.py": """
def up(s):
    return s.upper()
""",
        },
        {
            "tests/conftest.py": """
import pytest
@pytest.fixture
def word():
    return 'ab'
""",
            "tests/helpers.py": """
from app.core import up
def check(a, b):
    assert up(a) == b
""",
            "tests/test_app.py": """
import sys, pathlib
sys.path.insert(0, str(pathlib.Path(__file__).parent))
from helpers import check
from app.core import up
def test_it(word):
    check(word, 'AB')
    expected = (pathlib.Path(__file__).parent / 'data.txt').read_text()
    assert up('x') == expected
""",
            "tests/data.txt": "X",
        },
    ),
    "configuration of the tests' own": (
        {"double.py": DOUBLE},
        {
            "pytest.ini": """
[pytest]
addopts = -x --strict-markers
markers =
    slow: takes long
""",
            "test_double.py": """
import pytest
from double import double
@pytest.mark.slow
def test_a():
    assert double(1) == 2
def test_b():
    assert double(2) == 4
""",
        },
    ),
    "an error class and its attributes": (
        {
            "double.py": """
class Bad(ValueError):
    def __init__(self, code):
        super().__init__(f'bad {code}')
        self.code = code
def f(x):
    raise Bad(x)
"""
        },
        {
            "test_double.py": """
import pytest
from double import Bad, f
def test_it():
    with pytest.raises(Bad) as caught:
        f(7)
    assert caught.value.code == 7
    assert str(caught.value) == 'bad 7'
    assert issubclass(Bad, ValueError)
"""
        },
    ),
    "warnings and logs": (
        {
            "double.py": """
import logging, warnings
def f():
    warnings.warn('old', DeprecationWarning)
    logging.getLogger('x').warning('careful')
    return 1
"""
        },
        {
            "test_double.py": """
import pytest
from double import f
def test_it(caplog):
    with pytest.warns(DeprecationWarning, match='old'):
        assert f() == 1
    assert caplog.records[0].getMessage() == 'careful'
    assert [r.levelname for r in caplog.records] == ['WARNING']
"""
        },
    ),
}
