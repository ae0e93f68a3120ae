"""Which of the forms that a route has a client wants, by its `Accept` (RFC 9110, §12.5.1)."""

import re
from collections.abc import Iterable, Sequence

from starlette.requests import Request

from gateway.problems import NOT_ACCEPTABLE, Problem

JSON = "application/json"
MAX_ACCEPT = 2_000

_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def wanted(request: Request, offered: Sequence[str]) -> str:
    """The media type to answer with: the one that the client likes best, of equals the first of `offered`.

    Raises:
        Problem: 406, the client takes none of them.
    """
    given = ",".join(request.headers.getlist("accept"))
    best = choose(given, offered)
    if best is None:
        raise Problem(NOT_ACCEPTABLE, f"there is {' and '.join(offered)}: name one of them in Accept")
    return best


def choose(accept: str, offered: Sequence[str]) -> str | None:
    """The best of `offered` by the value of an `Accept`; None where none of them is taken."""
    if not accept.strip() or len(accept) > MAX_ACCEPT:
        return offered[0]
    ranges = list(_ranges(accept))
    # `max` keeps the first of equals.
    best = max(offered, key=lambda media_type: _quality(media_type, ranges))
    return best if _quality(best, ranges) > 0 else None


def _ranges(accept: str) -> Iterable[tuple[str, float]]:
    """Each media range with its quality; one whose quality can't be read is left out."""
    for part in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if media_range and _QUALITY.fullmatch(quality):
            yield media_range, float(quality)


def _quality(media_type: str, ranges: Sequence[tuple[str, float]]) -> float:
    """What the most particular range that fits says: `image/svg+xml`, then `image/*`, then `*/*`."""
    for fitting in (media_type, f"{media_type.split('/')[0]}/*", "*/*"):
        found = [quality for media_range, quality in ranges if media_range == fitting]
        if found:
            return max(found)
    return 0.0
