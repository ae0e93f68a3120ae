"""Messages between the worker and the runner: four bytes of length, then JSON. Standard library only."""

import base64
import json
import os
import struct
from typing import Any

PREFIX = struct.Struct(">I")
PROTOCOL = 3
"""Said in the runner's hello; raise it when a job or an answer changes its shape."""
CHUNKS = "chunks"
"""The key of a message with what the candidate wrote, of which any number come before the answer."""
CROWD = "crowd"
"""Among the chunks, of no pipe: how many processes there are, told when they come to be many."""
WITH_GUARDS = "guards"
"""The runner's argument where it is to load the guards ahead."""
FINDINGS = "findings"
"""Among the chunks, of no pipe: what the guards found, as JSON, told before the candidate runs."""
MAX_JOB = 32 * 1024 * 1024
MAX_ANSWER = 16 * 1024 * 1024


class FrameError(Exception):
    """The other side sent something that is no frame, or one that is too large."""


def pack(message: dict[str, Any], limit: int) -> bytes:
    """One message as bytes for the wire."""
    body = json.dumps(message).encode()
    if len(body) > limit:
        raise FrameError(f"the message has {len(body):,} bytes, the limit is {limit:,}")
    return PREFIX.pack(len(body)) + body


def body_size(prefix: bytes, limit: int) -> int:
    """How many bytes follow this prefix."""
    (size,) = PREFIX.unpack(prefix)
    if size > limit:
        raise FrameError(f"a message of {size:,} bytes was announced, the limit is {limit:,}")
    return int(size)


def unpack(body: bytes) -> dict[str, Any]:
    """The message in a frame's body."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"the message is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise FrameError("the message is not a JSON object")
    return message


def pack_chunks(chunks: dict[str, bytes]) -> dict[str, Any]:
    """What was read from the candidate's pipes, by their names, as a message."""
    return {CHUNKS: {name: base64.b64encode(data).decode() for name, data in chunks.items()}}


def unpack_chunks(message: dict[str, Any]) -> dict[str, bytes]:
    """What the candidate wrote, from a message; FrameError when it is not of that shape."""
    try:
        return {name: base64.b64decode(text, validate=True) for name, text in message[CHUNKS].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FrameError(f"the message has no chunks: {error}") from error


def read(descriptor: int, limit: int) -> dict[str, Any] | None:
    """The next message from a descriptor; None when the other side is gone."""
    prefix = _read_exactly(descriptor, PREFIX.size)
    if prefix is None:
        return None
    body = _read_exactly(descriptor, body_size(prefix, limit))
    return None if body is None else unpack(body)


def write(descriptor: int, message: dict[str, Any], limit: int) -> None:
    """Send one message to a descriptor."""
    rest = memoryview(pack(message, limit))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
