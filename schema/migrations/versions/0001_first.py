"""The first tables: accounts, tasks and their texts, events, steps, model calls, decisions, keys."""

from alembic import op

revision = "0001"
down_revision = None

TENANT_TABLES = (
    "accounts",
    "tasks",
    "texts",
    "task_events",
    "task_steps",
    "model_calls",
    "decisions",
    "idempotency_keys",
)

TABLES = """
CREATE TABLE accounts (
    tenant          text PRIMARY KEY,
    limit_tokens    bigint CHECK (limit_tokens >= 0),
    spent_tokens    bigint NOT NULL DEFAULT 0 CHECK (spent_tokens >= 0),
    held_tokens     bigint NOT NULL DEFAULT 0 CHECK (held_tokens >= 0),
    limit_micro_usd bigint CHECK (limit_micro_usd >= 0),
    spent_micro_usd bigint NOT NULL DEFAULT 0 CHECK (spent_micro_usd >= 0),
    held_micro_usd  bigint NOT NULL DEFAULT 0 CHECK (held_micro_usd >= 0),
    slots           integer NOT NULL CHECK (slots >= 0),
    slots_used      integer NOT NULL DEFAULT 0 CHECK (slots_used >= 0)
);

CREATE TABLE tasks (
    task_id             uuid PRIMARY KEY,
    tenant              text NOT NULL,
    arrival             bigint GENERATED ALWAYS AS IDENTITY,
    title               text NOT NULL,
    spec                text NOT NULL,
    state               text NOT NULL DEFAULT 'submitted' CHECK (state IN (
        'submitted', 'queued', 'planning', 'developing', 'proving', 'repairing', 'voting', 'escalated', 'parked',
        'accepted', 'rejected', 'failed', 'cancelled')),
    reason              text,
    submitted_by        text NOT NULL,
    submitted_at        timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now(),
    cancel_requested_by text,
    event_sequence      integer NOT NULL DEFAULT 0,
    budget_tokens       bigint NOT NULL CHECK (budget_tokens > 0),
    spent_tokens        bigint NOT NULL DEFAULT 0 CHECK (spent_tokens >= 0),
    held_tokens         bigint NOT NULL DEFAULT 0 CHECK (held_tokens >= 0),
    spent_micro_usd     bigint NOT NULL DEFAULT 0 CHECK (spent_micro_usd >= 0),
    charged_tokens      bigint NOT NULL DEFAULT 0,
    charged_micro_usd   bigint NOT NULL DEFAULT 0,
    admitted            boolean NOT NULL DEFAULT false,
    result              text
);
CREATE INDEX tasks_by_tenant ON tasks (tenant, arrival DESC);
-- The open tasks are few beside all that ever were: admission and Reconcile read only these.
CREATE INDEX tasks_open ON tasks (tenant, arrival)
    WHERE state NOT IN ('accepted', 'rejected', 'failed', 'cancelled');

CREATE TABLE texts (
    tenant text NOT NULL,
    digest text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    body   text NOT NULL,
    PRIMARY KEY (tenant, digest)
);

CREATE TABLE task_events (
    task_id  uuid NOT NULL REFERENCES tasks,
    sequence integer NOT NULL,
    tenant   text NOT NULL,
    event    text NOT NULL CHECK (event IN ('state', 'step', 'candidate', 'ballot', 'verdict')),
    data     jsonb NOT NULL,
    PRIMARY KEY (task_id, sequence)
);

CREATE TABLE task_steps (
    task_id    uuid NOT NULL REFERENCES tasks,
    step       text NOT NULL,
    epoch      integer NOT NULL,
    tenant     text NOT NULL,
    state      text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    detail     text NOT NULL DEFAULT '',
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    result     jsonb,
    PRIMARY KEY (task_id, step, epoch)
);

CREATE TABLE model_calls (
    task_id         uuid NOT NULL REFERENCES tasks,
    step            text NOT NULL,
    epoch           integer NOT NULL,
    ask             integer NOT NULL,
    dispatch        integer NOT NULL,
    tenant          text NOT NULL,
    role            text NOT NULL,
    model           text NOT NULL,
    prompt_version  text NOT NULL,
    state           text NOT NULL CHECK (state IN ('sent', 'settled', 'uncertain')),
    reserved_tokens bigint NOT NULL CHECK (reserved_tokens >= 0),
    input_tokens    bigint,
    output_tokens   bigint,
    micro_usd       bigint,
    response        text,
    invalid         text,
    sent_at         timestamptz NOT NULL DEFAULT now(),
    ended_at        timestamptz,
    PRIMARY KEY (task_id, step, epoch, ask, dispatch)
);

CREATE TABLE decisions (
    task_id    uuid PRIMARY KEY REFERENCES tasks,
    tenant     text NOT NULL,
    decision   text NOT NULL CHECK (decision IN ('accept', 'reject')),
    reason     text NOT NULL,
    actor      text NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE idempotency_keys (
    tenant      text NOT NULL,
    principal   text NOT NULL,
    route       text NOT NULL,
    key         text NOT NULL,
    body_digest text NOT NULL,
    task_id     uuid NOT NULL,
    PRIMARY KEY (tenant, principal, route, key)
);
"""

# Wakes whoever follows a task's events; the payload is the task's id and nothing else.
NOTIFY = """
CREATE FUNCTION notify_task_event() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_notify('golden_task_events', NEW.task_id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER task_events_notify AFTER INSERT ON task_events
    FOR EACH ROW EXECUTE FUNCTION notify_task_event();
"""

GRANTS = """
GRANT USAGE ON SCHEMA public TO golden_service, golden_tenant;
GRANT SELECT, INSERT, UPDATE ON accounts, tasks, task_steps, model_calls TO golden_service, golden_tenant;
-- What is written once stays as it was written.
GRANT SELECT, INSERT ON texts, task_events, decisions, idempotency_keys TO golden_service, golden_tenant;
-- The gateway is ready only when the database has this release's tables.
GRANT SELECT ON alembic_version TO golden_service, golden_tenant;
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(NOTIFY)
    op.execute(GRANTS)
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service_all ON {table} TO golden_service USING (true) WITH CHECK (true)")
        # The empty string is what a pooled connection carries after a transaction: it is no tenant.
        op.execute(
            f"CREATE POLICY tenant_own ON {table} TO golden_tenant "
            "USING (tenant = nullif(current_setting('golden.tenant', true), '')) "
            "WITH CHECK (tenant = nullif(current_setting('golden.tenant', true), ''))"
        )
