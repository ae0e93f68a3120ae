"""The archive of PostgreSQL's log: where it is, how PostgreSQL fills it, and whether nothing is missing from it."""

import gzip
import os
import re
import shlex
import struct
import sys
import zlib
from pathlib import Path

from deploy.recovery import segment
from schema.settings import Settings

SCRIPT = Path(segment.__file__).resolve()
LOG_ID = 0x100000000
"""Segments are numbered by a timeline, the high and the low half of a position; a low half counts segments."""

_SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})\.gz")


def archive_root(settings: Settings) -> Path:
    """The folder of all archives; each database's own is in it, so that a new one never meets an old one's files."""
    return settings.archive or settings.home / "archive"


def system_identifier(data: Path) -> str:
    """The number that `initdb` gave to a cluster: the first 8 bytes of its control file."""
    with (data / "global" / "pg_control").open("rb") as file:
        return str(struct.unpack("=Q", file.read(8))[0])


def archive_of(settings: Settings, data: Path) -> Path:
    """The archive of a data folder."""
    return archive_root(settings) / system_identifier(data)


def archive_options(settings: Settings, data: Path) -> dict[str, str]:
    """The server's settings that archive its log."""
    folder = archive_of(settings, data)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return {
        "archive_mode": "on",
        "archive_command": _command("put", str(settings.archive_days), str(folder), names='%f "%p"'),
        "archive_timeout": f"{settings.archive_seconds}s",
    }


def restore_command(folder: Path) -> str:
    """The setting by which a server that recovers gets files back."""
    return _command("get", str(folder), names='%f "%p"')


def _command(*words: str, names: str) -> str:
    """For PostgreSQL's shell: each word quoted, each per cent sign of ours doubled, then its own names."""
    program = (sys.executable, "-I", "-S", str(SCRIPT), *words)
    return f"{shlex.join(program).replace('%', '%%')} {names}"


def faults(folder: Path, first: str, segment_bytes: int) -> list[str]:
    """What is missing or damaged from the segment `first` on, the first fault first; nothing if all is well.

    A later timeline goes on where it left the one before: what counts is that each position is there on one of them.
    """
    found: dict[int, list[Path]] = {}
    for path in folder.iterdir() if folder.exists() else ():
        named = _SEGMENT.fullmatch(path.name)
        if named is not None:
            found.setdefault(_position(*named.groups()[1:], segment_bytes=segment_bytes), []).append(path)
    begin = _position(first[8:16], first[16:24], segment_bytes=segment_bytes)
    wanted = [position for position in found if position >= begin]
    if not wanted:
        return []
    missing = (position for position in range(begin, max(wanted)) if position not in found)
    told = [f"{first[:8]}{_name(position, segment_bytes)} is missing" for position in missing]
    return told + [f"{path.name} is damaged" for position in sorted(wanted) for path in found[position] if _bad(path)]


def _position(high: str, low: str, *, segment_bytes: int) -> int:
    return int(high, 16) * (LOG_ID // segment_bytes) + int(low, 16)


def _name(position: int, segment_bytes: int) -> str:
    high, low = divmod(position, LOG_ID // segment_bytes)
    return f"{high:08X}{low:08X}"


def _bad(path: Path) -> bool:
    try:
        with gzip.open(path) as file:
            while file.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error):
        return True
    return not os.access(path, os.R_OK)
