"""Ballots, what became known of them later, and the tenants' policies."""

from sqlalchemy import Boolean, Column, Double, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from schema.columns import SealedText
from schema.tables.base import at, metadata

ballots = Table(
    "ballots",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("vote", Integer, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("voter", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("choice", Text, nullable=False),
    Column("confidence", Double),
    Column("weight", Integer, nullable=False),
    Column("effective_weight", Integer, nullable=False),
    Column("late", Boolean, nullable=False),
    at("at"),
    comment="Every ballot of every vote, with its weight and the reasons",
)

truths = Table(
    "truths",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("good", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", SealedText("truths.reason")),
    at("at"),
    comment="What became known later of candidates that were voted on",
)

tenant_policies = Table(
    "tenant_policies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("policy", JSONB, nullable=False),
    Column("updated_by", Text, nullable=False),
    at("updated_at"),
    comment="How a tenant's votes are held",
)
