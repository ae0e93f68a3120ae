"""The tables of the book of record. Created by the migrations; this is how the code names them.

Every table carries the tenant: the database role `golden_tenant` sees the rows of one tenant only. The exceptions are
`rate_limits`, which nobody reads but the function `take_permits`, and the circuits, which are the platform's. What
users and models wrote is in sealed columns.
"""

from schema.tables.base import metadata
from schema.tables.doors import (
    audit_heads,
    audit_records,
    idempotency_keys,
    rate_limits,
    revocations,
    tokens,
    ui_sessions,
)
from schema.tables.erasing import erasures, text_uses
from schema.tables.learning import learning_updates
from schema.tables.prompts import (
    outcomes,
    prompt_approvals,
    prompt_bases,
    prompt_guidelines,
    prompt_limits,
    prompt_moves,
    prompt_pointers,
    prompt_versions,
)
from schema.tables.providers import circuit_changes, circuits
from schema.tables.spending import accounts, ledger_entries, model_calls
from schema.tables.voting import ballots, tenant_policies, truths
from schema.tables.work import dead_letters, decisions, task_ends, task_events, task_steps, tasks, texts

__all__ = [
    "accounts",
    "audit_heads",
    "audit_records",
    "ballots",
    "circuit_changes",
    "circuits",
    "dead_letters",
    "decisions",
    "erasures",
    "idempotency_keys",
    "learning_updates",
    "ledger_entries",
    "metadata",
    "model_calls",
    "outcomes",
    "prompt_approvals",
    "prompt_bases",
    "prompt_guidelines",
    "prompt_limits",
    "prompt_moves",
    "prompt_pointers",
    "prompt_versions",
    "rate_limits",
    "revocations",
    "task_ends",
    "task_events",
    "task_steps",
    "tasks",
    "tenant_policies",
    "text_uses",
    "texts",
    "tokens",
    "truths",
    "ui_sessions",
]
