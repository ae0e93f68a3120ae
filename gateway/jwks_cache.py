"""An identity provider's keys as they were fetched last: with limits, one fetch at a time, and not for ever."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx
import structlog

from gateway.jwks import parse_jwks
from gateway.strict_json import Malformed
from gateway.token_keys import Clock, VerifyingKey
from schema.identity_settings import is_loopback
from schema.settings import Settings

FETCH_SECONDS = 5.0
MAX_BYTES = 64 * 1_024
RETRY_SECONDS = 5.0
"""Between two fetches, whatever unknown keys tokens name."""
STALE_SECONDS = 3_600.0
"""How long keys are believed that can't be fetched again."""

Fetch = Callable[[str], Awaitable[bytes]]

log = structlog.get_logger(__name__)


class FetchFailed(Exception):
    """The provider didn't answer with a document of a sensible size in time."""


async def fetch(url: str) -> bytes:
    """The content at `url`.

    Raises:
        FetchFailed: it took too long, is too large, redirects, is compressed or isn't there.
    """
    # A proxy of the environment has no business between a machine and itself.
    trusting = not is_loopback(urlsplit(url).hostname or "")
    headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
    try:
        async with (
            asyncio.timeout(FETCH_SECONDS),
            httpx.AsyncClient(trust_env=trusting, headers=headers, follow_redirects=False) as client,
            client.stream("GET", url) as response,
        ):
            return await _read(response)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        raise FetchFailed(type(error).__name__) from None


async def _read(response: httpx.Response) -> bytes:
    if response.status_code != httpx.codes.OK:
        raise FetchFailed(f"status {response.status_code}")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchFailed("compressed")
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > MAX_BYTES:
            raise FetchFailed(f"more than {MAX_BYTES:,} bytes")
    return bytes(content)


class JwksCache:
    """The keys of `settings.jwks_url` by `kid`; `run` fetches them again before they are old."""

    def __init__(self, settings: Settings, fetch: Fetch = fetch, clock: Clock = time.monotonic) -> None:
        if settings.jwks_url is None:
            raise ValueError("there is no identity provider")
        self._url = settings.jwks_url
        self._algorithms = settings.algorithms
        self._seconds = settings.jwks_seconds
        self._fetch = fetch
        self._clock = clock
        self._keys: dict[str, VerifyingKey] = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether it knows the provider's keys, as of not too long ago."""
        return self._fetched_at is not None and self._clock() - self._fetched_at <= STALE_SECONDS

    def find(self, unverified_kid: str) -> VerifyingKey | None:
        """The key of that id, as last fetched."""
        return self._keys.get(unverified_kid) if self.usable else None

    async def refresh(self) -> None:
        """Fetch again, unless that was done a moment ago; callers that come meanwhile wait for the same fetch."""
        if self._fetching is None:
            if self._tried_at is not None and self._clock() - self._tried_at < RETRY_SECONDS:
                return
            self._tried_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch_keys())
        # One caller that leaves must not end the fetch of the others.
        await asyncio.shield(self._fetching)

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        try:
            while True:
                await self.refresh()
                fresh = self._fetched_at is not None and self._fetched_at == self._tried_at
                await asyncio.sleep(self._seconds if fresh else RETRY_SECONDS)
        finally:
            if self._fetching is not None:
                self._fetching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._fetching

    async def _fetch_keys(self) -> None:
        try:
            content = await self._fetch(self._url)
            keys = parse_jwks(content, self._algorithms)
            if not keys:
                raise FetchFailed("not one usable key")
        except (FetchFailed, Malformed) as error:
            log.warning("the identity provider's keys could not be fetched", reason=str(error))
        else:
            self._keys, self._fetched_at = keys, self._tried_at
        finally:
            self._fetching = None
