"""The ledger's entries, dead letters, circuits; and the ledger's moves as functions, each one round trip."""

from alembic import op

revision = "0008"
down_revision = "0007"

TENANT_TABLES = ("ledger_entries", "dead_letters")

# What is new has a default, so that the release before goes on beside it.
COLUMNS = """
ALTER TABLE tasks
    ADD COLUMN budget_micro_usd bigint CHECK (budget_micro_usd >= 0),
    ADD COLUMN held_micro_usd   bigint NOT NULL DEFAULT 0 CHECK (held_micro_usd >= 0),
    ADD COLUMN admissions       integer NOT NULL DEFAULT 0;
ALTER TABLE model_calls ADD COLUMN reserved_micro_usd bigint CHECK (reserved_micro_usd >= 0);
ALTER TABLE task_steps DROP CONSTRAINT task_steps_state_check, ADD CONSTRAINT task_steps_state_check
    CHECK (state IN ('running', 'done', 'failed', 'cancelled', 'parked'));
"""

# An entry says what it changed. On the tenant's account: what a task holds (`admit`, `top_up`) and gives back with
# what it spent (`close`). On the task's account: its calls. Sums over the entries are the columns of the accounts.
ENTRIES = """
CREATE TABLE ledger_entries (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    at             timestamptz NOT NULL DEFAULT now(),
    tenant         text NOT NULL,
    account        text NOT NULL CHECK (account IN ('tenant', 'task')),
    task_id        uuid NOT NULL REFERENCES tasks,
    step           text NOT NULL DEFAULT '',
    epoch          integer NOT NULL DEFAULT 0,
    ask            integer NOT NULL DEFAULT 0,
    dispatch       integer NOT NULL DEFAULT 0,
    kind           text NOT NULL CHECK (kind IN (
        'admit', 'top_up', 'close', 'reserve', 'sent', 'settle', 'uncertain', 'overrun', 'release', 'expire')),
    held_tokens    bigint NOT NULL DEFAULT 0,
    spent_tokens   bigint NOT NULL DEFAULT 0,
    held_micro_usd bigint NOT NULL DEFAULT 0,
    spent_micro_usd bigint NOT NULL DEFAULT 0,
    actor          text,
    -- A reservation writes two entries: each index more is written twice.
    PRIMARY KEY (tenant, id),
    UNIQUE (task_id, step, epoch, ask, dispatch, kind)
);
"""

LETTERS = """
CREATE TABLE dead_letters (
    id           uuid PRIMARY KEY,
    arrival      bigint GENERATED ALWAYS AS IDENTITY,
    tenant       text NOT NULL,
    task_id      uuid NOT NULL REFERENCES tasks,
    workflow_id  text NOT NULL,
    step         text NOT NULL,
    epoch        integer NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('model', 'sandbox', 'budget', 'price', 'vote', 'poison', 'internal')),
    cause        text NOT NULL,
    detail       text,
    attempts     integer NOT NULL,
    input        jsonb NOT NULL,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'redriven', 'discarded')),
    parked_at    timestamptz NOT NULL DEFAULT now(),
    decided_at   timestamptz,
    decided_by   text,
    reason       text,
    -- What a redrive changes: the models to ask, in their order, and when it begins.
    route        text[],
    resume_at    timestamptz,
    -- When its workflow read the decision.
    heard_at     timestamptz,
    -- The one request that decided on many.
    batch        uuid,
    UNIQUE (task_id, step, epoch)
);
CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, arrival DESC);
CREATE INDEX dead_letters_by_arrival ON dead_letters (arrival DESC);
CREATE INDEX dead_letters_by_batch ON dead_letters (batch) WHERE batch IS NOT NULL;
CREATE INDEX dead_letters_open ON dead_letters (tenant, arrival) WHERE state = 'open';
"""

# A circuit is the platform's: no tenant's rows, and no tenant sees them.
CIRCUITS = """
CREATE TABLE circuits (
    circuit      text PRIMARY KEY,
    state        text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half-open', 'paused')),
    since        timestamptz NOT NULL DEFAULT now(),
    calls        bigint NOT NULL DEFAULT 0,
    failures     bigint NOT NULL DEFAULT 0,
    slow         bigint NOT NULL DEFAULT 0,
    opened_total bigint NOT NULL DEFAULT 0,
    -- The last outcomes, one letter each, the newest last.
    recent       text NOT NULL DEFAULT '',
    -- How often in a row it opened without a success between: its pauses double with it.
    streak       integer NOT NULL DEFAULT 0,
    retry_at     timestamptz,
    probe_until  timestamptz,
    worker       text
);
CREATE TABLE circuit_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    circuit    text NOT NULL REFERENCES circuits,
    from_state text NOT NULL,
    to_state   text NOT NULL,
    cause      text NOT NULL,
    worker     text NOT NULL
);
CREATE INDEX circuit_changes_by_circuit ON circuit_changes (circuit, id DESC);
"""

