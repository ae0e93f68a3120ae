"""Values that must not be equal to what a test expects, and the comparisons that they go into. Standard library only.

`flip` is its own inverse: a test file can hold the flipped value, and what was expected is still known.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

MARK = "§"
ZERO = 0.7071067811865476
"""What 0.0 becomes, which has no sign to turn."""
MAX_DEPTH = 8
MAX_VARIANTS = 24
SCALARS = (bool, int, float, str, bytes)
CONTAINERS = (list, tuple, dict, set, frozenset)
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "in": lambda item, container: item in container,
    "not in": lambda item, container: item not in container,
    "is": operator.is_,
    "is not": operator.is_not,
}
REVERSED = {"<": ">", "<=": ">", ">": "<", ">=": "<"}


ERRORS = (
    (ValueError, TypeError),
    (KeyError, IndexError),
    (ZeroDivisionError, OverflowError),
    (RuntimeError, LookupError),
    (AttributeError, NameError),
    (FileNotFoundError, PermissionError),
    (NotImplementedError, StopIteration),
)
"""Errors that change places: a test that waits for one names the other."""
OTHER_ERRORS = {one: other for pair in ERRORS for one, other in (pair, pair[::-1])}
METHODS = {
    "assertIn": "in",
    "assertGreater": ">",
    "assertGreaterEqual": ">=",
    "assertLess": "<",
    "assertLessEqual": "<=",
}
"""What a check of unittest's compares by, where that is not equality."""


class Other:
    """Equal to nothing but itself."""


def flip(value: Any, depth: int = 0) -> Any:
    """Another value of the same type and shape: every leaf is another. Unchanged where there is no leaf to change."""
    kind = type(value)
    if depth > MAX_DEPTH:
        return value
    if kind in SCALARS:
        return _flip_scalar(value)
    if kind in (list, tuple):
        # None has no other value, so that [None] is free to be the other of [].
        if len(value) == 0 or (len(value) == 1 and value[0] is None):
            return kind([] if value else [None])
        return kind(flip(item, depth + 1) for item in value)
    if kind is dict:
        if not value or (list(value) == [MARK] and value[MARK] is None):
            return {} if value else {MARK: None}
        return {key: flip(item, depth + 1) for key, item in value.items()}
    if kind in (set, frozenset):
        return value ^ {MARK}
    return value


