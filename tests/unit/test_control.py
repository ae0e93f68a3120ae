"""The control of a pass: what is changed in the tests, and what a control takes from a run."""

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.judging import confirmed
from deploy.sandbox import control, judge
from deploy.sandbox.contrary import flip, variants
from deploy.sandbox.expected import WITNESS
from deploy.sandbox.witness import Witness
from schema.messages.sandbox import Limit, Outcome, SandboxRun, TestOutcome

SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False).map(lambda x: x + 0.0) | st.text() | st.binary()
VALUES = st.recursive(
    SCALARS | st.none(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner) | st.just({1, 2}),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_flipped_twice_is_as_it_was(value: Any) -> None:
    assert repr(flip(flip(value))) == repr(value)


@given(SCALARS)
def test_a_flipped_value_is_another_of_the_same_type(value: Any) -> None:
    assert flip(value) != value
    assert type(flip(value)) is type(value)


@given(VALUES)
def test_no_variant_is_equal_to_the_value(value: Any) -> None:
    assert all(other != value for other in variants(value))


@given(VALUES)
def test_a_value_is_equal_to_itself_however_it_stands_in_the_file(value: Any) -> None:
    assert Witness([]).compare((value, value), ("==",))
    assert Witness([]).compare((value, flip(value)), ("==",), (1,))


def changed(body: str) -> str:
    return control.changed(ast.parse(body), "TOKEN")[0]


def test_a_changed_test_fails_with_the_token_at_its_end() -> None:
    space: dict[str, Any] = {WITNESS: Witness([])}
    exec(changed("def test_it():\n    return\n"), space)  # noqa: S102  (our own source)
    with pytest.raises(AssertionError, match="TOKEN"):
        space["test_it"]()


@pytest.mark.parametrize(
    ("source", "gone"),
    [
        ("def test_it():\n    assert f(2) == 'spam'\n", "spam"),
        ("def test_it():\n    assert 'spam' == f(2)\n", "spam"),
        ("def test_it():\n    want = 'spam'\n    assert f(2) == want\n", "spam"),
        ("WANT = 'spam'\ndef test_it():\n    assert f(2) == WANT\n", "spam"),
        ("@pytest.mark.parametrize('x,y', [(1, 'spam')])\ndef test_it(x, y):\n    assert f(x) == y\n", "spam"),
        (
            "ROWS = [(1, 'spam')]\n@pytest.mark.parametrize('x,y', ROWS)\ndef test_it(x, y):\n    assert f(x) == y\n",
            "spam",
        ),
        ("@pytest.mark.parametrize('y', ['spam'])\ndef test_it(y):\n    assert f() == y\n", "spam"),
        ("def test_it():\n    for x, y in [(1, 'spam')]:\n        assert f(x) == y\n", "spam"),
        ("TABLE = {1: 'spam'}\ndef test_it():\n    for x, y in TABLE.items():\n        assert f(x) == y\n", "spam"),
        ("def test_it():\n    assert all(f(x) == y for x, y in [(1, 'spam')])\n", "spam"),
        ("class T(TestCase):\n    def test_it(self):\n        self.assertEqual(f(2), 'spam')\n", "spam"),
        ("def test_it():\n    assert f(2) == approx(2.25)\n", " 2.25"),
        ("def test_it():\n    assert abs(f(2) - 2.25) < 1e-9\n", " 2.25"),
        ("def test_it():\n    assert isclose(f(2), 2.25)\n", " 2.25"),
        ("def test_it():\n    if f(2) != 'spam':\n        fail()\n", "spam"),
        ("def test_it():\n    assert f(2) == 'spam', f'{f(2)} is not spam'\n", "spam"),
        ("def test_it():\n    assert 'spam' in f(2)\n", "spam"),
        ("def test_it():\n    assert f(2) in ('spam', 'eggs')\n", "spam"),
        ("class T:\n    want = 'spam'\n    def test_it(self):\n        assert f(2) == self.want\n", "spam"),
        (
            "class T:\n    def setUp(self):\n        self.want = 'spam'\n"
            "    def test_it(self):\n        assert f() == self.want\n",
            "spam",
        ),
        (
            "class T:\n    ROWS = [(1, 'spam')]\n"
            "    def test_it(self):\n        for x, y in self.ROWS:\n            assert f(x) == y\n",
            "spam",
        ),
        ("OUT = ['spam']\ndef test_it():\n    for x, y in zip([1], OUT):\n        assert f(x) == y\n", "spam"),
        ("def test_it():\n    for n, (x, y) in enumerate([(1, 'spam')]):\n        assert f(x) == y\n", "spam"),
        (
            "ROWS = [{'in': 1, 'out': 'spam'}]\n"
            "def test_it():\n    for row in ROWS:\n        assert f(row['in']) == row['out']\n",
            "spam",
        ),
        ("def test_it():\n    for x, y in [(1, True)]:\n        assert f(x) is y\n", "True"),
        ("def test_it():\n    assert f(2) is True\n", "True"),
        ("def test_it():\n    with pytest.raises(ValueError):\n        f(2)\n", "ValueError"),
        ("def test_it():\n    assert not f(2)\n", "not"),
    ],
)
def test_what_is_expected_does_not_stand_in_the_changed_file(source: str, gone: str) -> None:
    assert gone in source.replace("(2.25", " 2.25").replace("- 2.25", " 2.25")
    assert gone not in changed(source).replace("(2.25", " 2.25").replace("- 2.25", " 2.25")


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.parametrize('y', ['spam'])\ndef test_it(y):\n    assert f(f(y)) == y\n",
        "@pytest.mark.parametrize('y', ['spam'], indirect=True)\ndef test_it(y):\n    assert f() == y\n",
        "ROWS = [(1, 'spam')]\ndef test_it():\n    for x, y in ROWS:\n        assert f(x) == y\ng(ROWS)\n",
        "def test_it(y='spam'):\n    assert f() == y\n",
        "def test_it():\n    want = ['spam']\n    want.append(1)\n    assert f() == want\n",
        "class T:\n    want = 'spam'\n    def test_it(self):\n        assert f(self.want) == self.want\n",
    ],
)
def test_a_literal_that_is_more_than_what_is_expected_stays(source: str) -> None:
    assert "'spam'" in changed(source)


