"""Settings of what a disaster leaves: where PostgreSQL's log is kept, how soon and for how long."""

from pathlib import Path

from pydantic import PositiveInt, field_validator

from schema.transport import TransportSettings


class RecoverySettings(TransportSettings):
    """Of the one-machine stack's own PostgreSQL (docs/disaster-recovery.md)."""

    archive: Path | None = None
    """Where PostgreSQL's log is archived: a folder on another disk; `GOLDEN_HOME/archive` unless said otherwise."""
    archive_seconds: PositiveInt = 10
    """Seconds after which a part of PostgreSQL's log that is not full is archived: what a lost machine may lose."""
    archive_days: PositiveInt = 7
    """Days for which archived parts of PostgreSQL's log are kept."""

    @field_validator("archive")
    @classmethod
    def _absolute_archive(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()
