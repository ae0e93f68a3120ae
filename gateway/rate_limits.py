"""How often somebody may: one count for all gateways, kept in PostgreSQL by `take_permit` (migration 0002).

A limit is exact: no more than its quota in any 60 seconds, wherever they begin.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from gateway.problems import RATE_LIMITED, Problem
from schema.database import Database
from schema.settings import Settings

WINDOW_SECONDS = 60


@dataclass(frozen=True)
class RateLimit:
    """A limit with a name for clients; the settings say how many a minute."""

    name: str
    per_minute: Callable[[Settings], int]


@dataclass(frozen=True)
class Permit:
    """What `take_permit` said.

    Attributes:
        remaining: permits that are left now.
        reset_seconds: until the first of those that were taken comes back.
    """

    limit: RateLimit
    quota: int
    allowed: bool
    remaining: int
    retry_after_seconds: int
    reset_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """As draft-ietf-httpapi-ratelimit-headers has them."""
        return {
            "RateLimit-Policy": f'"{self.limit.name}";q={self.quota};w={WINDOW_SECONDS}',
            "RateLimit": f'"{self.limit.name}";r={self.remaining};t={self.reset_seconds}',
        }

    def require(self) -> None:
        """Go on, or 429 with the time after which one more is admitted."""
        if not self.allowed:
            wait = self.retry_after_seconds
            detail = f"{self.quota} a minute are let in: try again in {wait} s"
            raise Problem(RATE_LIMITED, detail, headers={"Retry-After": str(wait)})


async def take_permit(database: Database, limit: RateLimit, who: str, quota: int) -> Permit:
    """Take one of the `quota` permits a minute that `who` has, if there is one."""
    async with database.service() as connection:
        found = await connection.execute(
            text("SELECT * FROM take_permit(:key, :quota)"), {"key": f"{limit.name}:{who}", "quota": quota}
        )
        return Permit(limit, quota, **found.one()._mapping)
