"""The trace id of a request: only that of a valid W3C `traceparent`."""

import pytest
from starlette.datastructures import Headers

from gateway.values import read_trace_id

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def read(*values: str) -> str | None:
    return read_trace_id(Headers(raw=[(b"traceparent", value.encode()) for value in values]))


@pytest.mark.parametrize(
    "value", [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00", f"cc-{TRACE}-{PARENT}-01-more"]
)
def test_a_valid_one_is_read(value: str) -> None:
    assert read(value.format(TRACE, PARENT)) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACE,
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE[1:]}-{PARENT}-01",
    ],
)
def test_any_other_is_none(value: str) -> None:
    assert read(value) is None


def test_two_are_none() -> None:
    assert read(f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01") is None


def test_there_need_be_none() -> None:
    assert read() is None
