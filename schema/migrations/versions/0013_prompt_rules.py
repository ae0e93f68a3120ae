"""The rules of learning, as functions that every path has to take: limits, approval, canary, rollback.

They write in the owner's name what nobody else may write, under one lock for each tenant and role. What they refuse
they refuse by SQLSTATE: GL001 not allowed now, GL002 not pending, GL003 proposer and approver are one, GL004 the digest
is of another content, GL005 no such version.
"""

from alembic import op

revision = "0013"
down_revision = "0012"


# Who comes as a tenant acts for that tenant, and now, however long ago its transaction began; only who crosses tenants
# says another time, which has to be one that windows can be reckoned around.
CALLER = """
CREATE FUNCTION prompt_time(p_at timestamptz) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT p_at >= timestamptz '0002-01-01 00:00:00+00' AND p_at < timestamptz '9990-01-01 00:00:00+00'
$$;

CREATE FUNCTION prompt_caller(p_tenant text, p_at timestamptz) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF p_at IS NULL OR NOT public.prompt_time(p_at) THEN
        RAISE EXCEPTION USING ERRCODE = 'GL001', MESSAGE = 'not allowed: at must be a time from year 2 to 9989';
    END IF;
    IF pg_has_role(session_user, 'golden_service', 'MEMBER') OR pg_has_role(session_user, current_user, 'MEMBER') THEN
        -- For the audit chain of the tenant.
        IF p_tenant <> '*' THEN
            PERFORM set_config('golden.tenant', p_tenant, true);
        END IF;
        RETURN;
    END IF;
    IF p_tenant = '*' OR p_tenant IS DISTINCT FROM nullif(current_setting('golden.tenant', true), '') THEN
        RAISE insufficient_privilege USING MESSAGE = 'a tenant decides on its own prompts only';
    END IF;
    IF p_at NOT BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION USING ERRCODE = 'GL001', MESSAGE = 'not allowed now: at must be the present';
    END IF;
END $$;

CREATE FUNCTION prompt_lock(p_tenant text, p_role text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A release moves every tenant's pointer: none may be made from the platform's meanwhile.
    IF p_tenant <> '*' THEN
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('golden prompt * ' || p_role, 0));
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('golden prompt ' || p_tenant || ' ' || p_role, 0));
END $$;

CREATE FUNCTION prompt_audit(
    p_tenant text, p_actor text, p_action text, p_object uuid, p_outcome text, p_reason text, p_digest text)
    RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM public.audit_append(p_tenant, jsonb_build_array(jsonb_build_object(
        'actor', p_actor, 'action', p_action, 'object', p_object, 'outcome', p_outcome,
        -- A person's sealed words are kept beside what they decided, not here.
        'reason', CASE WHEN p_reason NOT LIKE 'golden-sealed:%' THEN p_reason END,
        'digest', p_digest)));
END $$;

CREATE FUNCTION active_prompt(p_tenant text, p_role text) RETURNS uuid
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT active FROM public.prompt_pointers
     WHERE role = p_role AND tenant IN (p_tenant, '*') ORDER BY tenant = '*' LIMIT 1
$$;
"""

