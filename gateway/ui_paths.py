"""Which paths of the Temporal UI are passed on.

Temporal's server decodes a path more than once and resolves its dots, so that what is decided on a decoded path is not
what is then done. Here the path is judged as it was sent, and whatever could mean something else further on is refused.
"""

import re
from urllib.parse import unquote

from gateway.problems import MALFORMED_REQUEST, Problem

UI = "/ui/"

_IN_AN_ID = r"(?:[A-Za-z0-9_.~!*'()@:,=+-]|%(?:25)?(?:20|2B|2C|2F|3A|3D|40))+"
_QUERY = re.compile(
    rf"/ui/api/v1/namespaces/[^/%]+/workflows/{_IN_AN_ID}/query/[A-Za-z0-9_.-]+", re.ASCII | re.IGNORECASE
)
"""As the UI asks: it encodes an id once or, for old servers, twice. An escaped `?` or `#` could cut the path short."""
_HAS_AN_ID = re.compile(r"/ui/(?:api/v1/)?namespaces/[^/]+/(?:workflows|schedules|task-queues)/")
_ROUNDS = 3
"""How often a path could be decoded on its way: by us, by Temporal's UI server and by its gateway to gRPC."""


def is_query(path: str) -> bool:
    """Whether a POST to this is a workflow's query, the only one that changes nothing."""
    return _QUERY.fullmatch(path) is not None


def check_path(path: str) -> None:
    """400 for what a server further on could read in another way; `path` is as it was sent."""
    if not path.startswith(UI) or "//" in path or not path.isascii():
        raise _ambiguous()
    found = _HAS_AN_ID.match(path)
    before = path[: found.end()] if found else path
    an_id, _, after = path[len(before) :].partition("/")
    others = [_decoded(segment) for segment in [*before.split("/"), *after.split("/")]]
    if any("/" in segment for segment in others):
        raise _ambiguous()
    for segment in [*others, *_decoded(an_id).split("/")]:
        if "\\" in segment or segment in (".", ".."):
            raise _ambiguous()


def _decoded(segment: str) -> str:
    for _ in range(_ROUNDS):
        segment = unquote(segment)
    return segment


def _ambiguous() -> Problem:
    return Problem(MALFORMED_REQUEST, "a path of the Temporal UI has no dot segments, backslashes, or escaped slashes")
