"""One stack for a GOLDEN_HOME: the lock that its supervisor holds, and what it says of itself."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from schema.settings import Settings


@dataclass(frozen=True)
class Running:
    """The stack that holds the lock, as written in `run/stack.json`."""

    pid: int
    since: str
    ready: bool
    ports: dict[str, int]

    def __str__(self) -> str:
        return f"process {self.pid}, since {self.since}"


class AlreadyRunning(Exception):
    """Another stack holds the lock of this GOLDEN_HOME."""

    def __init__(self, settings: Settings, running: Running | None) -> None:
        who = f" ({running})" if running else ""
        super().__init__(f"a stack is running in {settings.home}{who}: stop it with `golden down`")


@contextmanager
def holding(settings: Settings) -> Iterator[None]:
    """Hold the lock; raises AlreadyRunning. The kernel frees it when we die, whatever the way."""
    settings.run_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _lock_file(settings).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(settings, running(settings)) from None
        yield


def running(settings: Settings) -> Running | None:
    """The stack that runs in this GOLDEN_HOME; a file that a killed one left is not believed."""
    told = _read(settings)
    return told if told is not None and _has_open(told.pid, _lock_file(settings)) else None


def left_over(settings: Settings) -> bool:
    """Whether the last stack ended without cleaning up."""
    return _state_file(settings).exists()


def describe(settings: Settings, *, ready: bool, ports: dict[str, int]) -> None:
    """Say who we are, for `golden up`, `down` and `doctor` of others."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = Running(pid=os.getpid(), since=now, ready=ready, ports=ports)
    draft = _state_file(settings).with_suffix(".new")
    draft.write_text(json.dumps(asdict(told), indent=2) + "\n")
    draft.replace(_state_file(settings))


def clear(settings: Settings) -> None:
    """Forget what `describe` said, at the end."""
    _state_file(settings).unlink(missing_ok=True)


def _lock_file(settings: Settings) -> Path:
    return settings.run_folder / "stack.lock"


def _state_file(settings: Settings) -> Path:
    return settings.run_folder / "stack.json"


def _read(settings: Settings) -> Running | None:
    try:
        return Running(**json.loads(_state_file(settings).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _has_open(pid: int, file: Path) -> bool:
    """Whether a process has the lock open: its number alone may be another's by now."""
    wanted = file.resolve()
    try:
        return any(entry.resolve() == wanted for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False