# No 24 hours that hold `p_at` have more updates than the limit, and none is nearer than the cooldown, before or after:
# so that times which are not given in order change nothing. A window may begin at an update, or at `p_at` itself.
LIMITS = """
CREATE FUNCTION prompt_limit(p_role text, p_tenant text) RETURNS public.prompt_limits
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT * FROM public.prompt_limits
     WHERE role = p_role AND tenant IN (p_tenant, '*') ORDER BY tenant = '*' LIMIT 1
$$;

CREATE FUNCTION prompt_slot(
    p_role text, p_tenant text, p_at timestamptz, p_max integer, p_cooldown interval,
    OUT cooling boolean, OUT spent boolean)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH updates AS (
        SELECT at FROM public.prompt_versions WHERE tenant = p_tenant AND role = p_role AND kind = 'update'
           AND at > p_at - greatest(p_cooldown, interval '24 hours')
           AND at < p_at + greatest(p_cooldown, interval '24 hours')),
    starts AS (SELECT p_at AS at UNION SELECT at FROM updates WHERE at > p_at - interval '24 hours' AND at <= p_at)
    SELECT EXISTS (SELECT FROM updates WHERE at > p_at - p_cooldown AND at < p_at + p_cooldown)
        OR EXISTS (SELECT FROM public.prompt_moves WHERE tenant = p_tenant AND role = p_role AND cooldown
                      AND at > p_at - p_cooldown AND at <= p_at),
        EXISTS (SELECT FROM starts s WHERE p_max <= (
            SELECT count(*) FROM updates u WHERE u.at >= s.at AND u.at < s.at + interval '24 hours'))
$$;

CREATE FUNCTION can_auto_update_prompt(
    role text, at timestamptz DEFAULT now(), tenant text DEFAULT '*',
    OUT allowed boolean, OUT approval text, OUT reasons text[], OUT used integer, OUT next_allowed_at timestamptz)
    RETURNS record LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p_role CONSTANT text := can_auto_update_prompt.role;
    p_tenant CONSTANT text := coalesce(can_auto_update_prompt.tenant, '*');
    p_at CONSTANT timestamptz := coalesce(can_auto_update_prompt.at, now());
    held CONSTANT public.prompt_limits := public.prompt_limit(p_role, p_tenant);
    pause CONSTANT interval := make_interval(hours => held.cooldown_hours);
    slot record;
BEGIN
    IF held.role IS NULL THEN
        allowed := false; approval := 'human'; reasons := ARRAY['there is no such role']; used := 0;
        RETURN;
    END IF;
    approval := held.approval;
    IF NOT public.prompt_time(p_at) THEN
        allowed := false; reasons := ARRAY['no such time']; used := 0;
        RETURN;
    END IF;
    SELECT count(*) INTO used FROM public.prompt_versions v
     WHERE v.tenant = p_tenant AND v.role = p_role AND v.kind = 'update'
       AND v.at > p_at - interval '24 hours' AND v.at <= p_at;
    slot := public.prompt_slot(p_role, p_tenant, p_at, held.max_per_day, pause);
    reasons := array_remove(ARRAY[
        CASE WHEN slot.spent THEN format('%s of %s updates in 24 hours', used, held.max_per_day) END,
        CASE WHEN slot.cooling THEN format('within %s hours of an update or a rollback', held.cooldown_hours) END
    ], NULL);
    allowed := NOT (slot.cooling OR slot.spent);
    -- The first of the moments at which something ends that is in the way; none where nothing is ever allowed.
    SELECT min(t.at) INTO next_allowed_at FROM (
        SELECT p_at AS at
        UNION SELECT v.at + span FROM public.prompt_versions v,
            unnest(ARRAY[pause, interval '24 hours']) AS span
         WHERE v.tenant = p_tenant AND v.role = p_role AND v.kind = 'update'
           AND v.at > p_at - greatest(pause, interval '24 hours')
        UNION SELECT m.at + pause FROM public.prompt_moves m
         WHERE m.tenant = p_tenant AND m.role = p_role AND m.cooldown AND m.at > p_at - pause
    ) t, LATERAL public.prompt_slot(p_role, p_tenant, t.at, held.max_per_day, pause) s
     WHERE t.at >= p_at AND NOT (s.cooling OR s.spent);
END $$;
"""

# What an approver sees and says yes to. `schema.prompts.update_digest` is the same in Python.
DIGESTS = """
CREATE FUNCTION prompt_update_digest(p_update public.learning_updates) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(convert_to(concat_ws(E'\\n', 'golden-prompt-update-1', p_update.tenant, p_update.role,
        p_update.op,
        coalesce((SELECT digest FROM public.prompt_guidelines WHERE id = p_update.old_guideline), '-'),
        coalesce((SELECT digest FROM public.prompt_guidelines WHERE id = p_update.new_guideline), '-'),
        p_update.parent_version::text), 'UTF8')), 'hex')
$$;

CREATE FUNCTION prompt_digest(p_base text, p_guidelines uuid[]) RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(convert_to(concat_ws(E'\\n', 'golden-prompt-1', p_base,
        (SELECT string_agg(g.digest, E'\\n' ORDER BY each.place)
           FROM unnest(p_guidelines) WITH ORDINALITY AS each (id, place)
           JOIN public.prompt_guidelines g ON g.id = each.id)), 'UTF8')), 'hex')
$$;
"""