def variants(value: Any) -> Iterator[Any]:
    """Values of the same shape, each with another leaf changed; at most MAX_VARIANTS of them, and the last."""
    paths = list(_paths(value, 0)) if type(value) in (list, tuple, dict) and value else []
    step = max(1, len(paths) // MAX_VARIANTS)
    for path in dict.fromkeys([*paths[::step], *paths[-1:]]):
        yield _changed_at(value, path)
    # All leaves at once may be the same again, in another order.
    if not paths and not _same(flip(value), value):
        yield flip(value)


def is_plain(value: Any) -> bool:
    """Whether it is of a built-in type, whose equality is Python's own."""
    return type(value) in (*SCALARS, *CONTAINERS)


class Judge:
    """What the changed tests call in place of a comparison.

    True is answered only if the comparison holds, twice, and holds for none of the values that it must not hold for.
    `matchers` names the tests' own classes that may be equal to what they like.
    """

    def __init__(self, matchers: Collection[str]) -> None:
        self._own = frozenset(matchers)

    def compare(self, values: Sequence[Any], operators: Sequence[str], flipped: Sequence[int] = ()) -> bool:
        """A comparison `a < b == c`; the values at the places `flipped` stand flipped in the test's file."""
        given = [_unflip(value) if place in flipped else value for place, value in enumerate(values)]
        return all(self._pair(given[n], name, given[n + 1]) for n, name in enumerate(operators))

    def true(self, value: Any) -> bool:
        """What an assertion says without a comparison, where no line of the test tells that it is awaited."""
        return bool(value) and bool(value)

    def false(self, value: Any) -> bool:
        """The same of `not`."""
        return not value and not value

    def error(self, error: type[BaseException]) -> type[BaseException]:
        """The error that is awaited, for the one that stands in the test's file."""
        return OTHER_ERRORS[error]  # type: ignore[index]

    def method(self, method: Callable[..., Any], *values: Any, flipped: int = -1, **options: Any) -> None:
        """A check of unittest's that raises; AssertionError if it also passes for what it must refuse."""
        given = [_unflip(value) if place == flipped else value for place, value in enumerate(values[:2])]

        def check(one: Any, other: Any) -> None:
            method(one, other, *values[2:], **options)

        for one, other in self._refused_by(check, METHODS.get(method.__name__, "=="), *given):
            if _passes(check, one, other):
                raise AssertionError(f"{method.__name__} passes for {one!r} and {other!r} as well")
        check(*given)

    def _refused_by(self, check: Callable[..., Any], name: str, left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
        """Pairs that this check of unittest's has to refuse."""
        if name == "==":
            for one, other in self._contrary_pairs(left, right):
                # A wide tolerance may let even these pass.
                if not (is_plain(right) and type(other) is type(right) and _passes(check, right, other)):
                    yield one, other
        elif name == "in" and not self._is_own(right) and not hasattr(right, "__next__"):
            yield Other(), right
        elif name in REVERSED and not _passes(check, right, right):
            yield right, left

    def _pair(self, left: Any, name: str, right: Any) -> bool:
        compare = OPERATORS[name]
        if name == "in" and hasattr(right, "__next__"):
            # Looking twice would use it up.
            return bool(compare(left, right))
        for _ in range(2):
            if any(_holds(compare, one, other) for compare, one, other in self._contraries(left, name, right)):
                return False
            if not compare(left, right):
                return False
        return True

    def _contraries(self, left: Any, name: str, right: Any) -> Iterator[tuple[Callable[[Any, Any], Any], Any, Any]]:
        """Comparisons that can't hold while `left name right` does."""
        if name == "==":
            for one, other in self._contrary_pairs(left, right):
                yield operator.eq, one, other
        elif name == "!=":
            if not isinstance(left, float) and not self._is_own(left):
                yield operator.ne, left, left
        elif name in REVERSED:
            yield OPERATORS[REVERSED[name]], left, right
        elif name == "in":
            if not self._is_own(right):
                yield OPERATORS["in"], Other(), right
            if not is_plain(left) and not self._is_own(left):
                yield operator.eq, left, Other()

    def _contrary_pairs(self, left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
        """Pairs that can't be equal while `left` and `right` are."""
        if not self._has_own(left):
            for other in _others(right):
                yield left, other
        if is_plain(right) and not self._has_own(right):
            for other in _others(left):
                yield other, right
        for value in (left, right):
            if not is_plain(value) and not self._is_own(value):
                yield value, Other()

    def _has_own(self, value: Any, depth: int = 0) -> bool:
        """Whether a matcher of the tests' own is somewhere in it."""
        if type(value) not in CONTAINERS or depth > MAX_DEPTH:
            return self._is_own(value)
        return any(self._has_own(item, depth + 1) for item in (value.values() if type(value) is dict else value))

    def _is_own(self, value: Any) -> bool:
        return bool(self._own) and type(value).__name__ in self._own


def _holds(compare: Callable[[Any, Any], Any], one: Any, other: Any) -> bool:
    """Whether it holds; a comparison that refuses what it is given does not."""
    try:
        return bool(compare(one, other))
    except Exception:
        return False


def _passes(check: Callable[..., Any], *given: Any) -> bool:
    try:
        check(*given)
    except Exception:
        return False
    return True


def _others(value: Any) -> Iterator[Any]:
    if is_plain(value):
        yield from variants(value)
    elif _is_approx(value):
        for other in variants(value.expected):
            # A wide tolerance may let even these pass.
            if not _holds(operator.eq, other, value):
                yield _approx(value, other)


def _unflip(value: Any) -> Any:
    return _approx(value, flip(value.expected)) if _is_approx(value) else flip(value)


def _is_approx(value: Any) -> bool:
    kind = type(value)
    return kind.__module__.startswith("_pytest.") and kind.__name__.startswith("Approx")


def _approx(value: Any, expected: Any) -> Any:
    return type(value)(expected, rel=value.rel, abs=value.abs, nan_ok=value.nan_ok)


def _flip_scalar(value: Any) -> Any:
    if type(value) is bool:
        return not value
    if type(value) is int:
        return value ^ 1
    if type(value) is float:
        return value if math.isnan(value) else {0.0: ZERO, ZERO: 0.0}.get(value, -value)
    if type(value) is bytes:
        return _flip_text(value.decode("latin-1")).encode("latin-1")
    return _flip_text(value)


def _flip_text(text: str) -> str:
    """The last letter or digit and its neighbour change places: a and b, 0 and 1."""
    for place in range(len(text) - 1, -1, -1):
        code = ord(text[place])
        if code < 128 and text[place].isalnum():
            start = ord("0") if code < ord("A") else ord("A") if code < ord("a") else ord("a")
            return text[:place] + chr(start + ((code - start) ^ 1)) + text[place + 1 :]
    marks = len(text) - len(text.rstrip(MARK))
    return text[: -len(MARK)] if marks % 2 else text + MARK


def _paths(value: Any, depth: int) -> Iterator[tuple[Any, ...]]:
    """Where the leaves are that `flip` can change."""
    if type(value) in (list, tuple, dict) and value and depth < MAX_DEPTH:
        for key, item in value.items() if type(value) is dict else enumerate(value):
            for path in _paths(item, depth + 1):
                yield (key, *path)
    elif depth:
        yield ()


def _changed_at(value: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        other = flip(value)
        return Other() if _same(other, value) else other
    changed = dict(value) if type(value) is dict else list(value)
    changed[path[0]] = _changed_at(value[path[0]], path[1:])
    return tuple(changed) if type(value) is tuple else changed


def _same(one: Any, other: Any) -> bool:
    """Of values of ours only; what can't be compared counts as the same."""
    try:
        return one is other or bool(one == other)
    except Exception:
        return True
