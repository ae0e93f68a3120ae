"""Which pages there are, and what makes each."""

from collections.abc import Callable
from pathlib import Path

from deploy.reference import api, cli, metrics, settings, states, tables

FOLDER = Path(__file__).parents[2] / "docs" / "reference"

PAGES: dict[str, Callable[[], str]] = {
    "api.md": api.page,
    "cli.md": cli.page,
    "metrics.md": metrics.page,
    "settings.md": settings.page,
    "states.md": states.page,
    "tables.md": tables.page,
}
