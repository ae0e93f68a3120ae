"""What tenants and tasks may spend, and every charge."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text, Uuid

from schema.columns import SealedText
from schema.tables.base import at, metadata

accounts = Table(
    "accounts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("limit_tokens", BigInteger),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("held_tokens", BigInteger, nullable=False),
    Column("limit_micro_usd", BigInteger),
    Column("spent_micro_usd", BigInteger, nullable=False),
    Column("held_micro_usd", BigInteger, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("slots_used", Integer, nullable=False),
    comment="A tenant's limits, what is spent and held of them, and its slots",
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("ask", Integer, primary_key=True),
    Column("dispatch", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reserved_tokens", BigInteger, nullable=False),
    Column("reserved_micro_usd", BigInteger),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("micro_usd", BigInteger),
    Column("response", Text),
    Column("invalid", SealedText("model_calls.invalid")),
    at("sent_at"),
    at("ended_at", nullable=True),
    comment="Every dispatch to a model provider, from before its bytes leave",
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, primary_key=True),
    at("at"),
    Column("tenant", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("task_id", Uuid, nullable=False),
    Column("step", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("ask", Integer, nullable=False),
    Column("dispatch", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("held_tokens", BigInteger, nullable=False),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("held_micro_usd", BigInteger, nullable=False),
    Column("spent_micro_usd", BigInteger, nullable=False),
    Column("actor", Text),
    comment="Every move of tokens and money, append-only; their sums are the accounts",
)
