"""What an issuer's tokens must hold: the rules for our own, and for those of an identity provider."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.authorisation import ROLES, Role
from schema.errors import SettingsError
from schema.settings import Settings

NO_TYPE = "-"
"""In `GOLDEN_TOKEN_TYPES`: a token without `typ`."""

MAX_TEXTS = 200
"""Of audiences or roles in one token."""


@dataclass(frozen=True)
class Rules:
    """What one issuer's tokens must hold.

    Attributes:
        types: of `typ`, in lower case.
        headers: every member that the header may have.
        longest: characters of a whole token.
        many_audiences: whether `aud` may be a list that holds ours.
        many_roles: whether the role claim may be a list of which one role comes.
        role_map: roles by the values of the role claim; without any, the values are the roles.
        every_tenant: whether it may speak for the platform.
    """

    issuer: str
    audience: str
    types: frozenset[str]
    headers: frozenset[str]
    longest: int
    many_audiences: bool
    many_roles: bool
    role_claim: str
    role_map: Mapping[str, Role]
    tenant_claim: str
    jti_claim: str
    every_tenant: bool

    def read_role(self, claims: Mapping[str, Any]) -> Role | None:
        """The one role that the claim stands for; None where it stands for none, or for several."""
        value = find_claim(claims, self.role_claim)
        if isinstance(value, list) and not self.many_roles:
            return None
        values = value if isinstance(value, list) else [value]
        if len(values) > MAX_TEXTS:
            return None
        known = {self.role_map[each] for each in values if isinstance(each, str) and each in self.role_map}
        return known.pop() if len(known) == 1 else None

    def takes_audience(self, claims: Mapping[str, Any]) -> bool:
        """Whether the token is meant for us."""
        value = claims.get("aud")
        if not isinstance(value, list):
            return value == self.audience
        texts = all(isinstance(each, str) for each in value)
        return self.many_audiences and texts and self.audience in value and len(value) <= MAX_TEXTS


_AS_NAMED: Mapping[str, Role] = {role: role for role in ROLES}


def own_rules(settings: Settings) -> Rules:
    """For the tokens that our own keys sign."""
    return Rules(
        issuer=settings.own_issuer,
        audience=settings.audience,
        types=frozenset({"jwt", "at+jwt"}),
        headers=frozenset({"alg", "kid", "typ"}),
        longest=4_096,
        many_audiences=False,
        many_roles=False,
        role_claim="role",
        role_map=_AS_NAMED,
        tenant_claim="tenant",
        jti_claim="jti",
        every_tenant=True,
    )


def provider_rules(settings: Settings) -> Rules:
    """For the tokens of the identity provider of the settings.

    Raises:
        SettingsError: the role map names a role that there is not.
    """
    return Rules(
        issuer=settings.issuer,
        audience=settings.audience,
        types=frozenset(name.lower() for name in settings.token_types),
        # The thumbprints of certificates are harmless: nothing looks them up.
        headers=frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"}),
        longest=8_192,
        many_audiences=True,
        many_roles=True,
        role_claim=settings.role_claim,
        role_map=_read_role_map(settings),
        tenant_claim=settings.tenant_claim,
        jti_claim=settings.jti_claim,
        every_tenant=False,
    )


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim of that name, or else at that dotted path; None where there is none."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _read_role_map(settings: Settings) -> Mapping[str, Role]:
    if not settings.role_map:
        return _AS_NAMED
    known = {name: _AS_NAMED.get(role) for name, role in settings.role_map.items()}
    unknown = [settings.role_map[name] for name, role in known.items() if role is None]
    if unknown:
        raise SettingsError(f"GOLDEN_ROLE_MAP: {unknown[0]!r} is no role: use {', '.join(ROLES)}")
    return {name: role for name, role in known.items() if role is not None}
