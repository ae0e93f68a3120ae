"""What the witness answers to the comparisons of a control, and the lies that it notices."""

import ast
from collections import Counter
from decimal import Decimal
from typing import Any
from unittest import TestCase
from unittest.mock import ANY, Mock

import pytest

from deploy.sandbox import control
from deploy.sandbox.witness import Witness


class Always:
    """Equal to everything, and more than everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __gt__(self, other: object) -> bool:
        return True

    __lt__ = __contains__ = __gt__


class First:
    """Equal to what it is compared with first."""

    asked = False

    def __eq__(self, other: object) -> bool:
        first, self.asked = not self.asked, True
        return first


LIES: list[tuple[tuple[Any, ...], tuple[str, ...]]] = [
    ((Always(), 1), ("==",)),
    ((1, Always()), ("==",)),
    ((Always(), 1), ("!=",)),
    (([1, Always()], [1, 2]), ("==",)),
    (([Always()], [object()]), ("==",)),
    ((1, Always(), 3), ("<", "<")),
    ((1, Always()), ("in",)),
    ((Always(), [1, 2]), ("in",)),
    ((pytest.approx(1, abs=1e9), 1), ("==",)),
    ((ANY, 2), ("==",)),
]


@pytest.mark.parametrize(("values", "operators"), LIES)
def test_the_witness_notices_a_lie(values: tuple[Any, ...], operators: tuple[str, ...]) -> None:
    witness = Witness([])
    witness.compare(values, operators)
    assert (witness.lied, witness.end("TOKEN")) == (True, "")


def test_what_is_equal_to_what_comes_first_is_not_equal_to_what_is_expected() -> None:
    assert not Witness([]).compare((First(), 1), ("==",), asserted=True)


class Expression:
    """A comparison of it is another expression, as query builders have it."""

    def __eq__(self, other: object) -> Any:
        return Expression()


@pytest.mark.parametrize(
    ("values", "operators", "answer"),
    [
        ((1, pytest.approx(1, abs=1e9)), ("==",), True),
        ((float("nan"), float("nan")), ("!=",), True),
        ((1, 2, 3), ("<", "<="), True),
        ((1, 2, 2), ("<", "<"), False),
        (({1}, {1, 2}), ("<",), True),
        ((1, iter([1])), ("in",), True),
        (("a", "cat"), ("in",), True),
        ((None, None), ("is",), True),
        (([0, 1], [0, 1]), ("==",), True),
        ((2, 1), ("==",), False),
        ((Decimal("1.10"), Decimal("1.1")), ("==",), True),
        ((Decimal(1), 2), ("!=",), True),
        ((Counter("ab"), {"a": 1, "b": 1}), ("==",), True),
        ((object, object), ("==",), True),
    ],
)
def test_the_witness_answers_as_python_does(values: tuple[Any, ...], operators: tuple[str, ...], answer: bool) -> None:
    witness = Witness([])
    assert witness.compare(values, operators, asserted=True) is answer
    assert witness.end("TOKEN") == "TOKEN"


def test_what_compares_to_something_else_than_truth_is_left_to_itself() -> None:
    witness = Witness([])
    assert isinstance(witness.compare((Expression(), 1), ("==",)), Expression)
    assert not witness.lied


def test_a_matcher_is_believed_only_where_the_tests_name_it() -> None:
    assert control.matchers(ast.parse("from unittest.mock import ANY\nx = ANY\n")) == {"_ANY"}
    assert control.matchers(ast.parse("class Even:\n    def __eq__(self, other):\n        return True\n")) == {"Even"}
    witness = Witness(["_ANY"])
    assert witness.compare(([1, 2], [ANY, 2]), ("==",))
    assert not witness.lied


def test_a_check_of_unittests_is_told_other_values_too() -> None:
    witness, case = Witness([]), TestCase()
    witness.method(case.assertEqual, Always(), 2)
    assert witness.lied


def test_a_mock_is_told_other_calls_too() -> None:
    witness, mock = Witness([]), Mock()
    mock(2)
    witness.method(mock.assert_called_once_with, 2)
    assert not witness.lied
    mock.reset_mock()
    mock(ANY)
    witness.method(mock.assert_called_once_with, 2)
    assert witness.lied


class Near(float):
    """As near as one likes."""

    def __sub__(self, other: object) -> float:
        return 0.0


def test_a_distance_depends_on_the_values() -> None:
    witness = Witness([])
    assert witness.distance(0.25, 0.5) == 0.25
    assert not witness.lied
    assert witness.distance(Near(7), 0.5) == 0
    assert witness.lied


def test_what_was_hidden_comes_back_only_by_its_place() -> None:
    witness = Witness([])
    hidden = witness.hide(4)
    assert witness.compare((4, hidden), ("==",), hidden=(1,))
    assert not witness.lied
    assert witness.compare((hidden, 4), ("==",))
    assert witness.lied
