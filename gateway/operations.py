"""What a route is: one method on one path, with its permission and the messages that it takes and gives."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from gateway.authorisation import Permission
from gateway.problems import ProblemKind
from gateway.rate_limits import RateLimit
from gateway.services import Call, Services
from schema.messages.base import Message

Handler = Callable[[Call], Awaitable[Response]]
PublicHandler = Callable[[Request, Services], Awaitable[Response]]
FindOwner = Callable[[Call], Awaitable[str]]

KEY_HEADER = "Idempotency-Key"


class NoQuery(Message):
    """A route without a query takes none, so that a misspelt one is told."""


@dataclass(frozen=True)
class Operation:
    """A route for principals.

    Attributes:
        action: what the audit log calls it; the permission's name if not said.
        forms: media types that `Accept` may name beside `media_type` (gateway/negotiation.py).
        body_optional: no body is as good as an empty one, where it takes one.
        platform: a principal of every tenant may ask it about the platform itself, which is named `*`.
        address_limit: how often one client address may, whoever it says it is.
        owner: finds who submitted what the route acts on, where the decision depends on it.
        problems: what it may answer beyond what every route may.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    permission: Permission
    handler: Handler
    summary: str
    status: int = 200
    returns: type[BaseModel] | None = None
    media_type: str = "application/json"
    forms: tuple[str, ...] = ()
    takes: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] = NoQuery
    headers: tuple[str, ...] = ()
    address_limit: RateLimit | None = None
    owner: FindOwner | None = None
    problems: tuple[ProblemKind, ...] = ()
    action: str = ""
    platform: bool = False

    @property
    def act(self) -> str:
        """What the audit log calls it."""
        return self.action or self.permission.replace(":", ".")


@dataclass(frozen=True)
class PublicOperation:
    """A route for everybody; it shows nothing that belongs to anybody.

    Attributes:
        media_type: of the answer; none where it has no body.
        query: the names of what it takes there.
    """

    path: str
    handler: PublicHandler
    summary: str
    status: int = 200
    media_type: str | None = "application/json"
    query: tuple[str, ...] = ()
    problems: tuple[ProblemKind, ...] = ()
    method: Literal["GET"] = "GET"


def answer(model: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A message as a JSON response."""
    return Response(model.model_dump_json(), status, headers, media_type="application/json")
