"""Settings of how bytes travel and where secrets lie: TLS, Temporal's connection, the key ring, files of secrets."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from schema.errors import SettingsError

PREFIX = "GOLDEN_"


def _temporal_environment() -> dict[str, str]:
    """What temporalio.envconfig reads, and the API key out of a file, which it doesn't know."""
    found = {name: value for name, value in os.environ.items() if name.startswith("TEMPORAL_")}
    if "TEMPORAL_API_KEY_FILE" in found:
        found["TEMPORAL_API_KEY"] = _read_secret("TEMPORAL_API_KEY", found.pop("TEMPORAL_API_KEY_FILE"), found)
    return found


def _secret_files(settings_class: type[BaseSettings]) -> dict[str, str]:
    """The fields whose value lies in the file that GOLDEN_NAME_FILE names."""
    names = [field for field, info in settings_class.model_fields.items() if is_secret(info)]
    given = {field: os.environ.get(f"{PREFIX}{field.upper()}_FILE") for field in names}
    return {field: path for field, path in given.items() if path}


class _Source(PydanticBaseSettingsSource):
    """A source that looks at all fields at once."""

    def get_field_value(self, *_: Any) -> tuple[Any, str, bool]:
        """Never called, but has to be there."""
        raise NotImplementedError


class SecretFiles(_Source):
    """GOLDEN_TOKEN_FILE for GOLDEN_TOKEN, and so for every setting that is a secret."""

    def __call__(self) -> dict[str, Any]:
        return {
            field: _read_secret(f"{PREFIX}{field.upper()}", path, os.environ)
            for field, path in _secret_files(self.settings_cls).items()
        }


class TemporalProfile(_Source):
    """Address and namespace of a profile, where TEMPORAL_CONFIG_FILE names a file of them."""

    def __call__(self) -> dict[str, Any]:
        environment = _temporal_environment()
        if "TEMPORAL_CONFIG_FILE" not in environment:
            return {}
        config = read_profile(environment)
        found = {"TEMPORAL_ADDRESS": config.get("target_host"), "TEMPORAL_NAMESPACE": config.get("namespace")}
        return {name: value for name, value in found.items() if value}


class TransportSettings(BaseSettings):
    """The part of the settings that this module is about."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    keys_file: Path | None = None
    """The key ring of payloads and columns; one that is named is never made by a start."""
    tls_cert: Path | None = None
    """PEM file: with it and its key the gateway speaks https only."""
    tls_key: Annotated[Path | None, Field(validate_default=True)] = None
    """PEM file: the certificate's key."""
    tls_ca: Path | None = None
    """PEM file of who may have signed the gateway's certificate, for the command line."""
    temporal_ui_url: str | None = None
    """Where the gateway finds the Temporal UI, which it serves under `/ui`."""

    _temporal: dict[str, str] = PrivateAttr(default_factory=_temporal_environment)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **_unused: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is said first wins."""
        return init_settings, env_settings, SecretFiles(settings_cls), TemporalProfile(settings_cls)

    @field_validator("tls_key")
    @classmethod
    def _both_halves(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if (key is None) != (info.data.get("tls_cert") is None):
            raise ValueError("goes with GOLDEN_TLS_CERT: set both, or neither")
        return key

    @property
    def scheme(self) -> str:
        """How the gateway is spoken to."""
        return "https" if self.tls_cert else "http"

    @property
    def secret_files(self) -> dict[str, str]:
        """The fields that were read from files, with their files."""
        return {field: path for field, path in _secret_files(type(self)).items() if field in self.model_fields_set}

    @property
    def temporal_environment(self) -> dict[str, str]:
        """`TEMPORAL_*` as it was when these settings were read; it may hold secrets."""
        return dict(self._temporal)


def read_profile(environment: dict[str, str]) -> dict[str, Any]:
    """How to connect to Temporal, as temporalio.envconfig has it; a file is read only where one is named.

    Raises:
        SettingsError: something named in `TEMPORAL_*` is missing or can't be read.
    """
    from temporalio.envconfig import ClientConfigProfile  # loads the SDK, which most commands don't need

    try:
        profile = ClientConfigProfile.load(
            disable_file="TEMPORAL_CONFIG_FILE" not in environment, override_env_vars=environment
        )
        return dict(profile.to_client_connect_config())
    except (RuntimeError, ValueError, OSError) as error:
        raise SettingsError(f"TEMPORAL_*: {error}") from None


def is_secret(info: FieldInfo) -> bool:
    """Whether a setting is never shown."""
    return info.annotation == SecretStr | None


def _read_secret(name: str, path: str, environment: Any) -> str:
    if name in environment:
        raise SettingsError(f"{name} and {name}_FILE are both set: set one of them")
    try:
        return Path(path).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{name}_FILE: cannot read {path}: {type(error).__name__}") from None
