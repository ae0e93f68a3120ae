"""Settings of whose tokens are believed: our own keys', or an identity provider's."""

from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import PositiveInt, ValidationInfo, field_validator
from pydantic_settings import NoDecode

from schema.telemetry_settings import TelemetrySettings

OWN_ISSUER = "golden"
ASYMMETRIC_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)


class IdentitySettings(TelemetrySettings):
    """What a token must say, and where an identity provider's tokens say it."""

    issuer: str = OWN_ISSUER
    """The issuer that tokens must have: with `GOLDEN_JWKS_URL` the identity provider's."""
    audience: str = "golden"
    """The audience that tokens must have."""
    algorithms: Annotated[tuple[str, ...], NoDecode] = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
    """The algorithms that an identity provider's keys may have."""
    jwks_url: str | None = None
    """An identity provider's keys (docs/security.md)."""
    jwks_seconds: PositiveInt = 300
    """How often they are fetched."""
    role_claim: str = "role"
    """Where its tokens name the role: a claim, or a dotted path."""
    role_map: Annotated[dict[str, str], NoDecode] = {}
    """Roles by values of its claim: `engineers=developer,leads=admin`."""
    tenant_claim: str = "tenant"
    """Where its tokens name the tenant."""
    jti_claim: str = "jti"
    """Where its tokens have their id."""
    token_types: Annotated[tuple[str, ...], NoDecode] = ("JWT", "at+jwt")
    """The types that its tokens may have; `-` is none."""

    @field_validator("role_map", mode="before")
    @classmethod
    def _parse_roles(cls, value: Any) -> Any:
        return parse_pairs(value)

    @field_validator("algorithms", "token_types", mode="before")
    @classmethod
    def _parse_names(cls, value: Any) -> Any:
        return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value

    @field_validator("issuer", "audience", "role_claim", "tenant_claim", "jti_claim")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value or value != value.strip() or not value.isprintable():
            raise ValueError("must be a name: without one, tokens that are meant for others would be taken")
        return value

    @field_validator("algorithms")
    @classmethod
    def _asymmetric(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unsafe = [name for name in value if name not in ASYMMETRIC_ALGORITHMS]
        if unsafe or not value:
            told = f"{unsafe[0]!r} is not one of them" if unsafe else "none is named"
            raise ValueError(f"must be of {', '.join(ASYMMETRIC_ALGORITHMS)}: {told}")
        return value

    @field_validator("jwks_url")
    @classmethod
    def _encrypted(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            loopback = url.hostname is not None and is_loopback(url.hostname)
            usable = bool(url.hostname) and not url.username and not url.fragment and (url.port or 1) > 0
        except ValueError:
            usable = loopback = False
        if not usable or not (url.scheme == "https" or (url.scheme == "http" and loopback)):
            raise ValueError("must be https with no password, as whoever changes the keys makes the tokens")
        if info.data.get("issuer") == OWN_ISSUER:
            raise ValueError(f"needs GOLDEN_ISSUER, the provider's issuer; {OWN_ISSUER!r} is ours")
        return value

    @property
    def own_issuer(self) -> str:
        """The issuer of the tokens that our own keys sign: beside an identity provider it has its own name."""
        return OWN_ISSUER if self.jwks_url else self.issuer


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine is at `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def parse_pairs(value: Any) -> Any:
    """`a=1,b=2` as a mapping; anything else is returned for pydantic to judge."""
    if not isinstance(value, str):
        return value
    pairs = {}
    for item in filter(None, (part.strip() for part in value.split(","))):
        name, separator, text = item.partition("=")
        if not separator:
            raise ValueError(f"{item!r} must be NAME=VALUE, several separated by commas")
        pairs[name.strip()] = text.strip()
    return pairs
