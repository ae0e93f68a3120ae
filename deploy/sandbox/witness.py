"""What the changed tests ask in place of comparing: it answers as Python does, and notices lies. Standard library only.

A lie is a comparison that holds for what it must not hold for: an object that equals everything. Only values that are
not built-in all the way down can lie. A test of a control gets its token only from a witness that saw no lie.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from deploy.sandbox.contrary import CONTAINERS, MAX_DEPTH, SCALARS, Other, flip, is_exact, is_plain, others, unflip

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
CALLED = frozenset({"assert_called_with", "assert_called_once_with", "assert_any_call"})
"""What a mock says of how it was called."""
UNLIKELY = "\u2203golden\u2204"
"""A text that no honest container holds."""

Comparison = tuple[Callable[[Any, Any], Any], Any, Any]


class Hidden:
    """What is expected, kept where the program does not look for it."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Witness:
    """One for each run. `matchers` names the tests' own classes that may be equal to what they like."""

    def __init__(self, matchers: Collection[str]) -> None:
        self._own = frozenset(matchers)
        self.lied = False

    def end(self, token: str) -> str:
        """The token, with which a test of a control fails; not after a lie."""
        return "" if self.lied else token

    def hide(self, value: Any) -> Hidden:
        """Put away what is compared later, by its place among `hidden`."""
        if isinstance(value, Hidden):
            # Only the program can have brought it here.
            self.lied = True
            return value
        return Hidden(value)

    def compare(
        self,
        values: Sequence[Any],
        operators: Sequence[str],
        flipped: Sequence[int] = (),
        hidden: Sequence[int] = (),
        *,
        asserted: object = False,
    ) -> Any:
        """A comparison `a < b == c`, as Python answers it.

        The values at the places `flipped` stand flipped in the test's file, those at `hidden` were hidden. An
        `asserted` one is believed by its truth, whatever it answers with.
        """
        given = self._given(values, flipped, hidden)
        answer: Any = True
        for place, name in enumerate(operators):
            answer = self._pair(given[place], name, given[place + 1], asserted=asserted)
            if len(operators) > 1 and not answer:
                break
        return answer

    def true(self, value: Any) -> bool:
        """What an assertion says without a comparison, where no line of the test tells what is awaited."""
        return operator.truth(value) and operator.truth(value)

    def false(self, value: Any) -> bool:
        """The same of `not`."""
        return not self.true(value)

    def error(self, error: type[BaseException]) -> type[BaseException]:
        """The error that is awaited, for the one that stands in the test's file."""
        return OTHER_ERRORS[error]  # type: ignore[index]

    def distance(self, one: Any, other: Any, flipped: Sequence[int] = (), hidden: Sequence[int] = ()) -> Any:
        """`abs(one - other)`, which is not the same for other values."""
        left, right = self._given((one, other), flipped, hidden)
        return self._near(lambda a, b: abs(a - b), left, right)

    def close(
        self,
        isclose: Callable[..., Any],
        one: Any,
        other: Any,
        flipped: Sequence[int] = (),
        hidden: Sequence[int] = (),
        **options: Any,
    ) -> Any:
        """`math.isclose(one, other)`, which does not hold for other values."""
        left, right = self._given((one, other), flipped, hidden)
        return self._near(lambda a, b: isclose(a, b, **options), left, right)

    def method(
        self,
        method: Callable[..., Any],
        *values: Any,
        flipped: Sequence[int] = (),
        hidden: Sequence[int] = (),
        **options: Any,
    ) -> Any:
        """A check that raises: of unittest's of two values, or of a mock's of how it was called."""
        given = self._given(values, flipped, hidden)
        name = METHODS.get(method.__name__, "==")
        if method.__name__ in CALLED:
            for place, value in enumerate(given):
                for other in others(value):
                    self._refused(method, [*given[:place], other, *given[place + 1 :]], options)
        elif not all(map(is_exact, given[:2])):
            for one, other in self._refused_pairs(method, name, given[0], given[1]):
                self._refused(method, [one, other, *given[2:]], options)
        return method(*given, **options)

    def _given(self, values: Sequence[Any], flipped: Sequence[int], hidden: Sequence[int]) -> list[Any]:
        given = []
        for place, value in enumerate(values):
            if type(value) is Hidden:
                # Of what was hidden from it, the program gives nothing back.
                self.lied = self.lied or place not in hidden
                value = value.value
            given.append(unflip(value) if place in flipped else value)
        return given

    def _refused(self, check: Callable[..., Any], values: Sequence[Any], options: dict[str, Any]) -> None:
        self.lied = self.lied or _passes(check, *values, **options)

    def _refused_pairs(self, check: Callable[..., Any], name: str, left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
        """Pairs that this check of unittest's has to refuse."""
        if name == "==":
            for one, other in self._unequal(left, right):
                # A wide tolerance may let even these pass.
                if not (is_plain(right) and type(other) is type(right) and _passes(check, right, other)):
                    yield one, other
        elif name == "in" and not self._is_own(right) and not hasattr(right, "__next__"):
            yield Other(), right
        elif name in REVERSED and not _passes(check, right, right):
            yield right, left

    def _pair(self, left: Any, name: str, right: Any, *, asserted: object) -> Any:
        compare = OPERATORS[name]
        if (is_exact(left) and is_exact(right)) or hasattr(right, "__next__"):
            return compare(left, right)
        lies = self._lies(left, name, right)
        answer = compare(left, right)
        # Asked again, since something may be equal only to what it is compared with first.
        if asserted or type(answer) in SCALARS:
            self.lied = self.lied or (bool(answer) in lies) or (bool(answer) in self._lies(left, name, right))
        return answer

    def _near(self, measure: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
        answer = measure(left, right)
        if not (is_exact(left) and is_exact(right)):
            for one, other in self._unequal(left, right):
                self.lied = self.lied or _holds(lambda a, b: measure(a, b) == answer, one, other)
        return answer

    def _lies(self, left: Any, name: str, right: Any) -> set[bool]:
        """The answers that would be lies."""
        if name in ("==", "!="):
            compare = OPERATORS[name]
            as_equal = name == "=="
            found = {as_equal for one, other in self._unequal(left, right) if self._says(compare, one, other, as_equal)}
            if name == "!=" and not isinstance(left, float) and not self._is_own(left):
                found |= {True} if _holds(operator.ne, left, left) else set()
            return found
        if name in REVERSED:
            return {True} if _holds(OPERATORS[REVERSED[name]], left, right) else set()
        if name in ("in", "not in"):
            held = any(_holds(compare, one, other) for compare, one, other in self._outside(left, right))
            return {name == "in"} if held else set()
        return set()

    def _says(self, compare: Callable[[Any, Any], Any], one: Any, other: Any, equal: bool) -> bool:
        try:
            return bool(compare(one, other)) is equal
        except Exception:
            return False

    def _outside(self, left: Any, right: Any) -> Iterator[Comparison]:
        """Memberships that can't be, if `left` is in `right`."""
        if not is_exact(right) and not self._is_own(right):
            yield OPERATORS["in"], Other(), right
            yield OPERATORS["in"], UNLIKELY, right
        if not is_exact(left) and not self._is_own(left):
            yield operator.eq, left, Other()
            if type(right) in (list, tuple):
                for item in right[:MAX_DEPTH]:
                    if flip(item) not in right:
                        yield operator.eq, left, flip(item)

    def _unequal(self, left: Any, right: Any) -> Iterator[tuple[Any, Any]]:
        """Pairs that can't be equal while `left` and `right` are."""
        if not self._has_own(left):
            for other in others(right):
                yield left, other
        if is_plain(right) and not self._has_own(right):
            for other in others(left):
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


def _passes(check: Callable[..., Any], *given: Any, **options: Any) -> bool:
    try:
        check(*given, **options)
    except Exception:
        return False
    return True
