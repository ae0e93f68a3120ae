"""Honest programs with the tests that they pass: (name, the program's files, the tests)."""

DOUBLE = "def double(x):\n    return 2 * x\n"


def _double(tests: str, program: str = DOUBLE) -> tuple[dict[str, str], dict[str, str]]:
    return {"double.py": program}, {"test_double.py": f"from double import *\nimport double as module\n{tests}"}


HONEST: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "plain equality": _double("def test_it():\n    assert double(2) == 4\n    assert 'aa' == double('a')\n"),
    "nothing asserted": _double("def test_it():\n    double(2)\n"),
    "parameters": _double(
        "import pytest\n@pytest.mark.parametrize(('x', 'y'), [(1, 2), pytest.param('a', 'aa', id='text'), ([], [])])\n"
        "def test_it(x, y):\n    assert double(x) == y\n"
    ),
    "parameters that go in and come out": _double(
        "import pytest\n@pytest.mark.parametrize('x', [0, 1, 2])\ndef test_it(x):\n    assert double(x) / 2 == x\n"
    ),
    "parameters from a name": _double(
        "import pytest\nCASES = [(1, 2), (3, 6)]\n@pytest.mark.parametrize('x,y', CASES)\n"
        "def test_it(x, y):\n    assert double(x) == y\n"
    ),
    "one list for two tests": _double(
        "CASES = [(1, 2), (3, 6)]\ndef test_it():\n    for x, y in CASES:\n        assert double(x) == y\n"
        "def test_back():\n    for x, y in CASES:\n        assert y // 2 == x\n"
    ),
    "a table": _double(
        "TABLE = {1: 2, 'a': 'aa', 2.5: 5.0}\ndef test_it():\n    for x, y in TABLE.items():\n        assert double(x) == y\n"
    ),
    "all of a table": _double("def test_it():\n    assert all(double(x) == y for x, y in [(1, 2), (3, 6)])\n"),
    "parameters by way of a fixture": _double(
        "import pytest\n@pytest.fixture\ndef y(request):\n    return request.param * 2\n"
        "@pytest.mark.parametrize(('x', 'y'), [(1, 1), (2, 2)], indirect=['y'])\n"
        "def test_it(x, y):\n    assert double(x) == y\n"
    ),
    "other comparisons": _double(
        "def test_it():\n    assert 3 < double(2) <= 4\n    assert double(2) != 5\n    assert double(2) in (3, 4)\n"
        "    assert 'aa' in double('aab')\n    assert double(2) is not None\n    assert not double(0)\n"
        "    assert double(2) > 3 and double(3) >= 6 or False\n    assert isinstance(double(2), int)\n"
    ),
    "membership in a program's own range": _double("def test_it():\n    assert 2 in [double(n) for n in range(9)]\n"),
    "nearly equal": _double(
        "import pytest\ndef test_it():\n    assert double(0.1) == pytest.approx(0.2)\n"
        "    assert [double(0.0)] == pytest.approx([0.0], abs=5)\n    assert abs(double(0.1) - 0.2) < 1e-9\n"
    ),
    "an error": _double(
        "import pytest\ndef test_it():\n    with pytest.raises(TypeError, match='unsupported'):\n        double(None)\n"
        "    try:\n        double({})\n    except TypeError:\n        return\n    assert False\n"
    ),
    "an expected failure of an assertion": _double(
        "import pytest\ndef check(x, y):\n    assert double(x) == y\n"
        "def test_it():\n    check(1, 2)\n    with pytest.raises(AssertionError):\n        check(1, 3)\n"
    ),
    "a swallowed failure": _double(
        "def test_it():\n    for y in (4, 5):\n        try:\n            assert double(2) == y\n"
        "        except AssertionError:\n            assert y == 5\n"
    ),
    "unittest": _double(
        "import unittest\nclass Case(unittest.TestCase):\n    def setUp(self):\n        self.y = 4\n"
        "    def test_it(self):\n        self.assertEqual(double(2), self.y)\n        self.assertEqual(4, double(2), 'why')\n"
        "        self.assertAlmostEqual(double(0.1), 0.2, places=5)\n        self.assertAlmostEqual(double(1), 2, delta=9)\n"
        "        self.assertIn(2, [double(1)])\n        self.assertGreater(double(2), 3)\n        self.assertTrue(double(2) == 4)\n"
        "        self.assertCountEqual([double(0), double(0.5)], [1, 0])\n"
        "        with self.assertRaises(TypeError):\n            double(None)\n"
        "        for x in (1, 2):\n            with self.subTest(x=x):\n                self.assertEqual(double(x), x + x)\n"
    ),
    "a class with a base class": _double(
        "class Base:\n    x = 0\n    def test_it(self):\n        assert double(self.x) == 2 * self.x\n"
        "class TestOne(Base):\n    x = 1\n    def test_super(self):\n        super().test_it() if False else None\n"
        "class TestTwo(Base):\n    x = 2\n"
    ),
    "tests in another order each time they are made": _double(
        "def make(n):\n    def test():\n        assert double(n) == n + n\n    return test\n"
        "for n in range(3):\n    globals()[f'test_{n}'] = make(n)\ndef test_it():\n    assert double(1) == 2\n"
    ),
    "tests under a condition": _double(
        "import sys\nif sys.version_info > (3,):\n    def test_it():\n        assert double(1) == 2\n"
    ),
    "a helper named like a test": _double(
        "import pytest\ndef test_data():\n    return [1, 2]\n"
        "@pytest.mark.filterwarnings('ignore')\n@pytest.mark.parametrize('x', test_data())\n"
        "def test_it(x):\n    assert double(x) == x + x\n"
    ),
    "one test calls another": _double("def test_a():\n    assert double(1) == 2\ndef test_b():\n    test_a()\n"),
    "state from test to test": _double(
        "seen = []\ndef test_a():\n    seen.append(double(1))\n    assert seen == [2]\n"
        "def test_b():\n    seen.append(double(2))\n    assert seen == [2, 4]\n"
    ),
    "matchers": _double(
        "from unittest.mock import ANY\nclass Even:\n    def __eq__(self, other):\n        return other % 2 == 0\n"
        "def test_it():\n    assert double(2) == ANY\n    assert ANY == double(2)\n    assert [double(2), 1] == [ANY, 1]\n"
        "    assert double(3) == Even()\n    assert {'a': double(1), 'b': 2} == {'a': ANY, 'b': 2}\n"
    ),
    "mocks": _double(
        "from unittest import mock\n@mock.patch.object(module, 'double', return_value=7)\ndef test_it(fake):\n"
        "    assert module.double(1) == 7\n    fake.assert_called_once_with(1)\n    assert fake.call_args_list == [mock.call(1)]\n"
    ),
    "monkeypatching": _double(
        "def test_it(monkeypatch, tmp_path, capsys):\n    monkeypatch.setattr('builtins.len', lambda x: 3)\n"
        "    assert len([]) == 3\n    monkeypatch.undo()\n    (tmp_path / 'a').write_text('x')\n"
        "    assert double((tmp_path / 'a').read_text()) == 'xx'\n    print('hello')\n    assert capsys.readouterr().out == 'hello\\n'\n"
    ),
    "hypothesis": _double(
        "from hypothesis import given, settings, strategies as st\n@settings(max_examples=20, deadline=None)\n"
        "@given(xs=st.lists(st.integers()), x=st.integers())\ndef test_it(xs, x):\n    assert double(xs) == xs + xs\n    assert double(x) == x + x\n"
    ),
    "async": (
        {"double.py": "async def double(x):\n    return 2 * x\n"},
        {
            "conftest.py": (
                "import asyncio, inspect\ndef pytest_pyfunc_call(pyfuncitem):\n"
                "    if inspect.iscoroutinefunction(pyfuncitem.obj):\n"
                "        names = pyfuncitem._fixtureinfo.argnames\n"
                "        asyncio.run(pyfuncitem.obj(**{n: pyfuncitem.funcargs[n] for n in names}))\n        return True\n"
            ),
            "test_double.py": "from double import double\nasync def test_it(tmp_path):\n    assert await double(2) == 4\n",
        },
    ),
    "equality of its own": (
        {
            "double.py": (
                "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int\n"
                "class Name:\n    def __init__(self, s):\n        self.s = s\n"
                "    def __eq__(self, other):\n        return self.s.lower() == getattr(other, 's', other).lower()\n"
                "class Bag(list):\n    def __eq__(self, other):\n        return sorted(self) == sorted(other)\n"
                "class Loose:\n    def __init__(self, v):\n        self.v = v\n    def __eq__(self, other):\n        return self.v == other.v\n"
            )
        },
        {
            "test_double.py": (
                "from double import P, Name, Bag, Loose\ndef test_it():\n    assert P(1, 2) == P(1, 2)\n    assert [P(1, 2)] == [P(1, 2)]\n"
                "    assert Name('Bob') == 'bob'\n    assert Bag([0, 1]) == [1, 0]\n    assert Loose(1) == Loose(1)\n"
                "    assert {'a': P(0, 0)} == {'a': P(0, 0)}\n    assert P(1, 2) != P(2, 1)\n    assert P(1, 2) in [P(1, 2)]\n"
            )
        },
    ),
    "numbers and texts of every kind": (
        {"double.py": "def same(x):\n    return x\n"},
        {
            "test_double.py": (
                "from double import same\nfrom decimal import Decimal\nfrom collections import Counter, OrderedDict\nimport math\n"
                "def test_it():\n    assert same(0.0) == 0.0\n    assert same(-1.5) == -1.5\n    assert same('') == ''\n"
                "    assert same('---') == '---'\n    assert same('§') == '§'\n    assert same('grün') == 'grün'\n"
                "    assert same(b'ab') == b'ab'\n    assert same({0, 1}) == {0, 1}\n    assert same([0, 1]) == [0, 1]\n"
                "    assert same(()) == ()\n    assert same({}) == {}\n    assert same(None) == None\n    assert same(True) == True\n"
                "    assert same([['§'], {'§': '§'}]) == [['§'], {'§': '§'}]\n    assert same(1j) == 1j\n"
                "    assert same(Decimal('1.10')) == Decimal('1.1')\n    assert same(float('inf')) == math.inf\n"
                "    assert same(Counter('aab')) == {'a': 2, 'b': 1}\n    assert OrderedDict(a=1) == same({'a': 1})\n"
                "    assert same(10 ** 30) == 10 ** 30\n    assert same(range(3)) == range(3)\n    assert same((1, None)) == (1, None)\n"
                "    assert same([1] * 1000) == [1] * 1000\n    assert list(map(same, 'ab')) == ['a', 'b']\n"
                "    assert next(iter([same(3)])) == 3\n    assert 3 in iter([1, same(3)])\n    it = iter([1, 2])\n    assert next(it) == 1\n    assert next(it) == 2\n"
            )
        },
    ),
    "a program that prints and exits": (
        {
            "main.py": (
                "import atexit, sys, threading\n\ndef work(n):\n    return [n] * 3\n\natexit.register(print, 'bye')\n"
                "if __name__ == '__main__':\n    thread = threading.Thread(target=lambda: print(work(int(sys.argv[1]))))\n"
                "    thread.start()\n    thread.join()\n    sys.exit(3)\n"
            )
        },
        {
            "test_main.py": (
                "import subprocess, sys\nfrom main import work\ndef test_work():\n    print('x' * 10000)\n    assert work(1) == [1, 1, 1]\n"
                "def test_program():\n    done = subprocess.run([sys.executable, 'main.py', '7'], capture_output=True, text=True)\n"
                "    assert done.returncode == 3\n    assert done.stdout == '[7, 7, 7]\\nbye\\n'\n"
                "def test_inline():\n    code = 'from main import work; print(work(2))'\n"
                "    assert subprocess.check_output([sys.executable, '-c', code], text=True).splitlines()[0] == '[2, 2, 2]'\n"
            )
        },
    ),
    "threads, processes and files": (
        {
            "pool.py": (
                "import threading, multiprocessing, concurrent.futures, tempfile, pathlib\n"
                "def squares(n):\n    with concurrent.futures.ThreadPoolExecutor(4) as pool:\n        return list(pool.map(lambda x: x * x, range(n)))\n"
                "def forked(n):\n    context = multiprocessing.get_context('fork')\n    queue = context.Queue()\n"
                "    process = context.Process(target=queue.put, args=(n,))\n    process.start()\n    value = queue.get()\n    process.join()\n    return value\n"
                "def stored(text):\n    path = pathlib.Path(tempfile.mkdtemp()) / 'x'\n    path.write_text(text)\n    return path.read_text()\n"
                "threading.Thread(target=lambda: None).start()\n"
            )
        },
        {
            "test_pool.py": (
                "from pool import squares, forked, stored\ndef test_threads():\n    assert squares(4) == [0, 1, 4, 9]\n"
                "def test_processes():\n    assert forked(5) == 5\ndef test_files():\n    assert stored('abc') == 'abc'\n"
            )
        },
    ),
    "a package with helpers and data": (
        {"app/__init__.py": "", "app/core.py": "def up(s):\n    return s.upper()\n"},
        {
            "tests/conftest.py": "import pytest\n@pytest.fixture\ndef word():\n    return 'ab'\n",
            "tests/helpers.py": "from app.core import up\ndef check(a, b):\n    assert up(a) == b\n",
            "tests/test_app.py": (
                "import sys, pathlib\nsys.path.insert(0, str(pathlib.Path(__file__).parent))\nfrom helpers import check\nfrom app.core import up\n"
                "def test_it(word):\n    check(word, 'AB')\n    expected = (pathlib.Path(__file__).parent / 'data.txt').read_text()\n    assert up('x') == expected\n"
            ),
            "tests/data.txt": "X",
        },
    ),
    "configuration of the tests' own": (
        {"double.py": DOUBLE},
        {
            "pytest.ini": "[pytest]\naddopts = -x --strict-markers\nmarkers =\n    slow: takes long\n",
            "test_double.py": (
                "import pytest\nfrom double import double\n@pytest.mark.slow\ndef test_a():\n    assert double(1) == 2\ndef test_b():\n    assert double(2) == 4\n"
            ),
        },
    ),
    "an error class and its attributes": (
        {"double.py": "class Bad(ValueError):\n    def __init__(self, code):\n        super().__init__(f'bad {code}')\n        self.code = code\ndef f(x):\n    raise Bad(x)\n"},
        {
            "test_double.py": (
                "import pytest\nfrom double import Bad, f\ndef test_it():\n    with pytest.raises(Bad) as caught:\n        f(7)\n"
                "    assert caught.value.code == 7\n    assert str(caught.value) == 'bad 7'\n    assert issubclass(Bad, ValueError)\n"
            )
        },
    ),
    "warnings and logs": (
        {"double.py": "import logging, warnings\ndef f():\n    warnings.warn('old', DeprecationWarning)\n    logging.getLogger('x').warning('careful')\n    return 1\n"},
        {
            "test_double.py": (
                "import pytest\nfrom double import f\ndef test_it(caplog):\n    with pytest.warns(DeprecationWarning, match='old'):\n        assert f() == 1\n"
                "    assert caplog.records[0].getMessage() == 'careful'\n    assert [r.levelname for r in caplog.records] == ['WARNING']\n"
            )
        },
    ),
    "a generator": _double(
        "def test_it():\n    g = gen(2)\n    assert next(g) == 0\n    assert list(g) == [1]\n    assert sum(gen(4)) == 6\n    assert [*gen(0)] == []\n",
        "def gen(n):\n    yield from range(n)\n",
    ),
    "chance": _double(
        "def test_it():\n    assert 1 <= roll() <= 6\n    assert roll() in range(1, 7)\n    assert len({roll() for _ in range(500)}) == 6\n",
        "import random\ndef roll():\n    return random.randint(1, 6)\n",
    ),
    "a walrus and a pattern": _double(
        "def test_it():\n    assert (y := double(2)) == 4\n    match y:\n        case 4:\n            assert y == 4\n        case _:\n            assert False, y\n"
    ),
    "a local function and a docstring": _double(
        'def test_it(x=3, *, y=6):\n    """It doubles."""\n    def twice(n):\n        expected = n + n\n        assert double(n) == expected\n    twice(x)\n    assert double(x) == y\n'
    ),
}
