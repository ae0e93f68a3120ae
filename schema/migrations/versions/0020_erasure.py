"""Erasure: what users and models wrote goes, what it cost and who did it stays."""

from alembic import op

revision = "0020"
down_revision = "0019"

# What stays of a task is its row without its words; `erasures` says when they went, and whether Temporal's histories
# have gone too. A row without a task is of the whole tenant.
TABLES = """
ALTER TABLE tasks ADD COLUMN erased_at timestamptz;
CREATE INDEX tasks_to_erase ON tasks (updated_at)
    WHERE erased_at IS NULL AND state IN ('accepted', 'rejected', 'failed', 'cancelled');
CREATE TABLE erasures (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    tenant       text NOT NULL,
    task_id      uuid UNIQUE REFERENCES tasks,
    asked_by     text NOT NULL,
    erased_at    timestamptz NOT NULL DEFAULT now(),
    tasks        bigint NOT NULL CHECK (tasks >= 0),
    texts        bigint NOT NULL CHECK (texts >= 0),
    shared       bigint NOT NULL CHECK (shared >= 0),
    completed_at timestamptz
);
CREATE INDEX erasures_by_tenant ON erasures (tenant, erased_at DESC);
CREATE INDEX erasures_open ON erasures (erased_at) WHERE completed_at IS NULL;
GRANT SELECT ON erasures TO golden_service, golden_tenant;
GRANT UPDATE (completed_at) ON erasures TO golden_service;
ALTER TABLE erasures ENABLE ROW LEVEL SECURITY;
ALTER TABLE erasures FORCE ROW LEVEL SECURITY;
CREATE POLICY service_all ON erasures TO golden_service USING (true) WITH CHECK (true);
CREATE POLICY tenant_own ON erasures TO golden_tenant
    USING (tenant = nullif(current_setting('golden.tenant', true), ''))
    WITH CHECK (tenant = nullif(current_setting('golden.tenant', true), ''));
"""

# Who may, and whose rows the owner sees until the function returns.
BEGIN_AND_END = """
CREATE FUNCTION erasure_begin(p_tenant text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_tenant IS NULL OR p_tenant IN ('', '*') OR (NOT pg_has_role(session_user, 'golden_service', 'MEMBER')
        AND p_tenant IS DISTINCT FROM nullif(current_setting('golden.tenant', true), ''))
    THEN
        RAISE insufficient_privilege USING MESSAGE = 'a tenant erases what is its own only';
    END IF;
    PERFORM set_config('golden.erasing', p_tenant, true);
END $$;
REVOKE ALL ON FUNCTION erasure_begin(text) FROM PUBLIC;
"""

# Of so many texts those that nobody else uses. The locks come first: whoever is about to use one waits for us, or we
# for them, and then find their use.
TEXTS = """
CREATE FUNCTION erase_texts(p_tenant text, p_users uuid[], p_more text[], OUT removed bigint, OUT shared bigint)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    named text[];
BEGIN
    SELECT array_agg(DISTINCT digest) INTO named FROM (
        SELECT digest FROM public.text_uses WHERE tenant = p_tenant AND used_by = ANY (p_users)
        UNION ALL SELECT unnest(p_more)) found;
    PERFORM FROM public.texts WHERE tenant = p_tenant AND digest = ANY (named) ORDER BY digest FOR UPDATE;
    DELETE FROM public.text_uses WHERE tenant = p_tenant AND used_by = ANY (p_users);
    DELETE FROM public.texts t WHERE t.tenant = p_tenant AND t.digest = ANY (named)
        AND NOT EXISTS (SELECT FROM public.text_uses u WHERE u.tenant = t.tenant AND u.digest = t.digest);
    GET DIAGNOSTICS removed = ROW_COUNT;
    SELECT count(*) INTO shared FROM public.texts WHERE tenant = p_tenant AND digest = ANY (named);
END $$;
REVOKE ALL ON FUNCTION erase_texts(text, uuid[], text[]) FROM PUBLIC;
"""