# Each is one statement of the caller's, and so one transaction. They run as the caller, under its row-level security;
# setting the tenant gives nothing that the role could not set for itself.
RESERVE = """
CREATE FUNCTION ledger_reserve(
    p_tenant text, p_task uuid, p_step text, p_epoch integer, p_ask integer, p_dispatch integer,
    p_role text, p_model text, p_prompt_version text, p_tokens bigint, p_micro_usd bigint) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    task public.tasks%ROWTYPE;
BEGIN
    PERFORM set_config('golden.tenant', p_tenant, true);
    IF p_micro_usd IS NULL AND EXISTS (
        SELECT FROM public.accounts WHERE tenant = p_tenant AND limit_micro_usd IS NOT NULL) THEN
        RETURN 'unpriced';
    END IF;
    UPDATE public.tasks SET held_tokens = held_tokens + p_tokens,
                     held_micro_usd = held_micro_usd + coalesce(p_micro_usd, 0)
     WHERE task_id = p_task AND tenant = p_tenant
       AND state NOT IN ('accepted', 'rejected', 'failed', 'cancelled')
       AND spent_tokens + held_tokens + p_tokens <= budget_tokens
       AND (budget_micro_usd IS NULL OR (p_micro_usd IS NOT NULL
            AND spent_micro_usd + held_micro_usd + p_micro_usd <= budget_micro_usd));
    IF NOT FOUND THEN
        SELECT * INTO task FROM public.tasks WHERE task_id = p_task AND tenant = p_tenant;
        RETURN CASE
            WHEN task.task_id IS NULL OR task.state IN ('accepted', 'rejected', 'failed', 'cancelled') THEN 'gone'
            WHEN task.budget_micro_usd IS NOT NULL AND p_micro_usd IS NULL THEN 'unpriced'
            WHEN task.spent_tokens + p_tokens > task.budget_tokens
              OR task.spent_micro_usd + p_micro_usd > task.budget_micro_usd THEN 'spent'
            ELSE 'busy' END;
    END IF;
    INSERT INTO public.model_calls (task_id, step, epoch, ask, dispatch, tenant, role, model, prompt_version, state,
                                    reserved_tokens, reserved_micro_usd)
    VALUES (p_task, p_step, p_epoch, p_ask, p_dispatch, p_tenant, p_role, p_model, p_prompt_version, 'sent',
            p_tokens, p_micro_usd);
    INSERT INTO public.ledger_entries (tenant, account, task_id, step, epoch, ask, dispatch, kind,
                                       held_tokens, held_micro_usd)
    VALUES (p_tenant, 'task', p_task, p_step, p_epoch, p_ask, p_dispatch, 'reserve',
            p_tokens, coalesce(p_micro_usd, 0)),
           (p_tenant, 'task', p_task, p_step, p_epoch, p_ask, p_dispatch, 'sent', 0, 0);
    RETURN 'held';
END $$;
"""

