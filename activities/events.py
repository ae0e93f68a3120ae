"""Events of a task's story, as activities hand them to the store."""

from typing import Any, NamedTuple


class Event(NamedTuple):
    """An event to write with a step's end."""

    name: str
    data: dict[str, Any]
