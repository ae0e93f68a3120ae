"""What changes how agents work: proposals, and what became of them."""

from sqlalchemy import BigInteger, Column, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from schema.columns import SealedJson, SealedText
from schema.tables.base import at, metadata

learning_updates = Table(
    "learning_updates",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("arrival", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("diff", SealedJson("learning_updates.diff"), nullable=False),
    Column("evidence", SealedJson("learning_updates.evidence"), nullable=False),
    Column("evaluation", JSONB),
    Column("parent", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    at("proposed_at"),
    at("expires_at", nullable=True),
    at("decided_at", nullable=True),
    Column("decided_by", Text),
    Column("reason", SealedText("learning_updates.reason")),
    at("settled_at", nullable=True),
    Column("op", Text),
    Column("old_guideline", Uuid),
    Column("new_guideline", Uuid),
    Column("parent_version", Uuid),
    Column("version", Uuid),
    Column("pattern", Text),
    at("not_before", nullable=True),
    Column("waits_for", Text),
    at("escalated_at", nullable=True),
    at("canary_at", nullable=True),
    comment="Proposals: a prompt's guideline or the voters' weights, from evidence to adopted or rejected",
)
