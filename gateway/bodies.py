"""Request bodies: read under a hard cap, parsed strictly, and made into the message that the route takes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from gateway.problems import (
    MALFORMED_REQUEST,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    faults_of,
    invalid,
)
from gateway.strict_json import Malformed, parse_json
from gateway.strict_yaml import parse_yaml

MAX_BODY = 1_572_864
READ_SECONDS = 30.0
DISCARD_SECONDS = 2.0
DISCARD_BYTES = 16 * 1024 * 1024
INLINE_BYTES = 32 * 1024
"""Larger bodies are parsed beside the event loop."""

JSON_TYPES = frozenset({"application/json"})
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml"})

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, model: type[Body], *, optional: bool = False) -> Body:
    """The validated body of a request; where it is optional, a request without one has an empty one.

    Raises:
        Problem: 408, 413, 415 or 422.
    """
    if optional and _is_absent(request):
        return validate({}, model)
    media_type = _media_type(request)
    content = await _read_capped(request)
    if len(content) <= INLINE_BYTES:
        return parse_body(content, media_type, model)
    return await asyncio.to_thread(parse_body, content, media_type, model)


def parse_body(content: bytes, media_type: str, model: type[Body]) -> Body:
    """A message from the bytes of a JSON or YAML text.

    Raises:
        Problem: 422, naming every field that is wrong.
    """
    try:
        value = parse_yaml(content) if media_type in YAML_TYPES else parse_json(content)
    except Malformed as error:
        raise invalid(error.faults) from None
    return validate(value, model)


def validate(value: Any, model: type[Body]) -> Body:
    """A message from a parsed value, by the rules for JSON: 3 is no text and "3" no number.

    Raises:
        Problem: 422, naming every field that is wrong.
    """
    if not isinstance(value, dict):
        raise invalid([("body", "must be a mapping of fields")])
    try:
        return model.model_validate_json(json.dumps(value, ensure_ascii=False))
    except ValidationError as error:
        raise invalid(faults_of(error)) from None


def _is_absent(request: Request) -> bool:
    headers = request.headers
    return headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers


def _media_type(request: Request) -> str:
    media_type, _, parameters = request.headers.get("content-type", "").lower().partition(";")
    media_type = media_type.strip()
    if media_type not in JSON_TYPES | YAML_TYPES:
        raise Problem(UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json or application/yaml")
    charset = parameters.partition("charset=")[2].strip(' "')
    if charset not in ("", "utf-8", "utf8"):
        raise Problem(UNSUPPORTED_MEDIA_TYPE, "the charset must be UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(UNSUPPORTED_MEDIA_TYPE, "compressed bodies are not taken: leave Content-Encoding out")
    return media_type


async def _read_capped(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    announced = int(length) if length.isdecimal() and len(length) < 20 else 0
    content = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            chunks = request.stream()
            async for chunk in chunks:
                content += chunk
                if max(len(content), announced) > MAX_BODY:
                    await _discard(chunks)
                    # What may be left of the body is not read, so that the connection can't be used again.
                    closing = {"Connection": "close"}
                    raise Problem(TOO_LARGE, f"the limit is {MAX_BODY:,} bytes", headers=closing)
    except TimeoutError:
        closing = {"Connection": "close"}
        raise Problem(REQUEST_TIMEOUT, f"send the body within {READ_SECONDS:.0f} s", headers=closing) from None
    except ClientDisconnect:
        raise Problem(MALFORMED_REQUEST, "the body ended early") from None
    return bytes(content)


async def _discard(chunks: AsyncIterator[bytes]) -> None:
    """Take a while what is still coming: a client that is cut off while it sends never reads why."""
    discarded = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            async for chunk in chunks:
                discarded += len(chunk)
                if discarded > DISCARD_BYTES:
                    return
