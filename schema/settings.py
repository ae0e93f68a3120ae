"""Settings, read from the environment once, in a composition root, and passed down from there."""

import hashlib
import os
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, PositiveInt, SecretStr, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schema.learning_settings import LearningSettings

MAX_SOCKET_PATH = 100
"""A Unix socket's path must fit into 108 bytes; some are kept for the file's name variants."""

OWN_ISSUER = "golden"
ASYMMETRIC_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)

Network = IPv4Network | IPv6Network

DEFAULT_RATE_LIMITS = {
    "admin": 100, "operator": 60, "developer": 30, "approver": 20, "viewer": 5, "unauthenticated": 30,
}  # fmt: skip
"""Requests a minute of a principal by its role; `unauthenticated` is failed authentications of a client address."""

PerMinute = Annotated[int, Field(ge=1, le=10_000)]

Port = Annotated[int, Field(ge=1, le=65_535)]


class Settings(LearningSettings):
    """Everything that can be set, with defaults that suit one machine (design §16)."""

    model_config = SettingsConfigDict(env_prefix="GOLDEN_", frozen=True, extra="ignore")

    home: Path = Path(".golden")
    url: str | None = None
    token: SecretStr | None = None
    tenant: str | None = None

    gateway_host: str = "127.0.0.1"
    gateway_port: Port = 8080
    max_connections: PositiveInt = 1_000
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    model_port: Port = 8081
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 9464

    temporal_address: Annotated[str | None, Field(validation_alias="TEMPORAL_ADDRESS")] = None
    temporal_namespace: Annotated[str, Field(validation_alias="TEMPORAL_NAMESPACE")] = "default"

    database_url: SecretStr | None = None
    database_tenant_url: SecretStr | None = None
    database_migrator_url: SecretStr | None = None

    models: str = "embedded"
    model_slots: PositiveInt = 2
    model_timeout_seconds: PositiveInt = 120
    model_slow_seconds: PositiveInt | None = None
    policy: str = ""

    sandbox_isolation: Literal["gvisor", "unsafe-runc"] = "gvisor"
    sandbox_pool: PositiveInt = 2
    sandbox_runtime: str = "golden-runsc"
    sandbox_images: Annotated[dict[str, str], NoDecode] = {"default": "golden-sandbox:1"}
    sandbox_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 10
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    rate_limits: Annotated[dict[str, PerMinute], NoDecode] = DEFAULT_RATE_LIMITS
    audit_anchor: Path | None = None

    tenant_slots: PositiveInt = 8
    reconcile_seconds: PositiveInt = 10

    issuer: str = OWN_ISSUER
    audience: str = "golden"
    algorithms: Annotated[tuple[str, ...], NoDecode] = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
    jwks_url: str | None = None
    jwks_seconds: PositiveInt = 300
    role_claim: str = "role"
    role_map: Annotated[dict[str, str], NoDecode] = {}
    tenant_claim: str = "tenant"
    jti_claim: str = "jti"
    token_types: Annotated[tuple[str, ...], NoDecode] = ("JWT", "at+jwt")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("home", "audit_anchor")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("sandbox_images", mode="before")
    @classmethod
    def _parse_images(cls, value: Any) -> Any:
        return _parse_pairs(value)

    @field_validator("role_map", mode="before")
    @classmethod
    def _parse_roles(cls, value: Any) -> Any:
        return _parse_pairs(value)

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

    @field_validator("rate_limits", mode="before")
    @classmethod
    def _parse_limits(cls, value: Any) -> Any:
        return _parse_limits(value)

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse_networks(cls, value: Any) -> Any:
        return _parse_networks(value)

    @property
    def gateway_url(self) -> str:
        """Where the gateway is for its clients."""
        return self.url or f"{self.scheme}://127.0.0.1:{self.gateway_port}"

    @property
    def temporal_target(self) -> str:
        """Where Temporal's frontend is, `host:port`."""
        return self.temporal_address or f"127.0.0.1:{self.temporal_port}"

    @property
    def temporal_ui_target(self) -> str:
        """The Temporal UI's own address: it is shown through the gateway."""
        return (self.temporal_ui_url or f"http://127.0.0.1:{self.temporal_ui_port}").rstrip("/")

    @property
    def model_url(self) -> str:
        """The embedded model's OpenAI-compatible endpoint."""
        return f"http://127.0.0.1:{self.model_port}/v1"

    @property
    def postgres_socket(self) -> Path:
        """Folder of the local PostgreSQL's socket: in GOLDEN_HOME, or elsewhere if that path is too long."""
        folder = self.home / "run" / "postgres"
        if len(os.fsencode(folder)) <= MAX_SOCKET_PATH - len("/.s.PGSQL.5432.lock"):
            return folder
        return Path("/tmp") / f"golden-{hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]}"  # noqa: S108 (a short path; the folder is 0700)

    def database(self, role: Literal["service", "tenant", "migrator"]) -> str:
        """The URL of the database for one of its three roles (design §4)."""
        given = {
            "service": self.database_url,
            "tenant": self.database_tenant_url,
            "migrator": self.database_migrator_url,
        }[role]
        if given is not None:
            return given.get_secret_value()
        return f"postgresql+psycopg://golden_{role}@/golden?host={quote(str(self.postgres_socket), safe='/')}"

    @property
    def own_issuer(self) -> str:
        """The issuer of the tokens that our own keys sign: beside an identity provider it has its own name."""
        return OWN_ISSUER if self.jwks_url else self.issuer

    @property
    def keys_folder(self) -> Path:
        return self.home / "keys"

    @property
    def keyring_file(self) -> Path:
        """The keys of payloads and columns."""
        return self.keys_file or self.keys_folder / "ring.json"

    @property
    def audit_anchor_file(self) -> Path:
        """Where the signed heads of the audit chains are kept."""
        return self.audit_anchor or self.home / "audit-anchor.jsonl"

    @property
    def token_file(self) -> Path:
        """The token that `golden up` makes for the CLI."""
        return self.home / "token"

    @property
    def logs_folder(self) -> Path:
        return self.home / "logs"

    @property
    def run_folder(self) -> Path:
        """Locks, process ids and sockets of the running stack."""
        return self.home / "run"

    def sources(self) -> list[dict[str, str]]:
        """Every setting with its value and where it came from; secrets are not shown."""
        rows = []
        for field, info in type(self).model_fields.items():
            name = str(info.validation_alias or f"GOLDEN_{field}").upper()
            value = self.secret_files.get(field, getattr(self, field))
            if field == "models" and set(value) & set("{:\n"):
                # Routes given as text may hold API keys.
                value = "(text)"
            if isinstance(value, tuple):
                value = ",".join(map(str, value))
            if field == "rate_limits":
                value = ",".join(f"{name}={quota}" for name, quota in value.items())
            rows.append(
                {
                    "name": name,
                    "value": "" if value is None else str(value),
                    "source": "environment" if field in self.model_fields_set else "default",
                }
            )
        return rows


def is_loopback(host: str) -> bool:
    """Whether nothing but this machine is at `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _parse_pairs(value: Any) -> Any:
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


def _parse_limits(value: Any) -> Any:
    """`viewer=5,approver=20` over the defaults; a name that is none of theirs is an error."""
    pairs = _parse_pairs(value)
    if not isinstance(pairs, dict):
        return pairs
    unknown = sorted(set(map(str, pairs)) - set(DEFAULT_RATE_LIMITS))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(DEFAULT_RATE_LIMITS)}")
    return DEFAULT_RATE_LIMITS | pairs


def _parse_networks(value: Any) -> Any:
    """`10.0.0.1,10.1.0.0/16` as networks; anything else is returned for pydantic to judge."""
    if not isinstance(value, str):
        return value
    networks = []
    for item in filter(None, (part.strip() for part in value.split(","))):
        try:
            network = ip_network(item)
        except ValueError:
            raise ValueError(
                f"{item!r} must be an address or a network such as 10.1.0.0/16, several separated by commas"
            ) from None
        if network.prefixlen == 0:
            raise ValueError(f"{item} would believe everybody: name the proxies")
        networks.append(network)
    return tuple(networks)
