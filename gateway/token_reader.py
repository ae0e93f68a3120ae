"""The one verifier of tokens: a signature of the right issuer's key, and claims that can be meant."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

from gateway.authorisation import EVERY_TENANT, Principal
from gateway.token_form import UnverifiedToken, is_name, read_form
from gateway.token_keys import Clock, KeySource
from gateway.token_rules import NO_TYPE, Rules, find_claim
from gateway.tokens import is_subject, is_tenant

LEEWAY_SECONDS = 30
LONGEST_LIFE_SECONDS = 400 * 86_400
LATEST_TIME = 253_402_300_799
"""The last second of the year 9999: a later one is an absurd number, not a date."""

_TIMES = ("iat", "exp", "nbf")


@dataclass(frozen=True)
class Refused:
    """No principal, and why; fit to be told to whoever sent the token."""

    reason: str


@dataclass(frozen=True)
class UnknownKey(Refused):
    """The issuer has no such key, or has it since a moment only."""

    issuer: str


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are believed: its keys, and its alone, and what it must have written."""

    rules: Rules
    keys: KeySource


class TokenReader:
    """Believes a token that one of its issuers has signed, is in date and says all it must; asks nobody for that."""

    def __init__(self, issuers: list[Issuer], clock: Clock = time.time) -> None:
        self._issuers = {issuer.rules.issuer: issuer for issuer in issuers}
        self._clock = clock

    def read(self, unverified_text: str) -> Principal | Refused:
        """The principal of a token, or why it has none."""
        unverified = read_form(unverified_text)
        if unverified is None:
            return Refused("the token is malformed")
        unverified_issuer = unverified.claims.get("iss")
        # The issuer chooses the keys: what another has signed in its name is not its token.
        issuer = self._issuers.get(unverified_issuer) if isinstance(unverified_issuer, str) else None
        if issuer is None:
            return Refused("the token's iss is not an issuer that is believed here")
        return _check_header(unverified, issuer.rules) or self._verify(unverified, issuer)

    def knows_key_of(self, principal: Principal) -> bool:
        """Whether the key that has signed for this principal is still accepted."""
        issuer = self._issuers.get(principal.issuer)
        return issuer is not None and issuer.keys.find(principal.kid) is not None

    def _verify(self, unverified: UnverifiedToken, issuer: Issuer) -> Principal | Refused:
        key = issuer.keys.find(unverified.kid)
        if key is None:
            return UnknownKey("the token is signed with an unknown key", issuer.rules.issuer)
        if unverified.header["alg"] != key.algorithm:
            return Refused("the token's alg is not its key's")
        try:
            # The algorithm is the key's: none of the token's words decides how it is verified.
            jwt.PyJWS(algorithms=[key.algorithm]).decode(unverified.text, key.public, algorithms=[key.algorithm])
        except jwt.PyJWTError:
            return Refused("the token's signature is not valid")
        return _check_times(unverified.claims, self._clock()) or _read_claims(unverified, issuer.rules)


def _check_header(unverified: UnverifiedToken, rules: Rules) -> Refused | None:
    if len(unverified.text) > rules.longest:
        return Refused("the token is malformed")
    if not unverified.header.keys() <= rules.headers:
        return Refused("the token's header says what no token here may say")
    unverified_type = unverified.header.get("typ", NO_TYPE)
    # The type is a media type: without regard to case.
    if not isinstance(unverified_type, str) or unverified_type.lower().removeprefix("application/") not in rules.types:
        return Refused("the token's typ is not an access token's")
    return None


def _check_times(claims: Mapping[str, Any], now: float) -> Refused | None:
    """Whole seconds, in order, not too far apart, and now among them."""
    for name in _TIMES:
        if name == "nbf" and name not in claims:
            continue
        value = claims.get(name)
        # A boolean is a number to Python, and NaN one to JSON libraries.
        if type(value) is not int or not 0 < value <= LATEST_TIME:
            return Refused(f"the token's {name} is not a time in whole seconds")
    issued, expires = claims["iat"], claims["exp"]
    begins = claims.get("nbf", issued)
    if now - LEEWAY_SECONDS >= expires:
        return Refused("the token has expired")
    if max(issued, begins) > now + LEEWAY_SECONDS:
        return Refused("the token is not valid yet")
    if not max(issued, begins) < expires <= issued + LONGEST_LIFE_SECONDS:
        return Refused("the token's exp is before its iat or nbf, or too long after")
    return None


def _read_claims(verified: UnverifiedToken, rules: Rules) -> Principal | Refused:
    claims = verified.claims
    if not rules.takes_audience(claims):
        return Refused("the token's aud is not this gateway's")
    sub, tenant, token_id = (find_claim(claims, name) for name in ("sub", rules.tenant_claim, rules.jti_claim))
    if not isinstance(sub, str) or not is_subject(sub):
        return Refused("the token's sub is not 1 to 200 printable characters")
    if not is_name(token_id):
        return Refused(f"the token's {rules.jti_claim} is not 1 to 200 visible characters")
    role = rules.read_role(claims)
    if role is None:
        return Refused(f"the token's {rules.role_claim} is not one known role")
    named = isinstance(tenant, str) and is_tenant(tenant)
    if not named or (tenant == EVERY_TENANT and not rules.every_tenant):
        return Refused(f"the token's {rules.tenant_claim} is not a tenant's name")
    return Principal(
        sub=sub,
        role=role,
        tenant=tenant,
        jti=token_id,
        issued_at=claims["iat"],
        expires_at=claims["exp"],
        issuer=rules.issuer,
        kid=verified.kid,
    )
