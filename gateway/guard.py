"""The one way from a request to a handler: each refusal has its place, and they come in the order of design §4."""

from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.authorisation import EVERY_TENANT, Denied, Permission, Principal, decide
from gateway.bodies import read_body
from gateway.client_address import client_address
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import FORBIDDEN, UNAUTHENTICATED, Problem, faults_of, invalid
from gateway.rate_limits import RateLimit, take_permit
from gateway.services import Call, Services
from gateway.values import read_bearer, read_idempotency_key
from schema.messages.base import Message, Tenant

TENANT_HEADER = "Golden-Tenant"


class _TenantName(Message):
    tenant: Tenant


async def serve(operation: Operation, request: Request, services: Services) -> Response:
    """Answer a request: 429 by address, 401, 403, 413 and 415, 422, 404, 409, and only then the act."""
    if operation.address_limit is not None:
        await _take_permit(operation.address_limit, request, services)
    principal = await _authenticate(request, services)
    _require(principal, operation.permission)
    body = await read_body(request, operation.takes) if operation.takes else None
    call = Call(
        services=services,
        request=request,
        principal=principal,
        tenant=_tenant_of(principal, request),
        idempotency_key=read_idempotency_key(request.headers) if KEY_HEADER in operation.headers else None,
        given_query=_read_query(request, operation.query),
        given_body=body,
    )
    if operation.owner is not None:
        _require(principal, operation.permission, owner=await operation.owner(call))
    return await operation.handler(call)


async def _take_permit(limit: RateLimit, request: Request, services: Services) -> None:
    """Count this request for its client address; what is left is told with every answer to it."""
    forwarded = request.headers.getlist("x-forwarded-for")
    peer = request.client.host if request.client else None
    address = client_address(forwarded, peer, services.settings.trusted_proxies)
    permit = await take_permit(services.database, limit, address, limit.per_minute(services.settings))
    request.state.headers = permit.headers
    permit.require()


async def _authenticate(request: Request, services: Services) -> Principal:
    unverified_token = read_bearer(request.headers)
    if unverified_token is None:
        raise _unauthenticated("send one header Authorization: Bearer TOKEN", "")
    outcome = await services.verifier.authenticate(unverified_token, request.state.request_id)
    if isinstance(outcome, Principal):
        return outcome
    raise _unauthenticated(outcome.reason, ', error="invalid_token"')


def _unauthenticated(detail: str, error: str) -> Problem:
    return Problem(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": f'Bearer realm="golden"{error}'})


def _require(principal: Principal, permission: Permission, *, owner: str | None = None) -> None:
    """The only caller of `decide`: first by role, then by owner as soon as that is known."""
    outcome = decide(principal, permission, owner=owner)
    if isinstance(outcome, Denied):
        raise Problem(FORBIDDEN, outcome.reason)


def _tenant_of(principal: Principal, request: Request) -> str:
    named = request.headers.getlist(TENANT_HEADER)
    if principal.tenant != EVERY_TENANT:
        if named and named != [principal.tenant]:
            raise Problem(FORBIDDEN, f"the token is for the tenant {principal.tenant} only")
        return principal.tenant
    if len(named) != 1:
        raise invalid([(TENANT_HEADER, "is required once: a token for every tenant must say which one is meant")])
    try:
        return _TenantName(tenant=named[0]).tenant
    except ValidationError:
        raise invalid([(TENANT_HEADER, "must be lower-case letters, digits and hyphens, at most 63")]) from None


def _read_query(request: Request, model: type[BaseModel]) -> BaseModel:
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            raise invalid([(name, "is given more than once")])
        values[name] = value
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(faults_of(error)) from None