# Rows that hold words are deleted, or emptied where they say what was spent, who decided, and how.
WORDS = """
CREATE FUNCTION erase_words(p_tenant text, p_tasks uuid[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM public.task_events WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
    DELETE FROM public.task_steps WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
    DELETE FROM public.outcomes WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
    DELETE FROM public.idempotency_keys WHERE tenant = p_tenant AND (task_id = ANY (p_tasks) OR task_id IN (
        SELECT id FROM public.dead_letters WHERE tenant = p_tenant AND task_id = ANY (p_tasks)));
    UPDATE public.model_calls SET response = NULL, invalid = NULL
     WHERE tenant = p_tenant AND task_id = ANY (p_tasks) AND num_nonnulls(response, invalid) > 0;
    UPDATE public.dead_letters SET detail = NULL, reason = NULL, input = '{}'
     WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
    UPDATE public.decisions SET reason = '' WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
    UPDATE public.truths SET reason = NULL WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
    UPDATE public.tasks SET title = '', spec = '', reason = NULL, result = NULL, prompts = NULL, traceparent = NULL,
                            erased_at = coalesce(erased_at, now())
     WHERE tenant = p_tenant AND task_id = ANY (p_tasks);
END $$;
REVOKE ALL ON FUNCTION erase_words(text, uuid[]) FROM PUBLIC;
"""

# To erase again changes nothing, or takes what came after it, as the answer of a call that was under way.
TASK = """
CREATE FUNCTION erase_task(p_tenant text, p_task uuid, p_texts text[], p_by text) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_state text;
    gone record;
BEGIN
    PERFORM public.erasure_begin(p_tenant);
    SELECT state INTO found_state FROM public.tasks WHERE tenant = p_tenant AND task_id = p_task FOR UPDATE;
    IF found_state IN ('accepted', 'rejected', 'failed', 'cancelled') THEN
        SELECT * INTO gone FROM public.erase_texts(p_tenant, ARRAY[p_task], p_texts);
        PERFORM public.erase_words(p_tenant, ARRAY[p_task]);
        INSERT INTO public.erasures (tenant, task_id, asked_by, tasks, texts, shared)
        VALUES (p_tenant, p_task, p_by, 1, gone.removed, gone.shared) ON CONFLICT DO NOTHING;
    END IF;
    PERFORM set_config('golden.erasing', '', true);
    RETURN found_state IN ('accepted', 'rejected', 'failed', 'cancelled');
END $$;

CREATE FUNCTION erase_run(p_tenant text, p_run uuid) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone record;
BEGIN
    PERFORM public.erasure_begin(p_tenant);
    IF NOT EXISTS (SELECT FROM public.tasks WHERE tenant = p_tenant AND task_id = p_run) THEN
        SELECT * INTO gone FROM public.erase_texts(p_tenant, ARRAY[p_run], '{}');
        DELETE FROM public.idempotency_keys WHERE tenant = p_tenant AND task_id = p_run;
    END IF;
    PERFORM set_config('golden.erasing', '', true);
    RETURN coalesce(gone.removed, 0);
END $$;

CREATE FUNCTION erase_update(p_tenant text, p_update uuid, p_evidence jsonb) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.erasure_begin(p_tenant);
    UPDATE public.learning_updates SET evidence = p_evidence
     WHERE tenant = p_tenant AND id = p_update AND kind = 'prompt' AND settled_at IS NOT NULL;
    PERFORM set_config('golden.erasing', '', true);
END $$;
"""

