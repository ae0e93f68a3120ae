"""Prompts: bases, guidelines, versions and where the pointers are; what each step of a role came to.

Only the database's functions write them (migrations 0013 and 0014), but for guidelines and outcomes.
"""

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from schema.columns import SealedText
from schema.tables.base import at, metadata

prompt_bases = Table(
    "prompt_bases",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("role", Text, nullable=False),
    Column("base", Text, nullable=False),
    at("installed_at"),
    comment="The base prompts of each release",
)

prompt_guidelines = Table(
    "prompt_guidelines",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("guideline", SealedText("prompt_guidelines.guideline"), nullable=False),
    at("created_at"),
    comment="The texts that a guideline of a version has",
)

prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("arrival", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("guidelines", ARRAY(Uuid), nullable=False),
    Column("digest", Text, nullable=False),
    Column("parent", Uuid),
    Column("kind", Text, nullable=False),
    Column("update_id", Uuid),
    Column("proposer", Text, nullable=False),
    Column("approver", Text, nullable=False),
    at("at"),
    at("created_at"),
    comment="Immutable prompts: a base and its guidelines in order",
)

prompt_pointers = Table(
    "prompt_pointers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("active", Uuid, nullable=False),
    Column("canary", Uuid),
    Column("canary_update", Uuid),
    Column("canary_share", Integer),
    at("canary_since", nullable=True),
    comment="Which version of a role's prompt is active, and which is tried",
)

prompt_moves = Table(
    "prompt_moves",
    metadata,
    Column("id", BigInteger, primary_key=True),
    at("at"),
    Column("tenant", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("from_version", Uuid),
    Column("to_version", Uuid, nullable=False),
    Column("update_id", Uuid),
    Column("actor", Text, nullable=False),
    Column("reason", SealedText("prompt_moves.reason"), nullable=False),
    Column("cooldown", Boolean, nullable=False),
    comment="Each move of a pointer, by whom and why",
)

prompt_limits = Table(
    "prompt_limits",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("max_per_day", Integer, nullable=False),
    Column("cooldown_hours", Integer, nullable=False),
    Column("approval", Text, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("canary_share", Integer, nullable=False),
    comment="How often a role's prompt may change, and who approves",
)

prompt_approvals = Table(
    "prompt_approvals",
    metadata,
    Column("update_id", Uuid, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("actor", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    at("at"),
    comment="Who approved which digest of a proposal",
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("prompt_version", Uuid),
    Column("model", Text, nullable=False),
    Column("spec", Text, nullable=False),
    Column("rules", ARRAY(Text), nullable=False),
    Column("findings", JSONB, nullable=False),
    Column("repair_rounds", Integer, nullable=False),
    Column("ballot", Text),
    Column("failed", Boolean),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    at("at"),
    comment="What each step of an ended task came to: what is learned from",
)
