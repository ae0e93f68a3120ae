"""The HTTP client for providers: no redirects, and an answer that has an end."""

from collections.abc import AsyncIterator

import httpx2

MAX_ANSWER_BYTES = 8_000_000


class AnswerTooLarge(httpx2.ReadError):
    """The provider sends more than any answer needs."""


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self._stream:
            seen += len(chunk)
            if seen > MAX_ANSWER_BYTES:
                raise AnswerTooLarge(f"more than {MAX_ANSWER_BYTES} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Transport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        # What is packed could unpack to any size.
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Bounded(response.stream)
        return response


def provider_client(timeout: float) -> httpx2.AsyncClient:
    """A client whose requests go where they were sent, and nowhere else: they carry an API key."""
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
    return httpx2.AsyncClient(transport=_Transport(limits=limits), timeout=timeout, follow_redirects=False)
