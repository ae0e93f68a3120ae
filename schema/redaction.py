"""Takes secrets out of texts that are about to be logged or shown. The last line of defence: none should get here."""

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
DEEPEST = 8

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    # A URL's password may hold an @ of its own: it ends at the last one before the host.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,30}://[^\s:/?#@\"']{0,200}):[^\s/?#\"']{1,500}@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{2,}(\.[A-Za-z0-9_-]*)?"), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), rf"\1\2{HIDDEN}"),
    (re.compile(r"\b(sk|pk|rk|xai|gsk)-[A-Za-z0-9_-]{8,}"), HIDDEN),
    (
        re.compile(
            r"(?i)\b((?:[a-z0-9]{1,20}[_-]){0,3}(?:password|passwd|pwd|secret|token|api[_-]?key|authorization|cookie))"
            r"(\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?)(?!\[hidden\]|bearer\b|basic\b)[^\s\"'\\,;&}\]]{3,}"
        ),
        rf"\1\2{HIDDEN}",
    ),
    (re.compile(r"(/ui\?code=)[A-Za-z0-9_-]+"), rf"\1{HIDDEN}"),
)
_SECRET_NAME = re.compile(r"(?i)(^|_|-)(password|passwd|secret|token|api_?key|apikey|authorization|cookie)$")


def redact_text(text: str) -> str:
    """The text without bearer tokens, JWTs, passwords in URLs, API keys and private keys."""
    for pattern, kept in _RULES:
        text = pattern.sub(kept, text)
    return text


def redact(value: Any, depth: int = 0) -> Any:
    """A value to log, with every text in it redacted, and what has a secret's name hidden whole."""
    if isinstance(value, str):
        return redact_text(value)
    if depth >= DEEPEST:
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(each, str) and _SECRET_NAME.search(str(name)) else redact(each, depth + 1)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(each, depth + 1) for each in value]
    if isinstance(value, bytes | BaseException):
        return redact_text(str(value))
    return value


def redact_event(_logger: Any, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """A structlog processor: the last before the line is written."""
    redacted: dict[str, Any] = redact(event)
    return redacted
