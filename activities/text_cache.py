"""What this process has read of texts and specs. Texts never change under their digest, so what was read stays true."""

from collections import OrderedDict
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncConnection

from schema.database import Database
from schema.messages.candidate import spec_of
from schema.messages.task import TaskSpec
from schema.texts import get_texts

LIMIT_CHARACTERS = 16_000_000

Value = TypeVar("Value")
Key = tuple[str, str]
"""A tenant and a digest: nobody is answered from what another tenant stored."""


class Remembered(Generic[Value]):
    """Values behind texts, up to so many characters of these; the longest unused are forgotten first."""

    def __init__(self, limit: int = LIMIT_CHARACTERS) -> None:
        self._limit = limit
        self._size = 0
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: Key, value: Value, size: int) -> None:
        if size > self._limit or key in self._values:
            return
        self._values[key] = (value, size)
        self._size += size
        while self._size > self._limit:
            self._size -= self._values.popitem(last=False)[1][1]


class TextCache:
    """Texts and the specs among them, read through."""

    def __init__(self) -> None:
        self._texts: Remembered[str] = Remembered()
        self._specs: Remembered[TaskSpec] = Remembered()

    async def texts(self, connection: AsyncConnection, tenant: str, *digests: str | None) -> list[str | None]:
        """As `get_texts`, which is asked for what isn't known."""
        missing = [digest for digest in digests if digest is not None and self._texts.get((tenant, digest)) is None]
        read = await get_texts(connection, tenant, *missing) if missing else []
        found = dict(zip(missing, read, strict=True))
        for digest, body in found.items():
            self._texts.put((tenant, digest), body or "", len(body or ""))
        return [None if each is None else found.get(each) or self._texts.get((tenant, each)) for each in digests]

    def known(self, tenant: str, *digests: str | None) -> list[str | None] | None:
        """The texts, if all of them are known."""
        found = [None if each is None else self._texts.get((tenant, each)) for each in digests]
        whole = all(text is not None or digest is None for text, digest in zip(found, digests, strict=True))
        return found if whole else None

    def remember(self, tenant: str, digest: str, body: str) -> None:
        """A text that was just stored."""
        self._texts.put((tenant, digest), body, len(body))

    def spec(self, tenant: str, digest: str, body: str) -> TaskSpec:
        """What was submitted, from its text: to check it again takes longer than to read it."""
        spec = self._specs.get((tenant, digest))
        if spec is None:
            spec = spec_of(body)
            self._specs.put((tenant, digest), spec, len(body))
        return spec


_CACHES: WeakKeyDictionary[Database, TextCache] = WeakKeyDictionary()


def cache_of(database: Database) -> TextCache:
    """The one cache of a database."""
    return _CACHES.setdefault(database, TextCache())
