"""The circuits of model providers."""

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from schema.tables.base import at, metadata

circuits = Table(
    "circuits",
    metadata,
    Column("circuit", Text, primary_key=True),
    Column("state", Text, nullable=False),
    at("since"),
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("slow", BigInteger, nullable=False),
    Column("opened_total", BigInteger, nullable=False),
    Column("recent", Text, nullable=False),
    Column("streak", Integer, nullable=False),
    at("retry_at", nullable=True),
    at("probe_until", nullable=True),
    Column("worker", Text),
    comment="The state of each provider's circuit, as the fleet sees it",
)

circuit_changes = Table(
    "circuit_changes",
    metadata,
    Column("id", BigInteger, primary_key=True),
    at("at"),
    Column("circuit", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("worker", Text, nullable=False),
    comment="Each change of a circuit's state, and who saw it",
)