# Of a tenant everything goes that anybody wrote; what was learned too, and new tasks get the platform's prompts.
TENANT = """
CREATE FUNCTION erase_tenant(p_tenant text, p_by text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    every uuid[];
    users uuid[];
    held text[];
    open bigint;
    gone record;
BEGIN
    PERFORM public.erasure_begin(p_tenant);
    PERFORM FROM public.tasks WHERE tenant = p_tenant ORDER BY task_id FOR UPDATE;
    SELECT count(*) INTO open FROM public.tasks
     WHERE tenant = p_tenant AND state NOT IN ('accepted', 'rejected', 'failed', 'cancelled');
    SELECT open + count(*) INTO open FROM public.learning_updates u
     WHERE tenant = p_tenant AND settled_at IS NULL AND state <> 'expired'
       AND NOT EXISTS (SELECT FROM public.tasks k WHERE k.task_id = u.id);
    IF open = 0 THEN
        SELECT coalesce(array_agg(task_id), '{}') INTO every FROM public.tasks
         WHERE tenant = p_tenant AND erased_at IS NULL;
        SELECT coalesce(array_agg(DISTINCT used_by), '{}') INTO users FROM public.text_uses WHERE tenant = p_tenant;
        -- Those from before uses were told have none.
        SELECT coalesce(array_agg(digest), '{}') INTO held FROM public.texts WHERE tenant = p_tenant;
        SELECT * INTO gone FROM public.erase_texts(p_tenant, users, held);
        PERFORM public.erase_words(p_tenant, array_agg(task_id)) FROM public.tasks WHERE tenant = p_tenant;
        DELETE FROM public.idempotency_keys WHERE tenant = p_tenant;
        DELETE FROM public.tenant_policies WHERE tenant = p_tenant;
        DELETE FROM public.ui_sessions WHERE tenant = p_tenant;
        DELETE FROM public.prompt_approvals WHERE tenant = p_tenant;
        DELETE FROM public.prompt_pointers WHERE tenant = p_tenant;
        DELETE FROM public.prompt_limits WHERE tenant = p_tenant;
        UPDATE public.prompt_guidelines SET guideline = '' WHERE tenant = p_tenant;
        UPDATE public.prompt_moves SET reason = '' WHERE tenant = p_tenant;
        -- A change of weights is numbers.
        UPDATE public.learning_updates SET reason = NULL WHERE tenant = p_tenant;
        UPDATE public.learning_updates SET diff = jsonb_build_object('op', coalesce(op, 'add')), evidence = '[]'
         WHERE tenant = p_tenant AND kind = 'prompt';
        UPDATE public.revocations SET reason = NULL WHERE tenant = p_tenant AND reason IS NOT NULL;
        INSERT INTO public.erasures (tenant, asked_by, tasks, texts, shared)
        SELECT p_tenant, p_by, cardinality(every), gone.removed, gone.shared
         WHERE cardinality(every) > 0 OR gone.removed > 0
            OR NOT EXISTS (SELECT FROM public.erasures WHERE tenant = p_tenant AND task_id IS NULL);
    END IF;
    PERFORM set_config('golden.erasing', '', true);
    RETURN open;
END $$;
"""

# Whoever was under way when a task was erased writes nothing of it any more.
LATE = """
CREATE FUNCTION text_uses_refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM public.tasks WHERE task_id = NEW.used_by AND erased_at IS NOT NULL) THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = 'the task was erased';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION text_uses_refuse() FROM PUBLIC;
CREATE TRIGGER text_uses_late BEFORE INSERT ON text_uses FOR EACH ROW EXECUTE FUNCTION text_uses_refuse();
"""

RIGHTS = """
REVOKE ALL ON FUNCTION erase_task(text, uuid, text[], text), erase_run(text, uuid), erase_tenant(text, text),
    erase_update(text, uuid, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_task(text, uuid, text[], text), erase_run(text, uuid), erase_tenant(text, text),
    erase_update(text, uuid, jsonb) TO golden_service, golden_tenant;
"""

# A guideline's text and a move's reason may go with their tenant; versions stay as they are.
STAY = """
CREATE OR REPLACE FUNCTION prompts_refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME IN ('prompt_guidelines', 'prompt_moves')
        AND nullif(current_setting('golden.erasing', true), '') IS NOT NULL
        AND current_user = (SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename = TG_TABLE_NAME)
    THEN
        RETURN NULL;
    END IF;
    RAISE insufficient_privilege USING MESSAGE = 'versions of prompts, and what became of them, stay as they are';
END $$;
"""

SEEN = (
    "tasks", "texts", "text_uses", "task_events", "task_steps", "model_calls", "dead_letters", "decisions", "truths",
    "idempotency_keys", "tenant_policies", "ui_sessions", "revocations", "erasures",
)  # fmt: skip
"""Whose rows of one tenant the owner sees while it erases; those of prompts and outcomes it sees anyway."""


def upgrade() -> None:
    for statements in (TABLES, BEGIN_AND_END, TEXTS, WORDS, TASK, TENANT, LATE, RIGHTS, STAY):
        op.execute(statements)
    mine = "tenant = nullif(current_setting('golden.erasing', true), '')"
    for table in SEEN:
        op.execute(f"CREATE POLICY owner_erases ON {table} TO CURRENT_USER USING ({mine}) WITH CHECK ({mine})")
