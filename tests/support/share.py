"""A share of a large corpus, so that every run is quick and each of its items has its turn by `make whole`."""

import os
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def share(items: Iterable[Item], of: int, start: int = 0) -> list[Item]:
    """Every `of`-th item from `start` on; all of them where GOLDEN_WHOLE is set."""
    return list(items) if os.environ.get("GOLDEN_WHOLE") else list(items)[start % of :: of]
