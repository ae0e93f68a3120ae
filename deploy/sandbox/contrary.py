"""Values that must not be equal to what a test expects. Standard library only.

`flip` is its own inverse: a test file can hold the flipped value, and what was expected is still known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

MARK = "§"
ZERO = 0.7071067811865476
"""What 0.0 becomes, which has no sign to turn."""
MAX_DEPTH = 8
MAX_VARIANTS = 24
SCALARS = (bool, int, float, str, bytes)
CONTAINERS = (list, tuple, dict, set, frozenset)


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


def is_exact(value: Any, depth: int = 0) -> bool:
    """Whether it is of built-in types all the way down, so that no comparison with it can lie."""
    kind = type(value)
    if kind in CONTAINERS and depth < MAX_DEPTH:
        if kind is dict and not all(is_exact(key, depth + 1) for key in value):
            return False
        return all(is_exact(item, depth + 1) for item in (value.values() if kind is dict else value))
    return kind in SCALARS or value is None or kind in (complex, range)


def others(value: Any) -> Iterator[Any]:
    """What a value is not: its variants, or those of what an `approx` expects."""
    if is_plain(value):
        yield from variants(value)
    elif _is_approx(value):
        # A wide tolerance may let even these pass.
        yield from (_approx(value, other) for other in variants(value.expected) if other != value)


def unflip(value: Any) -> Any:
    """What was flipped as it was; also within an `approx`."""
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
