"""Which task, or run of a program, a text is of: what is stored once for many goes when the last of them is erased."""

from alembic import op

revision = "0019"
down_revision = "0018"

# Of a program's run there is no other row: `of_run` is what retention finds it by.
USES = """
CREATE TABLE text_uses (
    tenant  text NOT NULL,
    digest  text NOT NULL,
    used_by uuid NOT NULL,
    of_run  boolean NOT NULL DEFAULT false,
    at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, digest, used_by),
    FOREIGN KEY (tenant, digest) REFERENCES texts
);
CREATE INDEX text_uses_by_user ON text_uses (tenant, used_by);
CREATE INDEX text_uses_of_runs ON text_uses (at) WHERE of_run;
GRANT SELECT, INSERT ON text_uses TO golden_service, golden_tenant;
ALTER TABLE text_uses ENABLE ROW LEVEL SECURITY;
ALTER TABLE text_uses FORCE ROW LEVEL SECURITY;
CREATE POLICY service_all ON text_uses TO golden_service USING (true) WITH CHECK (true);
CREATE POLICY tenant_own ON text_uses TO golden_tenant
    USING (tenant = nullif(current_setting('golden.tenant', true), ''))
    WITH CHECK (tenant = nullif(current_setting('golden.tenant', true), ''));
"""

# What a column names in clear is told by the database, so that the release before tells it too; what stands in sealed
# ones, by `put_text`.
TRIGGERS = """
CREATE FUNCTION note_text_use() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.text_uses (tenant, digest, used_by)
    SELECT t.tenant, t.digest, NEW.task_id FROM public.texts t
     WHERE t.tenant = NEW.tenant AND t.digest IN (
           to_jsonb(NEW) ->> 'spec', to_jsonb(NEW) ->> 'result', to_jsonb(NEW) ->> 'response')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION note_text_use() FROM PUBLIC;
CREATE TRIGGER tasks_note_spec AFTER INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION note_text_use();
CREATE TRIGGER tasks_note_result AFTER UPDATE OF result ON tasks FOR EACH ROW
    WHEN (NEW.result IS DISTINCT FROM OLD.result) EXECUTE FUNCTION note_text_use();
CREATE TRIGGER model_calls_note_response AFTER UPDATE OF response ON model_calls FOR EACH ROW
    WHEN (NEW.response IS DISTINCT FROM OLD.response) EXECUTE FUNCTION note_text_use();
"""

# The owner sees no row of a table whose row-level security is forced.
OPENING = """
ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY;
ALTER TABLE model_calls NO FORCE ROW LEVEL SECURITY;
ALTER TABLE texts NO FORCE ROW LEVEL SECURITY;
ALTER TABLE text_uses NO FORCE ROW LEVEL SECURITY;
INSERT INTO text_uses (tenant, digest, used_by, at)
    SELECT t.tenant, t.digest, k.task_id, k.submitted_at FROM tasks k
      JOIN texts t ON t.tenant = k.tenant AND t.digest IN (k.spec, k.result)
    UNION
    SELECT t.tenant, t.digest, c.task_id, k.submitted_at FROM model_calls c JOIN tasks k USING (task_id)
      JOIN texts t ON t.tenant = c.tenant AND t.digest = c.response
    ON CONFLICT DO NOTHING;
ALTER TABLE text_uses FORCE ROW LEVEL SECURITY;
ALTER TABLE texts FORCE ROW LEVEL SECURITY;
ALTER TABLE model_calls FORCE ROW LEVEL SECURITY;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
"""

# As in 0008 but for where the answer is stored.
SETTLE = """
CREATE OR REPLACE FUNCTION ledger_settle(
    p_tenant text, p_task uuid, p_step text, p_epoch integer, p_ask integer, p_dispatch integer, p_kind text,
    p_input bigint, p_output bigint, p_micro_usd bigint, p_response text, p_body text, p_invalid text) RETURNS boolean
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    hold bigint; hold_usd bigint; used bigint; used_usd bigint;
BEGIN
    PERFORM set_config('golden.tenant', p_tenant, true);
    -- The task before its calls, as everybody locks them.
    PERFORM FROM public.tasks WHERE task_id = p_task AND tenant = p_tenant FOR NO KEY UPDATE;
    -- An answer that nobody waits for any more is kept nowhere, or no erasure would find it.
    IF p_body IS NOT NULL AND EXISTS (
        SELECT FROM public.model_calls WHERE task_id = p_task AND step = p_step AND epoch = p_epoch AND ask = p_ask
           AND dispatch = p_dispatch AND tenant = p_tenant AND state = 'sent') THEN
        INSERT INTO public.texts (tenant, digest, body) VALUES (p_tenant, p_response, p_body) ON CONFLICT DO NOTHING;
    END IF;
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


def upgrade() -> None:
    for statements in (USES, TRIGGERS, OPENING, SETTLE):
        op.execute(statements)
