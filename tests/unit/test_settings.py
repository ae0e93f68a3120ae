"""What the settings show of themselves."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from schema.settings import DEFAULT_RATE_LIMITS, Settings


def shown(settings: Settings) -> dict[str, str]:
    return {row["name"]: row["value"] for row in settings.sources()}


def test_no_secret_is_shown() -> None:
    settings = Settings(
        token="SECRET",
        database_url="postgresql://user:SECRET@host/db",
        models='{default: [{model: "openai:x", api_key: "SECRET"}]}',
    )
    assert "SECRET" not in str(settings.sources())
    assert shown(settings)["GOLDEN_MODELS"] == "(text)"


def test_a_file_of_routes_is_shown_by_its_name() -> None:
    assert shown(Settings(models="/etc/golden/models.yaml"))["GOLDEN_MODELS"] == "/etc/golden/models.yaml"


def test_the_database_is_reached_through_a_socket_whose_path_fits_and_is_quoted() -> None:
    assert "home%2Bold" in Settings(home=Path("/srv/home+old")).database("service")
    deep = Settings(home=Path("/srv") / ("x" * 120))
    assert len(str(deep.postgres_socket)) < 100


def test_trusted_proxies_are_addresses_and_networks() -> None:
    settings = Settings(trusted_proxies="10.0.0.1, 10.1.0.0/16,fd00::/8,")
    assert shown(settings)["GOLDEN_TRUSTED_PROXIES"] == "10.0.0.1/32,10.1.0.0/16,fd00::/8"
    assert Settings().trusted_proxies == ()


@pytest.mark.parametrize("value", ["proxy.internal", "10.1.0.1/16", "0.0.0.0/0", "::/0", "10.0.0.1;10.0.0.2", "*"])
def test_proxies_that_cannot_be_meant_are_refused_by_name(value: str) -> None:
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies=value)


@pytest.mark.parametrize("value", ["0", "-1", "10001", "ten"])
def test_a_limit_of_the_sandbox_route_is_a_sensible_number(value: str) -> None:
    with pytest.raises(ValidationError, match="sandbox_per_minute"):
        Settings(sandbox_per_minute=value)


def test_limits_are_given_by_role_over_the_defaults_and_shown_as_they_are_given() -> None:
    settings = Settings(rate_limits="viewer=7, approver=21,")

    assert settings.rate_limits == DEFAULT_RATE_LIMITS | {"viewer": 7, "approver": 21}
    assert "viewer=7,unauthenticated=30" in shown(settings)["GOLDEN_RATE_LIMITS"]
    assert Settings().rate_limits == {
        **{"admin": 100, "operator": 60, "developer": 30, "approver": 20, "viewer": 5},
        "unauthenticated": 30,
    }


@pytest.mark.parametrize("value", ["viewer", "viewer=0", "viewer=-1", "viewer=10001", "viewer=x", "root=5", "=5"])
def test_a_limit_that_cannot_be_meant_is_refused_by_name(value: str) -> None:
    with pytest.raises(ValidationError, match="rate_limits"):
        Settings(rate_limits=value)


def test_the_anchors_are_kept_in_the_home_unless_said_otherwise() -> None:
    assert Settings(home=Path("/srv/golden")).audit_anchor_file == Path("/srv/golden/audit-anchor.jsonl")
    assert Settings(audit_anchor=Path("/mnt/anchors")).audit_anchor_file == Path("/mnt/anchors")
