"""What tasks are, what became of them, and what is said about them."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from schema.columns import SealedJson, SealedText
from schema.tables.base import at, metadata

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
    at("submitted_at"),
    at("updated_at"),
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
    Column("prompts", JSONB),
    Column("result", Text),
    Column("traceparent", Text),
    at("erased_at", nullable=True),
    comment="One row a task, a vote by itself or a proposal's evaluation: its state, budget and pinned prompts",
)

texts = Table(
    "texts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("body", SealedText("texts.body"), nullable=False),
    comment="What users and models wrote, once a tenant by its SHA-256",
)

task_events = Table(
    "task_events",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("data", SealedJson("task_events.data"), nullable=False),
    comment="What happened to a task, in order: the source of its event stream",
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
    at("started_at"),
    at("ended_at", nullable=True),
    Column("result", SealedJson("task_steps.result")),
    comment="One row a step and epoch: a step that is done answers from it",
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
    at("parked_at"),
    at("decided_at", nullable=True),
    Column("decided_by", Text),
    Column("reason", SealedText("dead_letters.reason")),
    Column("route", ARRAY(Text)),
    at("resume_at", nullable=True),
    at("heard_at", nullable=True),
    Column("batch", Uuid),
    comment="Steps whose attempts are spent, and what was decided on them",
)

decisions = Table(
    "decisions",
    metadata,
    Column("task_id", Uuid, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", SealedText("decisions.reason"), nullable=False),
    Column("actor", Text, nullable=False),
    at("decided_at"),
    comment="What people decided on escalated tasks",
)

task_ends = Table(
    "task_ends",
    metadata,
    Column("state", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    comment="How many tasks ended, by final state: the sum of its rows, which a trigger adds and the exporter folds",
)
