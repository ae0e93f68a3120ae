"""Which tenant a command is about that acts on a tenant's own: its budget, its policy."""

import jwt

from gateway.authorisation import EVERY_TENANT
from gateway.cli_settings import read_settings
from gateway.client import CliError, ExitCode, GatewayClient, read_token
from gateway.token_rules import find_claim
from gateway.tokens import is_tenant
from schema.settings import Settings


def open_for(named: str | None) -> tuple[GatewayClient, str]:
    """A client that speaks for the tenant that is meant, and its name: as said, as set, or as the token says."""
    settings = read_settings()
    tenant = named if named is not None else settings.tenant or None
    if tenant is not None and not is_tenant(tenant):
        raise CliError("TENANT: must be lower-case letters, digits and hyphens, at most 63", ExitCode.USAGE)
    if tenant is None:
        tenant = _tenant_of(read_token(settings), settings)
    if tenant == EVERY_TENANT:
        raise CliError("the token is for every tenant: name the TENANT, or set GOLDEN_TENANT", ExitCode.USAGE)
    return GatewayClient(settings.model_copy(update={"tenant": tenant})), tenant


def _tenant_of(unverified_token: str, settings: Settings) -> str:
    """The tenant that a token names. Whether that is true is for the gateway to say."""
    try:
        unverified_claims = jwt.decode(unverified_token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        unverified_claims = {}
    unverified_tenant = find_claim(unverified_claims, settings.tenant_claim) or unverified_claims.get("tenant")
    if not isinstance(unverified_tenant, str) or not is_tenant(unverified_tenant):
        raise CliError("the token does not say whose it is: name the TENANT, or set GOLDEN_TENANT", ExitCode.USAGE)
    return unverified_tenant
