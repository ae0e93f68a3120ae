"""The tables of the book of record. Created by the migrations; this is how the code names them.

Every table carries the tenant: the database role `golden_tenant` sees the rows of one tenant only. The exceptions are
`rate_limits`, which nobody reads but the function `take_permits`, and the circuits, which are the platform's. What
users and models wrote is in sealed columns.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from schema.columns import SealedJson, SealedText

metadata = MetaData()


def _at(name: str, *, nullable: bool = False) -> Column[DateTime]:
    return Column(name, DateTime(timezone=True), nullable=nullable)  # type: ignore[arg-type]


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
)

tasks = Table(
    "tasks",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("arrival", BigInteger, nullable=False),
    Column("title", SealedText("tasks.title"), nullable=False),
    Column("spec", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", SealedText("tasks.reason")),
    Column("submitted_by", Text, nullable=False),
    _at("submitted_at"),
    _at("updated_at"),
    Column("cancel_requested_by", Text),
    Column("event_sequence", Integer, nullable=False),
    Column("budget_tokens", BigInteger, nullable=False),
    Column("spent_tokens", BigInteger, nullable=False),
    Column("held_tokens", BigInteger, nullable=False),
    Column("budget_micro_usd", BigInteger),
    Column("spent_micro_usd", BigInteger, nullable=False),
    Column("held_micro_usd", BigInteger, nullable=False),
    Column("charged_tokens", BigInteger, nullable=False),
    Column("charged_micro_usd", BigInteger, nullable=False),
    Column("admitted", Boolean, nullable=False),
    Column("admissions", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("parent", Uuid),
    Column("result", Text),
)

texts = Table(
    "texts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("body", SealedText("texts.body"), nullable=False),
)

task_events = Table(
    "task_events",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("data", SealedJson("task_events.data"), nullable=False),
)

task_steps = Table(
    "task_steps",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("step", Text, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", Text, nullable=False),
    _at("started_at"),
    _at("ended_at", nullable=True),
    Column("result", SealedJson("task_steps.result")),
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
    _at("sent_at"),
    _at("ended_at", nullable=True),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _at("at"),
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
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("arrival", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("task_id", Uuid, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", SealedText("dead_letters.detail")),
    Column("attempts", Integer, nullable=False),
    Column("input", SealedJson("dead_letters.input"), nullable=False),
    Column("state", Text, nullable=False),
    _at("parked_at"),
    _at("decided_at", nullable=True),
    Column("decided_by", Text),
    Column("reason", SealedText("dead_letters.reason")),
    Column("route", ARRAY(Text)),
    _at("resume_at", nullable=True),
    _at("heard_at", nullable=True),
    Column("batch", Uuid),
)

circuits = Table(
    "circuits",
    metadata,
    Column("circuit", Text, primary_key=True),
    Column("state", Text, nullable=False),
    _at("since"),
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("slow", BigInteger, nullable=False),
    Column("opened_total", BigInteger, nullable=False),
    Column("recent", Text, nullable=False),
    Column("streak", Integer, nullable=False),
    _at("retry_at", nullable=True),
    _at("probe_until", nullable=True),
    Column("worker", Text),
)

circuit_changes = Table(
    "circuit_changes",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _at("at"),
    Column("circuit", Text, nullable=False),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("worker", Text, nullable=False),
)

decisions = Table(
    "decisions",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", SealedText("decisions.reason"), nullable=False),
    Column("actor", Text, nullable=False),
    _at("decided_at"),
)

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
    _at("at"),
)

truths = Table(
    "truths",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("good", Boolean, nullable=False),
    Column("actor", Text, nullable=False),
    _at("at"),
)

tenant_policies = Table(
    "tenant_policies",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("policy", JSONB, nullable=False),
    Column("updated_by", Text, nullable=False),
    _at("updated_at"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("route", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_digest", Text, nullable=False),
    Column("task_id", Uuid, nullable=False),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    _at("at"),
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
)

audit_heads = Table(
    "audit_heads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("key", Text, primary_key=True),
    Column("taken", ARRAY(DateTime(timezone=True)), nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("jti", Text, primary_key=True),
    Column("arrival", BigInteger, nullable=False),
    Column("sub", Text, nullable=False),
    Column("role", Text, nullable=False),
    _at("issued_at"),
    _at("expires_at"),
    Column("issued_by", Text),
)

revocations = Table(
    "revocations",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("jti", Text),
    Column("sub", Text),
    _at("issued_before", nullable=True),
    Column("reason", SealedText("revocations.reason")),
    Column("revoked_by", Text, nullable=False),
    _at("revoked_at"),
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
    _at("expires_at"),
)
