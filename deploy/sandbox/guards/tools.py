"""Runs a tool of the image over files under names of ours, so that no name, folder or configuration of a candidate's
means anything to it. Standard library only."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TOOL_SECONDS = 8
MAX_OUTPUT = 32 * 1024 * 1024
INSIDE = Path("/usr/local/bin/ruff")


class ToolFailed(Exception):
    """A tool did not come to its end, or said what it never says."""


@contextmanager
def copied(texts: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """The files as copies of their own, by their paths; gone at the end. `__init__.py` keeps its name, which says
    something of it."""
    folder = Path(tempfile.mkdtemp(prefix="guards-"))
    try:
        copies = {}
        for number, (path, text) in enumerate(sorted(texts.items())):
            name = path.rsplit("/", 1)[-1]
            kept = (
                name if name in ("__init__.py", "__init__.pyi") else f"module{'.pyi' if name.endswith('i') else '.py'}"
            )
            copies[path] = folder / f"n{number:04}" / kept
            copies[path].parent.mkdir()
            copies[path].write_bytes(text.encode("utf-8", "replace"))
        yield copies
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def ruff(*arguments: str) -> str:
    """What ruff says.

    Raises:
        ToolFailed: it failed, crashed, took too long or said too much.
    """
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "RAYON_NUM_THREADS": "1", "HOME": "/nowhere"}
    command = [_ruff(), *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TOOL_SECONDS, env=environment, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolFailed(f"ruff: {type(error).__name__}") from error
    if done.returncode != 0:
        raise ToolFailed(f"ruff ended with {done.returncode}")
    if len(done.stdout) > MAX_OUTPUT:
        raise ToolFailed("ruff said too much")
    return done.stdout.decode("utf-8", "replace")


def _ruff() -> str:
    beside = Path(sys.executable).with_name("ruff")
    return str(INSIDE if INSIDE.exists() else beside if beside.exists() else shutil.which("ruff") or "ruff")
