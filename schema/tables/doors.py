"""Who comes in: tokens, sessions, limits, keys of requests, and the audit log of what they did."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, LargeBinary, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

from schema.columns import SealedText
from schema.tables.base import at, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_digest", Text, nullable=False),
    Column("task_id", Uuid, nullable=False),
    comment="The answers to requests with an Idempotency-Key",
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    at("at"),
    Column("actor", Text, nullable=False),
    Column("role", Text),
    Column("action", Text, nullable=False),
    Column("object", Text),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("request_id", Text),
    Column("trace_id", Text),
    Column("digest", Text),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
    comment="The audit log: one hash chain a tenant, append-only",
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    comment="The last record of each chain",
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", Text, primary_key=True),
    Column("taken", ARRAY(DateTime(timezone=True)), nullable=False),
    comment="Permits that were taken in the last minute; only `take_permits` reads them",
)

tokens = Table(
    "tokens",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("arrival", BigInteger, nullable=False),
    Column("sub", Text, nullable=False),
    Column("role", Text, nullable=False),
    at("issued_at"),
    at("expires_at"),
    Column("issued_by", Text),
    comment="Tokens that were issued here; never the tokens themselves",
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("jti", Text),
    Column("sub", Text),
    at("issued_before", nullable=True),
    Column("reason", SealedText("revocations.reason")),
    Column("revoked_by", Text, nullable=False),
    at("revoked_at"),
    comment="Tokens and principals that are no longer believed",
)

ui_sessions = Table(
    "ui_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("sub", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("named", Boolean, nullable=False),
    Column("token", LargeBinary, nullable=False),
    at("expires_at"),
    comment="One-time links to the Temporal UI and the sessions they became",
)
