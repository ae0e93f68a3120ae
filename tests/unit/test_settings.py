"""What the settings show of themselves."""

from pathlib import Path

from schema.settings import Settings


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
