"""PostgreSQL's `archive_command` and `restore_command`: puts one file of its log into the archive, or gets it back.

Run by itself, with nothing but the standard library, since PostgreSQL starts it for each file:

    python -I -S segment.py put DAYS FOLDER NAME PATH
    python -I -S segment.py get FOLDER NAME PATH

Exit code 0 is done and durable; any other is not done, which PostgreSQL takes as such.
"""

import contextlib
import gzip
import os
import re
import sys
import time
import zlib
from pathlib import Path

NAME = re.compile(r"[0-9A-F]{8}(\.history|[0-9A-F]{16}(\.partial|\.[0-9A-F]{8}\.backup)?)")
SUFFIX = ".gz"
LEVEL = 1
"""Most of a part that was closed before it was full are zeros."""
DAY_SECONDS = 86_400


def put(folder: Path, name: str, source: Path) -> None:
    """Keep a file, durably; one that is kept already must be the same.

    Raises:
        OSError, ValueError: it is not kept.
    """
    content, target = source.read_bytes(), folder / (name + SUFFIX)
    if target.exists():
        if gzip.decompress(target.read_bytes()) != content:
            raise ValueError(f"{target} is of another history")
        return
    draft = folder / f".{name}.{os.getpid()}"
    with draft.open("wb") as file:
        file.write(gzip.compress(content, LEVEL, mtime=0))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(target)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def get(folder: Path, name: str, target: Path) -> None:
    """Bring a file back.

    Raises:
        OSError, EOFError: it is not there, or is damaged.
    """
    target.write_bytes(gzip.decompress((folder / (name + SUFFIX)).read_bytes()))


def prune(folder: Path, days: int) -> None:
    """Forget what is older; the histories of the timelines stay."""
    oldest = time.time() - days * DAY_SECONDS
    for path in folder.iterdir():
        if not path.name.endswith(".history" + SUFFIX) and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """As PostgreSQL calls it."""
    order, *rest = arguments
    days = int(rest.pop(0)) if order == "put" else 0
    folder, name, path = Path(rest[0]), rest[1], Path(rest[2])
    try:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name} is no file of PostgreSQL's log")
        if order == "get":
            get(folder, name, path)
            return 0
        put(folder, name, path)
        if name.endswith("0"):  # now and then
            with contextlib.suppress(OSError):
                prune(folder, days)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        if order == "put":
            print(f"{name} is not archived: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
