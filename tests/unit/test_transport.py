"""Where secrets come from, and what is said of a setting of TLS or Temporal that can't be used."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from schema.errors import SettingsError
from schema.settings import Settings
from schema.transport import read_profile

SECRETS = ("token", "database_url", "database_tenant_url", "database_migrator_url")


@pytest.mark.parametrize("name", SECRETS)
def test_every_secret_may_lie_in_a_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("the secret\n")
    monkeypatch.setenv(f"GOLDEN_{name.upper()}_FILE", str(tmp_path / "secret"))
    settings = Settings()
    assert getattr(settings, name) == SecretStr("the secret")
    (row,) = [row for row in settings.sources() if row["name"] == f"GOLDEN_{name.upper()}"]
    assert row["value"] == str(tmp_path / "secret")
    assert "the secret" not in str(settings.sources()) + repr(settings)


def test_a_secret_that_is_said_twice_or_whose_file_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDEN_DATABASE_URL_FILE", str(tmp_path / "gone"))
    with pytest.raises(SettingsError, match="GOLDEN_DATABASE_URL_FILE: cannot read"):
        Settings()
    monkeypatch.setenv("GOLDEN_DATABASE_URL", "postgresql://user:hunter2@host/db")
    with pytest.raises(SettingsError, match="set one of them") as told:
        Settings()
    assert "hunter2" not in str(told.value)


def test_every_setting_whose_name_says_secret_is_one() -> None:
    shown = Settings(
        token="hunter2", database_url="a:hunter2@b", database_tenant_url="hunter2", database_migrator_url="hunter2"
    )
    assert "hunter2" not in repr(shown) + str(shown.sources())


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError, match="goes with GOLDEN_TLS_CERT"):
        Settings(tls_cert=Path("cert.pem"))
    with pytest.raises(ValidationError, match="goes with GOLDEN_TLS_CERT"):
        Settings(tls_key=Path("key.pem"))
    assert Settings(tls_cert=Path("cert.pem"), tls_key=Path("key.pem")).gateway_url == "https://127.0.0.1:8080"


def test_temporals_own_variables_say_how_to_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "api-key").write_text("the-api-key\n")
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal.example:7233")
    monkeypatch.setenv("TEMPORAL_API_KEY_FILE", str(tmp_path / "api-key"))
    monkeypatch.setenv("TEMPORAL_GRPC_META_TEAM", "golden")
    settings = Settings()
    assert settings.temporal_target == "temporal.example:7233"
    config = read_profile(settings.temporal_environment)
    assert (config["api_key"], config["tls"], config["rpc_metadata"]) == ("the-api-key", True, {"team": "golden"})
    assert "the-api-key" not in repr(settings) + str(settings.sources())


def test_a_profile_of_a_file_names_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = '[profile.default]\naddress = "cloud.example:7233"\nnamespace = "prod"\napi_key = "k"\n'
    (tmp_path / "temporal.toml").write_text(profile)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))
    settings = Settings()
    assert (settings.temporal_address, settings.temporal_namespace) == ("cloud.example:7233", "prod")
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "staging")
    assert Settings().temporal_namespace == "staging"


@pytest.mark.parametrize(
    "environment",
    [
        {"TEMPORAL_TLS_CLIENT_CERT_PATH": "/nowhere/cert.pem"},
        {"TEMPORAL_CONFIG_FILE": "/nowhere/temporal.toml", "TEMPORAL_PROFILE": "gone"},
    ],
)
def test_what_temporals_variables_name_and_is_not_there_is_told(environment: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="TEMPORAL_"):
        read_profile(environment)
