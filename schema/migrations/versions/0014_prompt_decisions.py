"""Approve, reject, try, adopt and roll back a prompt: the only ways to move its pointer."""

from alembic import op

revision = "0014"
down_revision = "0013"


# One lock for the pointer, then the row. GOLDEN is who approves where no person is asked.
APPROVE = """
CREATE FUNCTION end_prompt_canary(p_tenant text, p_role text, p_actor text, p_reason text, p_at timestamptz,
                                  p_cooldown boolean) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pointer public.prompt_pointers;
BEGIN
    SELECT * INTO pointer FROM public.prompt_pointers WHERE tenant = p_tenant AND role = p_role FOR UPDATE;
    IF pointer.canary IS NULL THEN
        RETURN;
    END IF;
    UPDATE public.prompt_pointers
       SET canary = NULL, canary_update = NULL, canary_share = NULL, canary_since = NULL
     WHERE tenant = p_tenant AND role = p_role;
    UPDATE public.learning_updates SET state = 'rolled_back', settled_at = now()
     WHERE id = pointer.canary_update;
    INSERT INTO public.prompt_moves
        (at, tenant, role, kind, from_version, to_version, update_id, actor, reason, cooldown)
    VALUES (p_at, p_tenant, p_role, 'rolled_back', pointer.canary, pointer.active, pointer.canary_update, p_actor,
            p_reason, p_cooldown);
    PERFORM public.prompt_audit(p_tenant, p_actor, 'prompts.canary', pointer.canary_update, 'rolled_back', p_reason,
                                NULL);
END $$;

CREATE FUNCTION approve_prompt_update(
    update_id uuid, actor text, reason text, digest text, at timestamptz DEFAULT now()) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p_at CONSTANT timestamptz := coalesce(approve_prompt_update.at, now());
    p_actor CONSTANT text := approve_prompt_update.actor;
    wanted public.learning_updates := public.prompt_update_locked(approve_prompt_update.update_id, p_at);
    held CONSTANT public.prompt_limits := public.prompt_limit(wanted.role, wanted.tenant);
    slot CONSTANT record := public.can_auto_update_prompt(wanted.role, p_at, wanted.tenant);
    parent public.prompt_versions;
    made public.prompt_versions;
    approvals integer;
BEGIN
    IF wanted.state <> 'pending' THEN
        RAISE EXCEPTION USING ERRCODE = 'GL002', MESSAGE = format('not pending: the proposal is %s', wanted.state);
    END IF;
    IF wanted.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION USING ERRCODE = 'GL002', MESSAGE = 'not pending: the proposal has expired';
    END IF;
    IF coalesce(p_actor, '') = '' OR p_actor = wanted.proposer THEN
        RAISE EXCEPTION USING ERRCODE = 'GL003', MESSAGE = 'the proposer can not be the approver';
    END IF;
    IF approve_prompt_update.digest IS DISTINCT FROM wanted.digest
        OR wanted.digest <> public.prompt_update_digest(wanted) THEN
        RAISE EXCEPTION USING ERRCODE = 'GL004', MESSAGE = 'the digest is of another content: look at it again';
    END IF;
    -- By hand anything can be put to people.
    IF wanted.op IS NULL OR (wanted.op = 'remove') <> (wanted.new_guideline IS NULL)
        OR (wanted.op <> 'remove' AND NOT EXISTS (
            SELECT FROM public.prompt_guidelines g WHERE g.id = wanted.new_guideline AND g.role = wanted.role
               AND g.tenant = wanted.tenant)) THEN
        RAISE EXCEPTION USING ERRCODE = 'GL002', MESSAGE = 'not pending: it has no words of this tenant and role';
    END IF;
    SELECT * INTO parent FROM public.prompt_versions
     WHERE id = public.active_prompt(wanted.tenant, wanted.role);
    IF parent.id IS DISTINCT FROM wanted.parent_version
        OR (wanted.op <> 'add' AND NOT coalesce(wanted.old_guideline = ANY (parent.guidelines), false)) THEN
        RAISE EXCEPTION USING ERRCODE = 'GL004',
            MESSAGE = 'the prompt was changed since this was proposed: it is evaluated anew';
    END IF;
    IF p_actor = 'golden' AND (held.approval <> 'automatic' OR held.quorum > 1
        OR wanted.evaluation ->> 'verdict' IS DISTINCT FROM 'better') THEN
        RAISE EXCEPTION USING ERRCODE = 'GL001', MESSAGE = 'not allowed: a person decides on this';
    END IF;
    IF NOT slot.allowed THEN
        RAISE EXCEPTION USING ERRCODE = 'GL001',
            MESSAGE = 'not allowed now: ' || array_to_string(slot.reasons, '; '),
            DETAIL = coalesce(to_char(slot.next_allowed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '');
    END IF;
    INSERT INTO public.prompt_approvals (update_id, digest, actor, tenant, at)
    VALUES (wanted.id, wanted.digest, p_actor, wanted.tenant, p_at) ON CONFLICT DO NOTHING;
    SELECT count(*) INTO approvals FROM public.prompt_approvals a
     WHERE a.update_id = wanted.id AND a.digest = wanted.digest AND a.actor <> wanted.proposer;
    IF p_actor <> 'golden' AND approvals < held.quorum THEN
        PERFORM public.prompt_audit(wanted.tenant, p_actor, 'prompts.approve', wanted.id,
                                    format('%s of %s', approvals, held.quorum), NULL, wanted.digest);
        RETURN NULL;
    END IF;
    PERFORM public.end_prompt_canary(wanted.tenant, wanted.role, p_actor, 'another update took its place', p_at, false);
    made.guidelines := CASE wanted.op
        WHEN 'add' THEN parent.guidelines || wanted.new_guideline
        WHEN 'change' THEN array_replace(parent.guidelines, wanted.old_guideline, wanted.new_guideline)
        ELSE array_remove(parent.guidelines, wanted.old_guideline) END;
    INSERT INTO public.prompt_versions
        (tenant, role, base, guidelines, digest, parent, kind, update_id, proposer, approver, at)
    VALUES (wanted.tenant, wanted.role, parent.base, made.guidelines,
            public.prompt_digest(parent.base, made.guidelines), parent.id, 'update', wanted.id, wanted.proposer,
            p_actor, p_at)
    RETURNING * INTO made;
    INSERT INTO public.prompt_pointers AS pointer
        (tenant, role, active, canary, canary_update, canary_share, canary_since)
    VALUES (wanted.tenant, wanted.role, parent.id, made.id, wanted.id, held.canary_share, p_at)
    ON CONFLICT (tenant, role) DO UPDATE SET canary = excluded.canary, canary_update = excluded.canary_update,
        canary_share = excluded.canary_share, canary_since = excluded.canary_since;
    UPDATE public.learning_updates
       SET state = 'approved', version = made.id, decided_at = p_at, decided_by = p_actor,
           reason = approve_prompt_update.reason
     WHERE id = wanted.id;
    INSERT INTO public.prompt_moves (at, tenant, role, kind, from_version, to_version, update_id, actor, reason)
    VALUES (p_at, wanted.tenant, wanted.role, 'canary', parent.id, made.id, wanted.id, p_actor, 'approved');
    PERFORM public.prompt_audit(wanted.tenant, p_actor, 'prompts.approve', wanted.id, 'approved',
                                'version ' || made.id, wanted.digest);
    RETURN made.id;
END $$;

CREATE FUNCTION reject_prompt_update(
    update_id uuid, actor text, reason text, at timestamptz DEFAULT now()) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted public.learning_updates := public.prompt_update_locked(reject_prompt_update.update_id, coalesce(at, now()));
BEGIN
    IF coalesce(reject_prompt_update.actor, '') = '' THEN
        RAISE EXCEPTION USING ERRCODE = 'GL003', MESSAGE = 'somebody has to reject it';
    END IF;
    IF wanted.state NOT IN ('proposed', 'waiting', 'evaluating', 'pending') THEN
        RAISE EXCEPTION USING ERRCODE = 'GL002', MESSAGE = format('not pending: the proposal is %s', wanted.state);
    END IF;
    UPDATE public.learning_updates u
       SET state = 'rejected', decided_at = coalesce(reject_prompt_update.at, now()),
           decided_by = reject_prompt_update.actor, reason = reject_prompt_update.reason, settled_at = now()
     WHERE u.id = wanted.id;
    PERFORM public.prompt_audit(wanted.tenant, reject_prompt_update.actor, 'prompts.reject', wanted.id, 'rejected',
                                NULL, wanted.digest);
END $$;
"""

