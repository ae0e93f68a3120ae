"""Which text is of what, and what was erased."""

from sqlalchemy import BigInteger, Boolean, Column, Table, Text, Uuid

from schema.tables.base import at, metadata

text_uses = Table(
    "text_uses",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("used_by", Uuid, primary_key=True),
    Column("of_run", Boolean, nullable=False),
    at("at"),
    comment="Which task, or run of a program, a text is of: it goes with the last of them",
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("task_id", Uuid),
    Column("asked_by", Text, nullable=False),
    at("erased_at"),
    Column("tasks", BigInteger, nullable=False),
    Column("texts", BigInteger, nullable=False),
    Column("shared", BigInteger, nullable=False),
    at("completed_at", nullable=True),
    comment="What was erased, by whom and when, and when the last of it was gone from Temporal too",
)
