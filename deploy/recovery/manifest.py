"""What a backup holds: one file of JSON, written last, with the SHA-256 of every other file."""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from schema.errors import SettingsError
from schema.messages.base import Message
from schema.texts import canonical_json, digest_of

NAME = "manifest.json"


class RecoveryRefused(SettingsError):
    """A backup or a restore that can't be made as asked; the message names the remedy."""


class HeldFile(Message):
    """A file of the backup; `size` in bytes."""

    path: str
    size: int
    sha256: str


class HeldBook(Message):
    """The base backup of PostgreSQL.

    Attributes:
        first_segment: where recovery begins to read PostgreSQL's log.
        began_at: the book is complete up to this time at least.
    """

    system_identifier: str
    first_segment: str
    segment_bytes: int
    began_at: datetime


class HeldEngine(Message):
    """Temporal's store, as it was at one moment."""

    namespace: str
    taken_at: datetime


class Manifest(Message):
    """`head` is the newest migration of the book; what is none is not in this backup."""

    version: Literal[1] = 1
    name: str
    head: str
    began_at: datetime
    ended_at: datetime
    book: HeldBook
    engine: HeldEngine | None
    keys: bool
    anchors: bool
    files: tuple[HeldFile, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest, which stands for the whole backup."""
        return digest_of(canonical_json(self.model_dump(mode="json")))


def held_files(folder: Path) -> Iterator[HeldFile]:
    """Every file below a folder but the manifest, in order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != NAME:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield HeldFile(path=name, size=path.stat().st_size, sha256=digest)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a backup.

    Raises:
        RecoveryRefused: there is none: it is no backup, or one that was not finished.
    """
    try:
        return Manifest.model_validate_json((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise RecoveryRefused(f"{folder} has no {NAME}: it is no backup, or one that was not finished") from None
    except (OSError, ValidationError) as error:
        raise RecoveryRefused(f"{folder / NAME} can't be read ({type(error).__name__}): take another backup") from None


def verified(folder: Path) -> Manifest:
    """The manifest of a backup whose files are all there and as they were.

    Raises:
        RecoveryRefused: it is damaged; the first files that are wrong are named.
    """
    manifest = read_manifest(folder)
    found = {file.path: file for file in held_files(folder)}
    wanted = {file.path: file for file in manifest.files}
    bad = [f"{name} is missing" for name in sorted(wanted.keys() - found.keys())]
    bad += [f"{name} is not of this backup" for name in sorted(found.keys() - wanted.keys())]
    bad += [f"{name} is damaged" for name in sorted(wanted.keys() & found.keys()) if wanted[name] != found[name]]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise RecoveryRefused(f"{folder} is damaged: {'; '.join(bad[:5])}{more}: take another backup")
    return manifest