# What makes a proposal must not change under those who look at it, and the states that follow an approval are the
# functions' alone: whoever else writes the row writes neither, nor anything of what was decided.
KEEP = """
CREATE FUNCTION learning_updates_keep() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_user = (SELECT tableowner FROM pg_tables
                        WHERE schemaname = 'public' AND tablename = 'learning_updates') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('proposed', 'waiting', 'evaluating', 'pending', 'rejected') OR NEW.version IS NOT NULL THEN
            RAISE insufficient_privilege USING MESSAGE = 'a proposal begins as proposed';
        END IF;
        RETURN NEW;
    END IF;
    IF (NEW.id, NEW.tenant, NEW.kind, NEW.role, NEW.proposer, NEW.op) IS DISTINCT FROM
       (OLD.id, OLD.tenant, OLD.kind, OLD.role, OLD.proposer, OLD.op)
       OR (OLD.new_guideline IS NOT NULL AND NEW.new_guideline IS DISTINCT FROM OLD.new_guideline)
       OR (NEW.old_guideline, NEW.decided_at, NEW.decided_by) IS DISTINCT FROM
          (OLD.old_guideline, OLD.decided_at, OLD.decided_by)
       OR NEW.version IS DISTINCT FROM OLD.version OR NEW.parent_version IS DISTINCT FROM OLD.parent_version THEN
        RAISE insufficient_privilege USING MESSAGE = 'what a proposal proposes stays as it is';
    END IF;
    IF (NEW.state <> OLD.state AND NEW.state IN ('approved', 'rejected', 'canary', 'adopted', 'rolled_back'))
        OR (NEW.settled_at IS NOT NULL AND NEW.state <> 'expired')
        OR OLD.state IN ('approved', 'rejected', 'expired', 'canary', 'adopted', 'rolled_back') THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'this state is reached by approve_prompt_update and what follows it';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER learning_updates_keep_update BEFORE UPDATE ON learning_updates
    FOR EACH ROW WHEN (OLD.kind = 'prompt' OR NEW.kind = 'prompt') EXECUTE FUNCTION learning_updates_keep();
CREATE TRIGGER learning_updates_keep_insert BEFORE INSERT ON learning_updates
    FOR EACH ROW WHEN (NEW.kind = 'prompt') EXECUTE FUNCTION learning_updates_keep();
CREATE FUNCTION prompts_refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'versions of prompts, and what became of them, stay as they are';
END $$;
"""

STAYING = ("prompt_bases", "prompt_guidelines", "prompt_versions", "prompt_moves")

# Where an update stands in line: eligible ones are made anew from what is active now and evaluated, others wait.
ADMIT = """
CREATE FUNCTION prompt_update_locked(p_id uuid, p_at timestamptz) RETURNS public.learning_updates
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found public.learning_updates;
BEGIN
    SELECT * INTO found FROM public.learning_updates WHERE id = p_id AND kind = 'prompt';
    IF found.id IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'GL002', MESSAGE = 'not pending: there is no such proposal';
    END IF;
    PERFORM public.prompt_caller(found.tenant, p_at);
    PERFORM public.prompt_lock(found.tenant, found.role);
    SELECT * INTO found FROM public.learning_updates WHERE id = p_id FOR UPDATE;
    RETURN found;
END $$;

CREATE FUNCTION admit_prompt_update(update_id uuid, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p_at CONSTANT timestamptz := coalesce(admit_prompt_update.at, now());
    p_id CONSTANT uuid := admit_prompt_update.update_id;
    wanted public.learning_updates := public.prompt_update_locked(p_id, p_at);
    slot record;
    busy boolean;
BEGIN
    IF wanted.state NOT IN ('proposed', 'waiting', 'evaluating', 'pending')
        OR (wanted.new_guideline IS NULL AND wanted.op <> 'remove') THEN
        RETURN wanted.state;
    END IF;
    slot := public.can_auto_update_prompt(wanted.role, p_at, wanted.tenant);
    SELECT canary IS NOT NULL INTO busy FROM public.prompt_pointers
     WHERE tenant = wanted.tenant AND role = wanted.role;
    IF slot.allowed AND NOT coalesce(busy, false) THEN
        wanted.parent_version := public.active_prompt(wanted.tenant, wanted.role);
        UPDATE public.learning_updates
           SET state = 'evaluating', parent_version = wanted.parent_version, parent = wanted.parent_version::text,
               digest = public.prompt_update_digest(wanted), evaluation = NULL, not_before = NULL, waits_for = NULL,
               expires_at = NULL
         WHERE id = p_id;
        RETURN 'evaluating';
    END IF;
    UPDATE public.learning_updates
       SET state = 'waiting', expires_at = NULL,
           not_before = CASE WHEN slot.allowed THEN NULL ELSE slot.next_allowed_at END,
           waits_for = CASE WHEN slot.allowed THEN 'a canary is under way'
                            ELSE array_to_string(slot.reasons, '; ') END
     WHERE id = p_id;
    RETURN 'waiting';
END $$;
"""


def upgrade() -> None:
    for statements in (CALLER, LIMITS, DIGESTS, KEEP, ADMIT):
        op.execute(statements)
    for table in STAYING:
        op.execute(
            f"CREATE TRIGGER {table}_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION prompts_refuse()"
        )
        op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_stay")
    op.execute(
        "GRANT EXECUTE ON FUNCTION can_auto_update_prompt(text, timestamptz, text), active_prompt(text, text), "
        "prompt_limit(text, text), admit_prompt_update(uuid, timestamptz), prompt_digest(text, uuid[]), "
        "prompt_update_digest(learning_updates), prompt_lock(text, text) "
        "TO golden_service, golden_tenant"
    )
