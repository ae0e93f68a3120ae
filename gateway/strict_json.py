"""JSON without its traps: duplicate members, NaN, numbers without end, unpaired surrogates, deep nesting."""

import json
import math
from typing import Any

MAX_DEPTH = 20
MAX_VALUES = 20_000
MAX_FAULTS = 50

Fault = tuple[str, str]
"""A field as a client would write it, and what is wrong with it."""


class Malformed(Exception):
    """The text is not what it should be; `faults` names every place."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in faults))
        self.faults = faults


class Mapping(dict[str, Any]):
    """A mapping that remembers which of its keys were given more than once."""

    duplicates: tuple[str, ...] = ()

    @classmethod
    def of_pairs(cls, pairs: list[tuple[str, Any]]) -> "Mapping":
        """A mapping from its pairs as they were written."""
        mapping = cls(pairs)
        if len(mapping) != len(pairs):
            seen: set[str] = set()
            mapping.duplicates = tuple(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return mapping


def decode_utf8(content: bytes) -> str:
    """Text of `content`, which must be UTF-8 without a byte-order mark."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Malformed([("body", f"is not UTF-8: byte {error.start:,}")]) from None
    if text.startswith("\ufeff"):
        raise Malformed([("body", "must not begin with a byte-order mark")])
    return text


def parse_json(content: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        Malformed: it is not strict JSON, or holds what no message may hold.
    """
    text = decode_utf8(content)
    try:
        value = json.loads(text, object_pairs_hook=Mapping.of_pairs)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Malformed([("body", f"is not JSON: {error.msg}, {place}")]) from None
    except RecursionError:
        raise Malformed([("body", f"is nested deeper than {MAX_DEPTH} levels")]) from None
    except ValueError:
        raise Malformed([("body", "holds a number with too many digits")]) from None
    check_value(value)
    return value


def check_value(value: Any) -> None:
    """Refuse what JSON can carry and no message may hold."""
    walk = _Walk()
    walk.visit(value, "", 1)
    if walk.faults:
        raise Malformed(walk.faults)


class _Walk:
    """Collects the faults of a value, each with its path."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._count = 0

    def visit(self, value: Any, path: str, depth: int) -> None:
        """Look at a value and all within it."""
        self._count += 1
        if self._count > MAX_VALUES:
            raise Malformed([("body", f"holds more than {MAX_VALUES:,} values")])
        if isinstance(value, dict | list):
            if depth > MAX_DEPTH:
                raise Malformed([(path or "body", f"is nested deeper than {MAX_DEPTH} levels")])
            self._visit_members(value, path, depth)
        elif isinstance(value, str) and not _encodable(value):
            self._fault(path, "must not hold an unpaired surrogate")
        elif isinstance(value, float) and not math.isfinite(value):
            self._fault(path, "must be a finite number")

    def _visit_members(self, value: Any, path: str, depth: int) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value):
                self.visit(item, _join(path, str(index)), depth + 1)
            return
        for key in getattr(value, "duplicates", ()):
            self._fault(_join(path, key), "is given more than once")
        for key, item in value.items():
            if not _encodable(key):
                self._fault(path, "must not hold an unpaired surrogate in a name")
            self.visit(item, _join(path, key), depth + 1)

    def _fault(self, path: str, message: str) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append((path or "body", message))


def _join(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
