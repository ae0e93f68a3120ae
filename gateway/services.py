"""What the handlers of the gateway work with, made once and handed to each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import httpx
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from temporalio.client import Client

from gateway.authentication import Verifier
from gateway.authorisation import EVERY_TENANT, Principal
from gateway.feed import EventFeed
from gateway.messenger import Messenger
from gateway.rate_limits import Turnstile
from gateway.token_keys import KeyFolder
from gateway.values import read_task_id
from schema.database import Database
from schema.settings import Settings

if TYPE_CHECKING:
    from gateway.audit import AuditLog  # which works with a `Call`

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Services:
    """The ways out of the gateway."""

    settings: Settings
    database: Database
    temporal: Client
    keys: KeyFolder
    verifier: Verifier
    feed: EventFeed
    messenger: Messenger
    temporal_ui: httpx.AsyncClient
    turnstile: Turnstile
    audit: "AuditLog"


@dataclass(frozen=True)
class Call:
    """One request of a principal who may make it; `tenant` is the one tenant that it is about.

    Attributes:
        action: what the audit log calls it.
    """

    services: Services
    request: Request
    principal: Principal
    tenant: str
    action: str
    idempotency_key: str | None
    given_query: BaseModel | None
    given_body: BaseModel | None

    @property
    def task_id(self) -> UUID:
        """The task that the path names; 404 for what can't be one."""
        return read_task_id(self.request.path_params["task_id"])

    def body(self, model: type[Model]) -> Model:
        """The body, which the route declares to be a `model`."""
        if not isinstance(self.given_body, model):
            raise TypeError(f"the route does not take a {model.__name__}")
        return self.given_body

    def query(self, model: type[Model]) -> Model:
        """The query, which the route declares to be a `model`."""
        if not isinstance(self.given_query, model):
            raise TypeError(f"the route has no query {model.__name__}")
        return self.given_query


@asynccontextmanager
async def way_in(call: Call) -> AsyncIterator[AsyncConnection]:
    """A transaction of the tenant's own; what is the platform's is the service's alone."""
    database = call.services.database
    way = database.service() if call.tenant == EVERY_TENANT else database.tenant(call.tenant)
    async with way as connection:
        yield connection
