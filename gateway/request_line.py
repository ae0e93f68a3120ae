"""What a request may look like before anything is done for it: its target, and the size and number of its headers."""

import re
from urllib.parse import unquote_to_bytes

from starlette.types import Scope

from gateway.problems import HEADERS_TOO_LARGE, MALFORMED_REQUEST, URI_TOO_LONG, Problem

MAX_TARGET = 8_192
"""Bytes of path and query."""
MAX_HEADER_BYTES = 16 * 1024
MAX_HEADERS = 100
MAX_QUERY_FIELDS = 100
VERSIONS = ("1.0", "1.1")

_CLOSING = {"Connection": "close"}
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ABSOLUTE = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)


def check_request(scope: Scope) -> None:
    """Refuse what is too large or malformed; `scope` then has the path that is meant.

    Raises:
        Problem: 400, 414 or 431. Who sends such things gets no second request on the connection.
    """
    if scope["http_version"] not in VERSIONS:
        raise _malformed("speak HTTP/1.1")
    _check_headers(scope["headers"])
    raw_path, query = scope["raw_path"], scope["query_string"]
    if len(raw_path) + len(query) > MAX_TARGET:
        raise Problem(URI_TOO_LONG, f"the limit is {MAX_TARGET:,} bytes", headers=_CLOSING)
    if query.count(b"&") >= MAX_QUERY_FIELDS:
        raise _malformed(f"the query has more than {MAX_QUERY_FIELDS} fields")
    _decode(query, "query")
    # A client may name the host in the target too, as it does to a proxy.
    absolute = _ABSOLUTE.match(raw_path)
    if absolute:
        raw_path = raw_path[absolute.end() :] or b"/"
        scope["raw_path"] = raw_path
    scope["path"] = _decode(raw_path, "path")


def _check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    if len(headers) > MAX_HEADERS:
        raise Problem(HEADERS_TOO_LARGE, f"the limit is {MAX_HEADERS} headers", headers=_CLOSING)
    if sum(len(name) + len(value) + 4 for name, value in headers) > MAX_HEADER_BYTES:
        raise Problem(HEADERS_TOO_LARGE, f"the limit is {MAX_HEADER_BYTES:,} bytes", headers=_CLOSING)
    names = {name for name, _ in headers}
    # Two servers in a row could disagree about where such a body ends, and so about where the next request begins.
    if {b"content-length", b"transfer-encoding"} <= names:
        raise _malformed("a request has either a Content-Length or a Transfer-Encoding")


def _decode(raw: bytes, what: str) -> str:
    """The text that a path or a query stands for."""
    if _BAD_ESCAPE.search(raw):
        raise _malformed(f"the {what} has a percent sign without two hexadecimal digits")
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise _malformed(f"the {what} is not UTF-8") from None
    if "\0" in text:
        raise _malformed(f"the {what} holds a NUL")
    return text


def _malformed(detail: str) -> Problem:
    return Problem(MALFORMED_REQUEST, detail, headers=_CLOSING)
