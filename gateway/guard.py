"""The one way from a request to a handler: each refusal has its place, and they come in the order of design §4."""

from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from gateway.audit import Witness
from gateway.authorisation import EVERY_TENANT, Denied, Permission, Principal, decide
from gateway.bodies import read_body
from gateway.client_address import client_address
from gateway.erased import refuse_erased
from gateway.operations import KEY_HEADER, Operation
from gateway.problems import FORBIDDEN, INTERNAL_ERROR, NOT_FOUND, UNAUTHENTICATED, Problem, faults_of, invalid
from gateway.rate_limits import Permit, take_permit
from gateway.services import Call, Services
from gateway.values import read_bearer, read_idempotency_key
from schema.messages.base import Message, Tenant

TENANT_HEADER = "Golden-Tenant"


class _TenantName(Message):
    tenant: Tenant


async def serve(operation: Operation, request: Request, services: Services) -> Response:
    """Answer a request: 429 by address, 401, 429 by principal, 403, 413 and 415, 422, 404, 409, then the act."""
    address = address_of(request, services)
    try:
        await _limit_address(operation, request, services, address)
        principal = await _authenticate(request, services, address)
    except Problem as problem:
        if problem.kind.status < INTERNAL_ERROR.status:
            await services.audit.tell_unknown(request, address, problem)
        raise
    witness = Witness(services.audit, request, principal, operation.act)
    try:
        permit = await services.turnstile.enter(principal, address)
        _count(request, permit)
        response = await _answer(operation, request, services, principal, witness)
    except Exception as error:
        await witness.failed(error)
        raise
    await witness.answered()
    return response


async def _answer(
    operation: Operation, request: Request, services: Services, principal: Principal, witness: Witness
) -> Response:
    require(principal, operation.permission)
    named = request.headers.getlist(TENANT_HEADER)
    _require_tenant(principal, named)
    body = await read_body(request, operation.takes, optional=operation.body_optional) if operation.takes else None
    witness.body = body
    witness.chain = tenant = _tenant_of(principal, named, platform=operation.platform)
    call = Call(
        services=services,
        request=request,
        principal=principal,
        tenant=tenant,
        action=operation.act,
        idempotency_key=read_idempotency_key(request.headers) if KEY_HEADER in operation.headers else None,
        given_query=_read_query(request, operation.query),
        given_body=body,
    )
    try:
        if operation.owner is not None:
            require(principal, operation.permission, owner=await operation.owner(call))
        return await operation.handler(call)
    except Problem as problem:
        if problem.kind is NOT_FOUND and "task_id" in request.path_params:
            await refuse_erased(call)
        raise


def address_of(request: Request, services: Services) -> str:
    """The client as it is counted, whoever it is."""
    forwarded = request.headers.getlist("x-forwarded-for")
    peer = request.client.host if request.client else None
    return client_address(forwarded, peer, services.settings.trusted_proxies)


async def _limit_address(operation: Operation, request: Request, services: Services, address: str) -> None:
    refusal = services.turnstile.refuse(address)
    if refusal is not None:
        _count(request, refusal)
    limit = operation.address_limit
    if limit is not None:
        _count(request, await take_permit(services.database, limit, address, limit.per_minute(services.settings)))


def _count(request: Request, permit: Permit) -> None:
    """What is left is told with every answer, of each limit that was counted."""
    told = request.state.headers
    for name, value in permit.headers.items():
        told[name] = f"{told[name]}, {value}" if name in told else value
    permit.require()


async def _authenticate(request: Request, services: Services, address: str) -> Principal:
    """The principal; 401, or 429 where the client's address has failed too often."""
    unverified_token = read_bearer(request.headers)
    if unverified_token is None:
        refusal = _unauthenticated("send one header Authorization: Bearer TOKEN", "")
    else:
        outcome = await services.verifier.authenticate(unverified_token, request.state.request_id)
        if isinstance(outcome, Principal):
            return outcome
        refusal = _unauthenticated(outcome.reason, ', error="invalid_token"')
    permit = await services.turnstile.count_failure(address)
    if not permit.allowed:
        _count(request, permit)
    raise refusal


def _unauthenticated(detail: str, error: str) -> Problem:
    return Problem(UNAUTHENTICATED, detail, headers={"WWW-Authenticate": f'Bearer realm="golden"{error}'})


def require(principal: Principal, permission: Permission, *, owner: str | None = None) -> None:
    """The only caller of `decide`: first by role, then by owner as soon as that is known."""
    outcome = decide(principal, permission, owner=owner)
    if isinstance(outcome, Denied):
        raise Problem(FORBIDDEN, outcome.reason)


def _require_tenant(principal: Principal, named: list[str]) -> None:
    if principal.tenant != EVERY_TENANT and named and named != [principal.tenant]:
        raise Problem(FORBIDDEN, f"the token is for the tenant {principal.tenant} only")


def _tenant_of(principal: Principal, named: list[str], *, platform: bool) -> str:
    """The one tenant that is meant, or the platform where the route may be about that."""
    if principal.tenant != EVERY_TENANT:
        return principal.tenant
    if len(named) != 1:
        raise invalid([(TENANT_HEADER, "is required once: a token for every tenant must say which one is meant")])
    if platform and named[0] == EVERY_TENANT:
        return EVERY_TENANT
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
