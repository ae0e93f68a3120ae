"""A real browser for tests: Debian's Chromium without a window, with a profile of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

BINARY = shutil.which("chromium")


def require_chromium() -> None:
    """Skip where there is no Chromium, with the remedy; in CI that is a failure."""
    if BINARY is None:
        reason = "Chromium is not installed: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class Browser:
    """Keeps its cookies in `profile` from page to page, as a person's browser does."""

    def __init__(self, profile: Path) -> None:
        self._profile = profile

    def text_of(self, url: str, *, seconds: int = 15) -> str:
        """The page's document after its scripts have had time; `seconds` are the page's own, and pass faster."""
        assert BINARY is not None
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
        command = (
            *(BINARY, *flags, f"--user-data-dir={self._profile}", "--window-size=1600,3000"),
            *(f"--virtual-time-budget={seconds * 1000}", "--dump-dom", url),
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout
