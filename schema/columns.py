"""Column types whose values are encrypted in the database and clear in the code.

A value is stored as `golden-sealed:KEY_ID:BASE64`, in a JSONB column as a JSON string of that. What does not begin so
was written before there was a key ring, and is read as it is.
"""

import base64
import binascii
import json
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator

from schema.errors import SealBroken
from schema.keyring import KeyRing, Sealed

MARK = "golden-sealed:"

_RINGS: WeakKeyDictionary[Dialect, KeyRing] = WeakKeyDictionary()


def use_ring(dialect: Dialect, ring: KeyRing) -> None:
    """Seal and open the columns of an engine, which its dialect stands for, with `ring`."""
    _RINGS[dialect] = ring


class SealedText(TypeDecorator[str]):
    """Text. `place` is its table and column: a value opens nowhere else."""

    impl = Text
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else seal(_RINGS[dialect], value, self.place)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else unseal(_RINGS[dialect], value, self.place)


class SealedJson(TypeDecorator[Any]):
    """JSON, sealed as a whole: the database can't look into it."""

    impl = JSONB
    cache_ok = True

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else seal(_RINGS[dialect], json.dumps(value), self.place)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, str) or not value.startswith(MARK):
            return value
        return json.loads(unseal(_RINGS[dialect], value, self.place))


def seal(ring: KeyRing, text: str, place: str) -> str:
    """A text as it is stored in the column `place`."""
    sealed = ring.seal(text.encode(), _context(place))
    return f"{MARK}{sealed.key_id}:{base64.b64encode(sealed.content).decode()}"


def unseal(ring: KeyRing, stored: str, place: str) -> str:
    """The text behind a stored value.

    Raises:
        KeyMissing: its key is not in the ring.
        SealBroken: it was changed, or comes from another column.
    """
    if not stored.startswith(MARK):
        return stored
    key_id, _, content = stored.removeprefix(MARK).partition(":")
    try:
        sealed = Sealed(key_id, base64.b64decode(content, validate=True))
    except binascii.Error as error:
        raise SealBroken(f"a value of {place} was changed") from error
    return ring.open(sealed, _context(place)).decode()


def _context(place: str) -> bytes:
    return b"column\0" + place.encode()
