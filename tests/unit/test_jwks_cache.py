"""An identity provider's keys: fetched over real HTTP, no more often than need be, and kept through an outage."""

import asyncio
from typing import Any

import pytest

from gateway import jwks_cache
from gateway.jwks_cache import MAX_BYTES, RETRY_SECONDS, STALE_SECONDS, FetchFailed, JwksCache, fetch
from schema.settings import Settings
from tests.support.clock import Clock
from tests.support.identity import IdentityProvider
from tests.unit.test_authentication_provider import provider as provider
from tests.unit.test_authentication_provider import settings as settings


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(settings: Settings, clock: Clock) -> JwksCache:
    return JwksCache(settings, clock=clock)


async def test_a_new_key_is_found_and_a_withdrawn_one_dropped(
    settings: Settings, provider: IdentityProvider, cache: JwksCache, clock: Clock
) -> None:
    await cache.refresh()
    provider.add("k2", "ES256")
    provider.withdraw("k1")
    assert (cache.find("k1") is None, cache.find("k2") is None) == (False, True)

    clock.now += RETRY_SECONDS
    await cache.refresh()

    assert (cache.find("k1") is None, cache.find("k2") is None) == (True, False)


async def test_unknown_keys_have_it_fetched_every_few_seconds_and_not_more(
    provider: IdentityProvider, cache: JwksCache, clock: Clock
) -> None:
    for _ in range(50):
        await cache.refresh()
    assert provider.asked == 1
    clock.now += RETRY_SECONDS
    await asyncio.gather(*(cache.refresh() for _ in range(50)))
    assert provider.asked == 2


async def test_callers_at_once_wait_for_one_fetch_and_one_that_leaves_ends_it_for_none(
    provider: IdentityProvider, cache: JwksCache
) -> None:
    provider.answering.clear()
    first, *others = [asyncio.create_task(cache.refresh()) for _ in range(20)]
    await asyncio.sleep(0)
    first.cancel()
    provider.answering.set()
    await asyncio.gather(*others)

    assert cache.find("k1") is not None
    assert provider.asked == 1


async def test_through_an_outage_the_old_keys_are_kept_but_not_for_ever(
    provider: IdentityProvider, cache: JwksCache, clock: Clock
) -> None:
    await cache.refresh()
    provider.status = 500
    clock.now += STALE_SECONDS
    await cache.refresh()
    assert (cache.usable, cache.find("k1") is None) == (True, False)

    clock.now += RETRY_SECONDS
    await cache.refresh()
    assert (cache.usable, cache.find("k1") is None) == (False, True)

    provider.status = 200
    clock.now += RETRY_SECONDS
    await cache.refresh()
    assert cache.find("k1") is not None


@pytest.mark.parametrize(
    "change",
    [
        {"content": b" " * (MAX_BYTES + 1)},
        {"content": b'{"keys": []}'},
        {"content": b"not JSON"},
        {"status": 302, "headers": {"Location": "/other"}},
        {"status": 404},
        {"headers": {"Content-Encoding": "gzip"}},
    ],
    ids=["huge", "empty", "no JSON", "elsewhere", "gone", "compressed"],
)
async def test_an_answer_that_is_no_key_set_changes_nothing(
    change: dict[str, Any], provider: IdentityProvider, cache: JwksCache, clock: Clock
) -> None:
    await cache.refresh()
    for name, value in change.items():
        setattr(provider, name, value)
    clock.now += RETRY_SECONDS
    await cache.refresh()

    assert provider.asked == 2
    assert cache.find("k1") is not None


async def test_a_slow_answer_is_given_up(provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks_cache, "FETCH_SECONDS", 0.2)
    provider.answering.clear()

    with pytest.raises(FetchFailed, match="TimeoutError"):
        await fetch(provider.url)


async def test_a_provider_that_is_not_there_is_told_as_such(settings: Settings) -> None:
    cache = JwksCache(settings.model_copy(update={"jwks_url": "http://127.0.0.1:1/"}))
    await cache.refresh()
    assert not cache.usable


async def test_it_is_kept_fresh_without_anybody_asking(settings: Settings, provider: IdentityProvider) -> None:
    cache = JwksCache(settings.model_copy(update={"jwks_seconds": 1}))
    running = asyncio.create_task(cache.run())
    async with asyncio.timeout(20):
        while cache.find("k1") is None:  # noqa: ASYNC110 (nothing else tells)
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
