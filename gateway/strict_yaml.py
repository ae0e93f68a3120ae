"""YAML as JSON with nicer clothes: no aliases, no tags, no second document, dates stay text."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from gateway.strict_json import MAX_DEPTH, MAX_VALUES, Malformed, Mapping, check_value, decode_utf8

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # the pure one is the same, only slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

_INTEGER = re.compile(r"[-+]?[0-9]{1,4000}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


def parse_yaml(content: bytes) -> Any:
    """The value of a YAML document, by the core schema of YAML 1.2.

    Raises:
        Malformed: it is not YAML, uses what can hide or blow up a value, or holds what no message may hold.
    """
    text = decode_utf8(content)
    try:
        value = _Builder(yaml.parse(text, Loader=_Loader)).document()
    except yaml.YAMLError as error:
        raise Malformed([("body", f"is not YAML: {_place(error)}")]) from None
    check_value(value)
    return value


def _place(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
    mark = getattr(error, "problem_mark", None)
    return f"{problem}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(problem)


class _Builder:
    """Builds a value from events, so that nothing of YAML's machinery for objects is ever reached."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._count = 0

    def document(self) -> Any:
        """The value of the one document; None where there is none."""
        value = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refuse(event, "must be one document")
                value = self._value(next(self._events), 1)
        return value

    def _value(self, event: Any, depth: int) -> Any:
        self._check(event, depth)
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return list(self._items(depth))
        return Mapping.of_pairs(list(self._pairs(depth)))

    def _items(self, depth: int) -> Iterator[Any]:
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._value(event, depth + 1)

    def _pairs(self, depth: int) -> Iterator[tuple[str, Any]]:
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._check(event, depth)
            if not isinstance(event, yaml.ScalarEvent):
                raise _refuse(event, "names of fields must be text")
            yield event.value, self._value(next(self._events), depth + 1)

    def _check(self, event: Any, depth: int) -> None:
        self._count += 1
        if self._count > 2 * MAX_VALUES:
            raise _refuse(event, f"must not hold more than {MAX_VALUES:,} values")
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refuse(event, "must not use anchors or aliases")
        if event.tag is not None:
            raise _refuse(event, "must not use tags")
        if depth > MAX_DEPTH:
            raise _refuse(event, f"is nested deeper than {MAX_DEPTH} levels")


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # quoted or a block: text, whatever it looks like
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) or _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", "", 1) if _NOT_FINITE.fullmatch(text) else text)
    return text


def _refuse(event: Any, message: str) -> Malformed:
    return Malformed([("body", f"{message}: line {event.start_mark.line + 1}")])