CANARY = """
CREATE FUNCTION begin_prompt_canary(update_id uuid, at timestamptz DEFAULT now()) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    p_at CONSTANT timestamptz := coalesce(begin_prompt_canary.at, now());
    wanted public.learning_updates := public.prompt_update_locked(begin_prompt_canary.update_id, p_at);
BEGIN
    UPDATE public.learning_updates u SET state = 'canary', canary_at = p_at
     WHERE u.id = wanted.id AND u.state = 'approved';
END $$;

CREATE FUNCTION finish_prompt_canary(
    update_id uuid, outcome text, actor text, reason text, at timestamptz DEFAULT now()) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p_at CONSTANT timestamptz := coalesce(finish_prompt_canary.at, now());
    wanted public.learning_updates := public.prompt_update_locked(finish_prompt_canary.update_id, p_at);
    pointer public.prompt_pointers;
BEGIN
    IF finish_prompt_canary.outcome IS NULL OR finish_prompt_canary.outcome NOT IN ('adopted', 'harm', 'undecided') THEN
        RAISE invalid_parameter_value USING MESSAGE = 'a trial ends as adopted, harm or undecided';
    END IF;
    SELECT * INTO pointer FROM public.prompt_pointers
     WHERE tenant = wanted.tenant AND role = wanted.role FOR UPDATE;
    IF pointer.canary_update IS DISTINCT FROM wanted.id THEN
        RETURN wanted.state;
    END IF;
    IF finish_prompt_canary.outcome = 'adopted' THEN
        UPDATE public.prompt_pointers
           SET active = pointer.canary, canary = NULL, canary_update = NULL, canary_share = NULL, canary_since = NULL
         WHERE tenant = wanted.tenant AND role = wanted.role;
        UPDATE public.learning_updates SET state = 'adopted', settled_at = now() WHERE id = wanted.id;
        INSERT INTO public.prompt_moves (at, tenant, role, kind, from_version, to_version, update_id, actor, reason)
        VALUES (p_at, wanted.tenant, wanted.role, 'adopted', pointer.active, pointer.canary, wanted.id,
                finish_prompt_canary.actor, finish_prompt_canary.reason);
        PERFORM public.prompt_audit(wanted.tenant, finish_prompt_canary.actor, 'prompts.canary', wanted.id, 'adopted',
                                    finish_prompt_canary.reason, NULL);
        RETURN 'adopted';
    END IF;
    -- Of harm, a cooldown; of a trial that told nothing, none.
    PERFORM public.end_prompt_canary(wanted.tenant, wanted.role, finish_prompt_canary.actor,
        finish_prompt_canary.reason, p_at, finish_prompt_canary.outcome = 'harm');
    RETURN 'rolled_back';
END $$;

CREATE FUNCTION rollback_prompt(
    role text, version uuid, actor text, reason text, at timestamptz DEFAULT now(), tenant text DEFAULT '*')
    RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    p_at CONSTANT timestamptz := coalesce(rollback_prompt.at, now());
    p_tenant CONSTANT text := rollback_prompt.tenant;
    p_role CONSTANT text := rollback_prompt.role;
    p_reason CONSTANT text := coalesce(nullif(rollback_prompt.reason, ''), 'rolled back by hand');
    pointer public.prompt_pointers;
    target public.prompt_versions;
BEGIN
    PERFORM public.prompt_caller(p_tenant, p_at);
    PERFORM public.prompt_lock(p_tenant, p_role);
    SELECT * INTO target FROM public.prompt_versions v
     WHERE v.id = rollback_prompt.version AND v.role = p_role AND v.tenant IN (p_tenant, '*');
    SELECT * INTO pointer FROM public.prompt_pointers
     WHERE tenant IN (p_tenant, '*') AND role = p_role ORDER BY tenant = '*' LIMIT 1;
    -- What was never in force for all was never shown to do no harm.
    IF target.id IS NULL OR NOT EXISTS (SELECT FROM public.prompt_moves m WHERE m.to_version = target.id
                                           AND m.role = p_role AND m.kind IN ('release', 'adopted')) THEN
        RAISE EXCEPTION USING ERRCODE = 'GL005', MESSAGE = 'no such version was ever active for this role';
    END IF;
    IF target.id = pointer.active AND (pointer.canary IS NULL OR pointer.tenant <> p_tenant) THEN
        RAISE EXCEPTION USING ERRCODE = 'GL002', MESSAGE = 'that version is active already';
    END IF;
    PERFORM public.end_prompt_canary(p_tenant, p_role, rollback_prompt.actor, p_reason, p_at, true);
    IF target.id <> pointer.active THEN
        INSERT INTO public.prompt_pointers (tenant, role, active) VALUES (p_tenant, p_role, target.id)
        ON CONFLICT (tenant, role) DO UPDATE SET active = excluded.active;
        -- Of the tenant's own, adopted is what the target was made of, and nothing else.
        WITH RECURSIVE made AS (
            SELECT id, parent FROM public.prompt_versions WHERE id = target.id
            UNION SELECT v.id, v.parent FROM public.prompt_versions v JOIN made ON v.id = made.parent)
        UPDATE public.learning_updates u
           SET state = CASE u.state WHEN 'adopted' THEN 'rolled_back' ELSE 'adopted' END
         WHERE u.tenant = p_tenant AND u.role = p_role AND u.state IN ('adopted', 'rolled_back')
           AND (u.state = 'adopted') <> (u.version IN (SELECT id FROM made));
        INSERT INTO public.prompt_moves (at, tenant, role, kind, from_version, to_version, actor, reason, cooldown)
        VALUES (p_at, p_tenant, p_role, 'rolled_back', pointer.active, target.id, rollback_prompt.actor,
                p_reason, true);
    END IF;
    PERFORM public.prompt_audit(p_tenant, rollback_prompt.actor, 'prompts.rollback', target.id, 'rolled_back',
                                rollback_prompt.reason, target.digest);
    RETURN target.id;
END $$;
"""

RIGHTS = """
GRANT EXECUTE ON FUNCTION
    approve_prompt_update(uuid, text, text, text, timestamptz), reject_prompt_update(uuid, text, text, timestamptz),
    begin_prompt_canary(uuid, timestamptz), finish_prompt_canary(uuid, text, text, text, timestamptz),
    rollback_prompt(text, uuid, text, text, timestamptz, text)
    TO golden_service, golden_tenant;
"""


def upgrade() -> None:
    for statements in (APPROVE, CANARY, RIGHTS):
        op.execute(statements)
