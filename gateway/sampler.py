"""Keeps what somebody repeats at will from filling a log: so many a minute are told, the others counted."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

WINDOW_SECONDS = 60.0
MOST_KEYS = 10_000

Key = TypeVar("Key", bound=Hashable)


@dataclass
class _Minute:
    began: float
    told: int = 1
    missed: int = 0


class Sampler(Generic[Key]):
    """Says of each occurrence whether it is told; of its own process only."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._minutes: dict[Key, _Minute] = {}

    def admit(self, key: Key) -> int | None:
        """None where this one is only counted, else how many were since the last that was told."""
        now = self._clock()
        minute = self._minutes.get(key)
        if minute is None or now - minute.began >= WINDOW_SECONDS:
            if minute is None and len(self._minutes) >= MOST_KEYS:
                self._forget(now)
            self._minutes[key] = _Minute(now)
            return minute.missed if minute else 0
        if minute.told < self._most:
            minute.told += 1
            return 0
        minute.missed += 1
        return None

    def overdue(self, *, everything: bool = False) -> list[tuple[Key, int]]:
        """What was counted and not told since its minute ended, or until now; counted once."""
        now = self._clock()
        ended = [
            (key, minute.missed)
            for key, minute in self._minutes.items()
            if minute.missed and (everything or now - minute.began >= WINDOW_SECONDS)
        ]
        for key, _ in ended:
            del self._minutes[key]
        return ended

    def _forget(self, now: float) -> None:
        self._minutes = {
            key: minute for key, minute in self._minutes.items() if minute.missed or now - minute.began < WINDOW_SECONDS
        }
