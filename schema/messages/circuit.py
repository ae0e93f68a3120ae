"""The circuits of model providers, as the HTTP API shows them."""

from enum import StrEnum

from pydantic import AwareDatetime

from schema.messages.base import Message


class CircuitState(StrEnum):
    """Whether calls go out. Half-open: one of them does, in the whole fleet."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"
    PAUSED = "paused"


class CircuitView(Message):
    """A circuit as it acts now: half-open from the moment on at which a probe may go out.

    Attributes:
        calls, failures, slow, opened_total: since it was first seen.
        retry_at: until then no call goes out, where it is open or paused.
        worker: which worker brought it into its state, or holds its probe.
    """

    circuit: str
    state: CircuitState
    since: AwareDatetime
    calls: int
    failures: int
    slow: int
    opened_total: int
    retry_at: AwareDatetime | None
    worker: str | None


class CircuitPage(Message):
    """One page of circuits, by name."""

    items: tuple[CircuitView, ...]
    next_cursor: str | None


class CircuitChange(Message):
    """A circuit went from one state to another, because of what a worker saw."""

    at: AwareDatetime
    circuit: str
    from_state: CircuitState
    to_state: CircuitState
    cause: str
    worker: str


class CircuitChangePage(Message):
    """One page of changes, newest first."""

    items: tuple[CircuitChange, ...]
    next_cursor: int | None
