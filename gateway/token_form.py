"""What a token must look like before anything in it is looked up: three canonical segments of strict JSON."""

import base64
import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from gateway.strict_json import Malformed, parse_json

LONGEST_TOKEN = 8_192

_COMPACT = re.compile(r"[A-Za-z0-9_-]{2,}(?:\.[A-Za-z0-9_-]{2,}){2}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_NAME = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class UnverifiedToken:
    """The parts of a token that may have been written by anybody."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def kid(self) -> str:
        """The key that it says has signed it; `read_form` has made sure that it says so."""
        return str(self.header["kid"])


def read_form(unverified_text: str) -> UnverifiedToken | None:
    """The parts of a JWS in compact form whose header names an algorithm and a key; None for anything else."""
    if len(unverified_text) > LONGEST_TOKEN or not _COMPACT.fullmatch(unverified_text):
        return None
    segments = [decode_base64url(segment) for segment in unverified_text.split(".")]
    header, claims = (_read_object(content) for content in segments[:2])
    if header is None or claims is None or segments[2] is None:
        return None
    if not isinstance(header.get("alg"), str) or not is_name(header.get("kid")):
        return None
    return UnverifiedToken(unverified_text, header, claims)


def is_name(value: object) -> TypeGuard[str]:
    """Whether it can be the id of a key or a token: 1 to 200 visible ASCII characters."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def decode_base64url(segment: str) -> bytes | None:
    """The bytes of a text that is the only one for them; None for any other text."""
    if len(segment) % 4 == 1 or not _BASE64URL.fullmatch(segment):
        return None
    content = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    # Bits that decoding drops would make two texts of one token.
    canonical = base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    return content if canonical == segment else None


def _read_object(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        value = parse_json(content)
    except Malformed:
        return None
    return value if isinstance(value, dict) else None
