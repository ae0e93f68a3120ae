"""How often somebody may: one count for all gateways, kept in PostgreSQL by `take_permits` (migration 0005).

A limit is exact: no more than its quota in any 60 seconds, wherever they begin.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from gateway import metrics
from gateway.authorisation import Principal
from gateway.groups import Groups
from gateway.problems import RATE_LIMITED, Problem
from schema.database import Database
from schema.settings import Settings

WINDOW_SECONDS = 60
MOST_BARRED = 10_000
"""How many addresses are remembered that have to wait; PostgreSQL knows them all."""


@dataclass(frozen=True)
class RateLimit:
    """A limit with a name for clients; the settings say how many a minute."""

    name: str
    per_minute: Callable[[Settings], int]


def _failures(settings: Settings) -> int:
    return settings.rate_limits["unauthenticated"]


PRINCIPAL = "principal"
FAILURES = RateLimit("unauthenticated", _failures)
"""Failed authentications of a client address."""


@dataclass(frozen=True)
class Permit:
    """What `take_permit` said.

    Attributes:
        limit: the limit's name.
        remaining: permits that are left now.
        reset_seconds: until the first of those that were taken comes back.
    """

    limit: str
    quota: int
    allowed: bool
    remaining: int
    retry_after_seconds: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers has them."""
        return {
            "RateLimit-Policy": f'"{self.limit}";q={self.quota};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.limit}";r={self.remaining};t={self.reset_seconds}',
        }

    def require(self) -> None:
        """Go on, or 429 with the time after which one more is admitted."""
        if not self.allowed:
            metrics.RATE_LIMITED.labels(self.limit).inc()
            wait = self.retry_after_seconds
            what = "failed authentications" if self.limit == FAILURES.name else "requests"
            detail = f"{self.quota} {what} a minute are let in: try again in {wait} s"
            raise Problem(RATE_LIMITED, detail, headers={"Retry-After": str(wait)})


async def take_permit(database: Database, limit: RateLimit, who: str, quota: int) -> Permit:
    """Take one of the `quota` permits a minute that `who` has, if there is one."""
    async with database.statement() as connection:
        found = await connection.execute(
            text("SELECT * FROM take_permit(:key, :quota)"), {"key": f"{limit.name}:{who}", "quota": quota}
        )
        return Permit(limit.name, quota, **found.one()._mapping)


@dataclass(frozen=True)
class _Entry:
    key: str
    quota: int
    address: str


class Turnstile:
    """Lets principals in as often as their role may, and nobody whose address has failed to authenticate too often.

    One statement a group of requests. A request without a good token costs the database something only until its
    address has used up its failures; then it is refused here, without a look at the token. What other gateways have
    counted for an address is looked at where the principal's permit is taken, so that a token that is guessed right
    after too many failures is not let in either, by whichever gateway.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._limits = settings.rate_limits
        self._most_failures = FAILURES.per_minute(settings)
        self._database = database
        self._permits: Groups[_Entry, Permit] = Groups(self._take)
        self._barred: dict[str, float] = {}

    def refuse(self, address: str) -> Permit | None:
        """The refusal of an address that is known here to have failed too often."""
        until = self._barred.get(address)
        if until is None:
            return None
        wait = until - time.monotonic()
        if wait > 0:
            return self._refusal(math.ceil(wait))
        del self._barred[address]
        return None

    async def count_failure(self, address: str) -> Permit:
        """Count a failed authentication; one too many bars the address."""
        permit = await take_permit(self._database, FAILURES, address, self._most_failures)
        if not permit.allowed:
            self._bar(address, permit.retry_after_seconds)
        return permit

    async def enter(self, principal: Principal, address: str) -> Permit:
        """A permit of the principal, or of its address where that is barred; allowed or not."""
        key = f"{PRINCIPAL}:{principal.tenant}:{principal.sub}"
        permit = await self._permits.do(_Entry(key, self._limits[principal.role], address))
        if permit.limit == FAILURES.name:
            self._bar(address, permit.retry_after_seconds)
        return permit

    async def close(self) -> None:
        """Finish what is under way."""
        await self._permits.close()

    async def _take(self, entries: Sequence[_Entry]) -> Sequence[Permit]:
        async with self._database.statement() as connection:
            found = await connection.execute(
                text("SELECT * FROM take_permits(:keys, :quotas, :failures, :most) ORDER BY place"),
                {
                    "keys": [entry.key for entry in entries],
                    "quotas": [entry.quota for entry in entries],
                    "failures": [f"{FAILURES.name}:{entry.address}" for entry in entries],
                    "most": self._most_failures,
                },
            )
            rows = found.all()
        return [
            self._refusal(row.barred_seconds)
            if row.barred_seconds
            else Permit(PRINCIPAL, entry.quota, row.allowed, row.remaining, row.retry_after_seconds, row.reset_seconds)
            for entry, row in zip(entries, rows, strict=True)
        ]

    def _refusal(self, wait: int) -> Permit:
        return Permit(FAILURES.name, self._most_failures, False, 0, wait, wait)

    def _bar(self, address: str, seconds: int) -> None:
        now = time.monotonic()
        if len(self._barred) >= MOST_BARRED:
            self._barred = {each: until for each, until in self._barred.items() if until > now}
        if len(self._barred) < MOST_BARRED:
            self._barred[address] = now + seconds
