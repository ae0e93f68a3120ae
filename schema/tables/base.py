"""What all tables share."""

from sqlalchemy import Column, DateTime, MetaData

metadata = MetaData()


def at(name: str, *, nullable: bool = False) -> Column[DateTime]:
    """A moment, with its time zone."""
    return Column(name, DateTime(timezone=True), nullable=nullable)  # type: ignore[arg-type]
