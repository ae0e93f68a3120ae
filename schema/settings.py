"""Settings, read from the environment once, in a composition root, and passed down from there."""

import hashlib
import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field, PositiveInt, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schema.identity_settings import IdentitySettings, parse_pairs

MAX_SOCKET_PATH = 100
"""A Unix socket's path must fit into 108 bytes; some are kept for the file's name variants."""

Network = IPv4Network | IPv6Network

DEFAULT_RATE_LIMITS = {
    "admin": 100, "operator": 60, "developer": 30, "approver": 20, "viewer": 5, "unauthenticated": 30,
}  # fmt: skip
"""Requests a minute of a principal by its role; `unauthenticated` is failed authentications of a client address."""

PerMinute = Annotated[int, Field(ge=1, le=10_000)]

Port = Annotated[int, Field(ge=1, le=65_535)]


class Settings(IdentitySettings):
    """Everything that can be set, with defaults that suit one machine (design §16)."""

    model_config = SettingsConfigDict(env_prefix="GOLDEN_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    home: Path = Path(".golden")
    """State of the one-machine stack; keys and the command line's token."""
    url: str | None = None
    """Where the command line finds the gateway."""
    token: SecretStr | None = None
    """The command line's token: the one that `golden up` made unless said otherwise."""
    tenant: str | None = None
    """The tenant that a token of every tenant speaks for, on the command line."""

    gateway_host: str = "127.0.0.1"
    """The address that the gateway listens on."""
    gateway_port: Port = 8080
    """The gateway's port."""
    max_connections: PositiveInt = 1_000
    """Connections that a gateway holds at once; one more is answered with 503. An event stream is one."""
    temporal_port: Port = 7233
    """The local Temporal's port."""
    temporal_ui_port: Port = 8233
    """The local Temporal UI's port."""
    model_port: Port = 8081
    """The embedded model's port."""
    metrics_host: str = "127.0.0.1"
    """The address that metrics are served on."""
    metrics_port: Port = 9464
    """The port of metrics; on one machine the worker's are one port up."""
    fleet_metrics: bool = True
    """Whether a gateway shows the fleet's numbers too; not where `golden exporter` runs."""

    temporal_address: Annotated[str | None, Field(validation_alias="TEMPORAL_ADDRESS")] = None
    """Another Temporal, `host:port`; none is started then."""
    temporal_namespace: Annotated[str, Field(validation_alias="TEMPORAL_NAMESPACE")] = "default"
    """Its namespace."""

    database_url: SecretStr | None = None
    """Another PostgreSQL, as the role `golden_service`."""
    database_tenant_url: SecretStr | None = None
    """The same as the role `golden_tenant`."""
    database_migrator_url: SecretStr | None = None
    """The same as the role `golden_migrator`."""

    models: str = "embedded"
    """Models by role: `embedded`, a YAML file, or its text (docs/settings.md)."""
    model_slots: PositiveInt = 2
    """Parallel answers of the embedded model."""
    model_timeout_seconds: PositiveInt = 120
    """The longest that a model call may take."""
    model_slow_seconds: PositiveInt | None = None
    """A call that takes longer counts as slow for its circuit; half of the timeout unless said otherwise."""
    policy: str = ""
    """How votes are held where neither tenant nor task says otherwise: YAML, or a file of it."""

    sandbox_isolation: Literal["gvisor", "unsafe-runc"] = "gvisor"
    """`unsafe-runc` lets generated code share the host's kernel."""
    sandbox_pool: PositiveInt = 2
    """Runs at once, and containers made ahead, for each worker."""
    sandbox_runtime: str = "golden-runsc"
    """The name that Docker knows gVisor's runtime by."""
    sandbox_images: Annotated[dict[str, str], NoDecode] = {"default": "golden-sandbox:1"}
    """The images that tasks may name."""
    sandbox_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 10
    """`POST /v1/sandbox/executions` for one client address, in any 60 seconds."""
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    """Addresses and networks whose `X-Forwarded-For` says who the client is."""
    rate_limits: Annotated[dict[str, PerMinute], NoDecode] = DEFAULT_RATE_LIMITS
    """Requests a minute of a principal by role, failed authentications of an address; those named change."""
    audit_anchor: Path | None = None
    """Where the signed heads of the audit chains are kept: `audit-anchor.jsonl` in the home unless said otherwise."""

    build_id: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = None
    """Which build the workers are of; without one they are not versioned (docs/upgrade.md)."""

    tenant_slots: PositiveInt = 8
    """Tasks at once of a new tenant."""
    retention_days: PositiveInt | None = None
    """Days after which the content of final tasks is erased (docs/erasure.md); kept for ever unless said."""
    reconcile_seconds: PositiveInt = 10
    """Between two passes of `Reconcile`; set when its Schedule is made."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged; `debug` only where the gateway is on 127.0.0.1."""

    @field_validator("home", "audit_anchor")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("sandbox_images", mode="before")
    @classmethod
    def _parse_images(cls, value: Any) -> Any:
        return parse_pairs(value)

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


def _parse_limits(value: Any) -> Any:
    """`viewer=5,approver=20` over the defaults; a name that is none of theirs is an error."""
    pairs = parse_pairs(value)
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