# `p_kind` settle charges what was used, the part above the hold as an entry of its own; uncertain and expire charge
# the hold, release nothing.
SETTLE = """
CREATE FUNCTION ledger_settle(
    p_tenant text, p_task uuid, p_step text, p_epoch integer, p_ask integer, p_dispatch integer, p_kind text,
    p_input bigint, p_output bigint, p_micro_usd bigint, p_response text, p_body text, p_invalid text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hold bigint; hold_usd bigint; used bigint; used_usd bigint;
BEGIN
    PERFORM set_config('golden.tenant', p_tenant, true);
    IF p_body IS NOT NULL THEN
        INSERT INTO public.texts (tenant, digest, body) VALUES (p_tenant, p_response, p_body) ON CONFLICT DO NOTHING;
    END IF;
    -- The task before its calls, as everybody locks them.
    PERFORM FROM public.tasks WHERE task_id = p_task AND tenant = p_tenant FOR NO KEY UPDATE;
    UPDATE public.model_calls
       SET state = CASE p_kind WHEN 'settle' THEN 'settled' WHEN 'release' THEN 'settled' ELSE 'uncertain' END,
           input_tokens = p_input, output_tokens = p_output, micro_usd = p_micro_usd, response = p_response,
           invalid = p_invalid, ended_at = now()
     WHERE task_id = p_task AND step = p_step AND epoch = p_epoch AND ask = p_ask AND dispatch = p_dispatch
       AND tenant = p_tenant AND state = 'sent'
    RETURNING reserved_tokens, coalesce(reserved_micro_usd, 0) INTO hold, hold_usd;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    used := CASE p_kind WHEN 'settle' THEN p_input + p_output WHEN 'release' THEN 0 ELSE hold END;
    used_usd := CASE p_kind WHEN 'settle' THEN coalesce(p_micro_usd, 0) WHEN 'release' THEN 0 ELSE hold_usd END;
    UPDATE public.tasks SET held_tokens = held_tokens - hold, spent_tokens = spent_tokens + used,
                     held_micro_usd = held_micro_usd - hold_usd, spent_micro_usd = spent_micro_usd + used_usd
     WHERE task_id = p_task AND tenant = p_tenant;
    INSERT INTO public.ledger_entries (tenant, account, task_id, step, epoch, ask, dispatch, kind,
                                       held_tokens, spent_tokens, held_micro_usd, spent_micro_usd)
    VALUES (p_tenant, 'task', p_task, p_step, p_epoch, p_ask, p_dispatch, p_kind,
            -hold, least(used, hold), -hold_usd, least(used_usd, hold_usd));
    IF used > hold OR used_usd > hold_usd THEN
        INSERT INTO public.ledger_entries (tenant, account, task_id, step, epoch, ask, dispatch, kind,
                                           spent_tokens, spent_micro_usd)
        VALUES (p_tenant, 'task', p_task, p_step, p_epoch, p_ask, p_dispatch, 'overrun',
                greatest(used - hold, 0), greatest(used_usd - hold_usd, 0));
    END IF;
    RETURN true;
END $$;
"""

RIGHTS = """
GRANT SELECT, INSERT ON ledger_entries TO golden_service, golden_tenant;
GRANT SELECT, INSERT, UPDATE ON dead_letters TO golden_service, golden_tenant;
GRANT SELECT, INSERT, UPDATE ON circuits TO golden_service;
GRANT SELECT, INSERT ON circuit_changes TO golden_service;
GRANT EXECUTE ON FUNCTION
    ledger_reserve(text, uuid, text, integer, integer, integer, text, text, text, bigint, bigint),
    ledger_settle(text, uuid, text, integer, integer, integer, text, bigint, bigint, bigint, text, text, text)
    TO golden_service, golden_tenant;
"""

# Holds of the release before have no entries yet: what they are now is where the sums begin. The owner sees no row
# of a table whose row-level security is forced.
OPENING = """
ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY;
INSERT INTO ledger_entries (tenant, account, task_id, kind, held_tokens, held_micro_usd)
    SELECT tenant, 'tenant', task_id, 'admit', budget_tokens, 0 FROM tasks WHERE admitted;
INSERT INTO ledger_entries (tenant, account, task_id, kind, spent_tokens, spent_micro_usd)
    SELECT tenant, 'tenant', task_id, 'close', charged_tokens, charged_micro_usd FROM tasks
     WHERE charged_tokens > 0 OR charged_micro_usd > 0;
INSERT INTO ledger_entries (tenant, account, task_id, kind, held_tokens, spent_tokens, spent_micro_usd)
    SELECT tenant, 'task', task_id, 'settle', held_tokens, spent_tokens, spent_micro_usd FROM tasks
     WHERE held_tokens > 0 OR spent_tokens > 0;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
"""


def upgrade() -> None:
    for statements in (COLUMNS, ENTRIES, LETTERS, CIRCUITS, RESERVE, SETTLE, RIGHTS):
        op.execute(statements)
    op.execute(OPENING)
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service_all ON {table} TO golden_service USING (true) WITH CHECK (true)")
        own = "tenant = nullif(current_setting('golden.tenant', true), '')"
        op.execute(f"CREATE POLICY tenant_own ON {table} TO golden_tenant USING ({own}) WITH CHECK ({own})")
    for table in ("circuits", "circuit_changes"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service_all ON {table} TO golden_service USING (true) WITH CHECK (true)")
