"""The HTTP client for providers: no redirects, and an answer that has an end."""

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2

MAX_ANSWER_BYTES = 8_000_000
"""Unpacked."""

PIECE_BYTES = 65_536
_GZIP_OR_ZLIB = 47
"""zlib's number for: whichever of the two the first bytes say."""


class AnswerTooLarge(httpx2.ReadError):
    """The provider sends more than any answer needs."""


class _Bounded(httpx2.AsyncByteStream):
    """What comes, unpacked where it was packed, as long as it is not too much: a kilobyte may unpack to gigabytes."""

    def __init__(self, stream: httpx2.AsyncByteStream, *, packed: bool) -> None:
        self._stream = stream
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB) if packed else None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._stream:
            for piece in self._pieces(chunk):
                seen += len(piece)
                if seen > MAX_ANSWER_BYTES:
                    raise AnswerTooLarge(f"more than {MAX_ANSWER_BYTES} bytes")
                yield piece

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        if self._unpack is None:
            yield chunk
            return
        try:
            while chunk:
                yield self._unpack.decompress(chunk, PIECE_BYTES)
                chunk = self._unpack.unconsumed_tail
        except zlib.error as error:
            raise httpx2.DecodingError("what says it is packed is not") from error

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "gzip"
        response = await super().handle_async_request(request)
        packing = response.headers.pop("Content-Encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip", "x-gzip", "deflate"):
            await response.aclose()
            raise httpx2.DecodingError(f"answers packed as {packing[:40]!r} are not taken")
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream, packed=packing != "identity")
        return response


def provider_client(timeout: float) -> httpx2.AsyncClient:
    """A client whose requests go where they were sent, and nowhere else: they carry an API key."""
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
    return httpx2.AsyncClient(transport=_Transport(limits=limits), timeout=timeout, follow_redirects=False)
