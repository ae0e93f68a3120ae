"""Who asks: turns an unverified token into a principal, or says why not."""

import asyncio
import time

from sqlalchemy import make_url

from gateway.authorisation import Principal
from gateway.jwks_cache import JwksCache
from gateway.problems import IDENTITY_PROVIDER_UNAVAILABLE, RETRY_SECONDS, Problem
from gateway.revocations import Revocations
from gateway.token_keys import Clock, KeyFolder
from gateway.token_reader import LEEWAY_SECONDS, Issuer, Refused, TokenReader, UnknownKey
from gateway.token_register import TokenRegister
from gateway.token_rules import own_rules, provider_rules
from schema.database import Database
from schema.settings import Settings


class Verifier:
    """The one place where tokens are believed: well signed and in date, not revoked, and known from then on."""

    def __init__(
        self,
        settings: Settings,
        keys: KeyFolder,
        database: Database,
        *,
        jwks: JwksCache | None = None,
        clock: Clock = time.time,
    ) -> None:
        own = Issuer(own_rules(settings), keys)
        provider = [Issuer(provider_rules(settings), jwks)] if jwks else []
        self.jwks = jwks
        self.revocations = Revocations(database, _conninfo(settings))
        self._own_issuer = settings.own_issuer
        self._reader = TokenReader([own, *provider], clock)
        self._register = TokenRegister(database)
        self._clock = clock

    async def authenticate(self, unverified_token: str, request_id: str | None = None) -> Principal | Refused:
        """The principal of a token, or why it has none.

        Raises:
            Problem: 503, it can't be known: the revocations or the identity provider's keys can't be read.
        """
        outcome = await self._read(unverified_token)
        if isinstance(outcome, Refused):
            return outcome
        await self.revocations.require_current()
        if self.revocations.cover(outcome):
            return Refused("the token has been revoked")
        if outcome.issuer == self._own_issuer:
            await self._register.note(outcome, request_id)
        return outcome

    async def run(self) -> None:
        """Keep what it knows fresh, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.revocations.run())
            if self.jwks is not None:
                group.create_task(self.jwks.run())

    def still_good(self, principal: Principal) -> bool:
        """Whether the token of a request that lasts would be believed now."""
        return (
            self._clock() < principal.expires_at + LEEWAY_SECONDS
            and self._reader.knows_key_of(principal)
            and self.revocations.current
            and not self.revocations.cover(principal)
        )

    async def _read(self, unverified_token: str) -> Principal | Refused:
        outcome = self._reader.read(unverified_token)
        if not isinstance(outcome, UnknownKey) or self.jwks is None or outcome.issuer == self._own_issuer:
            return outcome
        # The provider may have changed its keys a moment ago.
        await self.jwks.refresh()
        if not self.jwks.usable:
            headers = {"Retry-After": str(RETRY_SECONDS)}
            raise Problem(IDENTITY_PROVIDER_UNAVAILABLE, "its keys could not be fetched", headers=headers)
        return self._reader.read(unverified_token)


def _conninfo(settings: Settings) -> str:
    url = make_url(settings.database("service")).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)
