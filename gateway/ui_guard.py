"""Who may see the Temporal UI: for links and sessions what `gateway.guard` is for tokens, in the same order."""

from starlette.requests import Request

from gateway.audit import Witness
from gateway.authorisation import Permission, Principal
from gateway.guard import address_of, require
from gateway.problems import UNAUTHENTICATED, Problem
from gateway.rate_limits import Permit
from gateway.services import Services
from gateway.token_reader import Refused
from gateway.ui_sessions import Bearer

ASK_FOR_A_LINK = "run `golden ui` for a link, which works once and for a minute"


async def refuse_barred(request: Request, services: Services) -> None:
    """429 for an address that has failed too often, before anything that it sent is looked at."""
    address = address_of(request, services)
    refusal = services.turnstile.refuse(address)
    if refusal is not None:
        await _refuse(request, services, address, refusal)


async def fail(request: Request, services: Services, problem: Problem) -> Problem:
    """Count and tell what was wrong with a link or a cookie; returns what is to be raised."""
    address = address_of(request, services)
    permit = await services.turnstile.count_failure(address)
    if not permit.allowed:
        await _refuse(request, services, address, permit)
    await services.audit.tell_unknown(request, address, problem)
    return problem


async def holder_of(bearer: Bearer, request: Request, services: Services, action: str) -> Principal:
    """Whom a link or a session stands for, if they still may: 401 or 403 if not."""
    principal = await services.verifier.authenticate(bearer.unverified_token, request.state.request_id)
    if isinstance(principal, Refused):
        raise await fail(request, services, no_session(principal.reason))
    try:
        require(principal, Permission.CODEC_DECODE)
    except Problem as denied:
        await tell_refused(bearer, request, services, principal, action, denied)
        raise
    return principal


async def tell_refused(
    bearer: Bearer, request: Request, services: Services, principal: Principal, action: str, problem: Exception
) -> None:
    """Tell the audit log, in the tenant that the bearer meant."""
    witness = Witness(services.audit, request, principal, action)
    witness.chain = bearer.tenant
    await witness.failed(problem)


def no_session(reason: str) -> Problem:
    """401, with the remedy."""
    return Problem(UNAUTHENTICATED, f"{reason}: {ASK_FOR_A_LINK}")


async def _refuse(request: Request, services: Services, address: str, permit: Permit) -> None:
    request.state.headers.update(permit.headers)
    try:
        permit.require()
    except Problem as problem:
        await services.audit.tell_unknown(request, address, problem)
        raise