@pytest.mark.parametrize(
    "source",
    [
        "def check(x, want):\n    assert f(x) == want\n",
        "@pytest.fixture\ndef want():\n    return 1\ndef test_it(want):\n    assert f() == want\n",
        "def test_it():\n    want = sum(range(9))\n    got = f()\n    assert got == want\n",
        "def test_it():\n    for want in table():\n        assert f() == want\n",
    ],
)
def test_what_is_expected_and_can_not_be_changed_is_hidden(source: str) -> None:
    assert "want = __witness__.hide(" in changed(source)
    assert "hidden=(0, 1)" in changed(source) or "hidden=(1,)" in changed(source)


def test_all_uses_of_a_shared_literal_are_changed_once() -> None:
    text = changed("WANT = 'spam'\ndef test_a():\n    assert f() == WANT\ndef test_b():\n    assert g() == WANT\n")
    assert text.count("__witness__.compare") == text.count("flipped=(1,)") == 2
    assert "spam" not in text


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.fixture\ndef test_data():\n    return 1\n",
        "def test_it():\n    yield 1\n",
        "def testdata():\n    return [1]\nX = testdata()\n",
        "def helper():\n    assert f() == 1\n",
    ],
)
def test_what_is_no_test_does_not_end_in_the_token(source: str) -> None:
    text, names = control.changed(ast.parse(source), "TOKEN")
    assert not names
    assert "TOKEN" not in text


def test_the_changed_file_keeps_the_shape_that_pytest_looks_at() -> None:
    source = (
        "class TestA:\n    @mark.slow\n    def test_it(self, a, /, b, *c, d=1, **e):\n        'Doc.'\n        pass\n"
    )
    function = ast.parse(changed(source)).body[0].body[0]  # type: ignore[attr-defined]
    before = ast.parse(source).body[0].body[0]  # type: ignore[attr-defined]
    assert ast.dump(function.args) == ast.dump(before.args)
    assert ast.dump(function.decorator_list[0]) == ast.dump(before.decorator_list[0])
    assert ast.get_docstring(function) == "Doc."


def ran(outcomes: dict[str, Outcome], *, limit: Limit | None = None) -> SandboxRun:
    tests = tuple(TestOutcome(id=test, outcome=outcome) for test, outcome in outcomes.items())
    return SandboxRun(exit_code=0, limit=limit, tests=tests, isolation="gvisor")


def test_a_confirmed_run_passes() -> None:
    # The parameters, which hold what is expected, are others in a control.
    assert confirmed(ran({"t.py::a[1]": "passed"}), ran({"t.py::a[0]": "passed"})).passed


@pytest.mark.parametrize(
    "control_run",
    [
        ran({"t.py::a[0]": "failed"}),
        ran({}),
        ran({"t.py::b": "passed"}),
        ran({"t.py::a[0]": "passed", "t.py::a[1]": "passed"}),
        ran({"t.py::a[0]": "passed", "session": "missing"}),
        ran({"t.py::a[0]": "passed"}, limit="timeout"),
    ],
)
def test_a_run_that_its_control_does_not_confirm_is_no_pass(control_run: SandboxRun) -> None:
    run = confirmed(ran({"t.py::a[1]": "passed"}), control_run)
    assert not run.passed
    assert run.exit_code != 0


def test_only_the_functions_that_are_not_confirmed_fail() -> None:
    run = confirmed(ran({"t.py::a": "passed", "t.py::b": "passed"}), ran({"t.py::a": "passed", "t.py::b": "failed"}))
    assert [test.outcome for test in run.tests] == ["passed", "failed"]


def test_a_control_that_can_not_be_made_is_told() -> None:
    with pytest.raises(judge.UsageError, match=r"conftest\.py can't be judged"):
        judge.plan(["pytest"], {}, {"conftest.py": "def (", "test_a.py": "def test_a():\n    pass\n"}, "TOKEN")
