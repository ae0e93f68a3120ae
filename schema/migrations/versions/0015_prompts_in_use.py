"""Base prompts of a release, the prompts that a task is pinned to, and what everybody may look at of learning."""

from alembic import op

revision = "0015"
down_revision = "0014"

# A base that was installed once is not installed again: a worker of the release before changes nothing.
INSTALL = """
CREATE FUNCTION install_base_prompt(p_role text, p_digest text, p_base text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    pointer public.prompt_pointers;
    old public.prompt_versions;
    made uuid;
    kept integer := 0;
BEGIN
    IF NOT (pg_has_role(session_user, 'golden_service', 'MEMBER') OR pg_has_role(session_user, current_user, 'MEMBER'))
    THEN
        RAISE insufficient_privilege USING MESSAGE = 'base prompts come with a release';
    END IF;
    PERFORM public.prompt_lock('*', p_role);
    INSERT INTO public.prompt_bases (digest, role, base) VALUES (p_digest, p_role, p_base) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT FROM public.prompt_pointers WHERE tenant = '*' AND role = p_role) THEN
        INSERT INTO public.prompt_versions (tenant, role, base, digest, kind, proposer, approver, at)
        VALUES ('*', p_role, p_digest, public.prompt_digest(p_digest, '{}'), 'release', 'release', 'release', now())
        RETURNING id INTO made;
        INSERT INTO public.prompt_pointers (tenant, role, active) VALUES ('*', p_role, made);
        INSERT INTO public.prompt_moves (at, tenant, role, kind, to_version, actor, reason)
        VALUES (now(), '*', p_role, 'release', made, 'release', 'the first base prompt');
        RETURN 0;
    END IF;
    FOR pointer IN SELECT * FROM public.prompt_pointers WHERE role = p_role ORDER BY tenant LOOP
        IF pointer.tenant <> '*' THEN
            PERFORM public.prompt_lock(pointer.tenant, p_role);
            PERFORM set_config('golden.tenant', pointer.tenant, true);
        END IF;
        PERFORM public.end_prompt_canary(pointer.tenant, p_role, 'release', 'a release brought a new base prompt',
                                         now(), false);
        SELECT * INTO pointer FROM public.prompt_pointers WHERE tenant = pointer.tenant AND role = p_role FOR UPDATE;
        SELECT * INTO old FROM public.prompt_versions WHERE id = pointer.active;
        INSERT INTO public.prompt_versions
            (tenant, role, base, guidelines, digest, parent, kind, proposer, approver, at)
        VALUES (pointer.tenant, p_role, p_digest, old.guidelines, public.prompt_digest(p_digest, old.guidelines),
                old.id, 'release', 'release', 'release', now())
        RETURNING id INTO made;
        UPDATE public.prompt_pointers SET active = made WHERE tenant = pointer.tenant AND role = p_role;
        INSERT INTO public.prompt_moves (at, tenant, role, kind, from_version, to_version, actor, reason)
        VALUES (now(), pointer.tenant, p_role, 'release', old.id, made, 'release',
                format('a new base prompt; %s learned guidelines kept', cardinality(old.guidelines)));
        PERFORM public.prompt_audit(pointer.tenant, 'release', 'prompts.release', made, 'installed',
            format('a new base prompt for %s; %s learned guidelines kept', p_role, cardinality(old.guidelines)), NULL);
        kept := kept + cardinality(old.guidelines);
    END LOOP;
    RETURN kept;
END $$;
"""

# Once for a task, when it is admitted. Who is in a canary's share is a hash of the canary and the task.
PIN = """
CREATE FUNCTION in_canary(p_canary uuid, p_task uuid, p_share integer) RETURNS boolean
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ('x' || left(encode(sha256(convert_to(p_canary::text || p_task::text, 'UTF8')), 'hex'), 8))::bit(32)::bigint
           % 100 < p_share
$$;

CREATE FUNCTION pin_prompts(p_tenant text, p_task uuid) RETURNS jsonb
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE public.tasks SET prompts = coalesce(prompts, (
        SELECT jsonb_object_agg(role, CASE WHEN canary IS NOT NULL AND public.in_canary(canary, p_task, canary_share)
                                           THEN canary ELSE active END)
          FROM (SELECT DISTINCT ON (role) role, active, canary, canary_share FROM public.prompt_pointers
                 WHERE tenant IN (p_tenant, '*') ORDER BY role, tenant = '*') held))
     WHERE task_id = p_task AND tenant = p_tenant RETURNING prompts
$$;
"""

VIEWS = """
CREATE VIEW governance_status WITH (security_invoker = true) AS
SELECT who.tenant, held.role, held.max_per_day, held.cooldown_hours, held.approval,
       slot.used AS used_today, slot.next_allowed_at,
       (SELECT count(*) FROM learning_updates u WHERE u.tenant = who.tenant AND u.role = held.role
           AND u.kind = 'prompt' AND u.state = 'pending') AS pending,
       active_prompt(who.tenant, held.role) AS active_version,
       (SELECT p.canary FROM prompt_pointers p WHERE p.tenant = who.tenant AND p.role = held.role) AS canary_version,
       slot.allowed, slot.reasons, held.quorum, held.canary_share,
       (SELECT count(*) FROM learning_updates u WHERE u.tenant = who.tenant AND u.role = held.role
           AND u.kind = 'prompt' AND u.state = 'waiting') AS waiting
  FROM (SELECT '*' AS tenant UNION SELECT tenant FROM accounts UNION SELECT tenant FROM prompt_pointers
        UNION SELECT tenant FROM learning_updates
        UNION SELECT nullif(current_setting('golden.tenant', true), '')) who
  JOIN prompt_limits platform ON platform.tenant = '*' AND who.tenant IS NOT NULL,
       LATERAL prompt_limit(platform.role, who.tenant) held,
       LATERAL can_auto_update_prompt(platform.role, now(), who.tenant) slot;

-- `lift` is the mean of how much better an adopted version was than its parent, in its evaluation: 0.1 is ten of a
-- hundred more.
CREATE VIEW learning_stats WITH (security_invoker = true) AS
SELECT tenant, role, count(*) AS proposed, count(*) FILTER (WHERE evaluation IS NOT NULL) AS evaluated,
       count(*) FILTER (WHERE version IS NOT NULL) AS approved,
       count(*) FILTER (WHERE state = 'rejected') AS rejected, count(*) FILTER (WHERE state = 'expired') AS expired,
       count(*) FILTER (WHERE state = 'rolled_back') AS rolled_back,
       count(*) FILTER (WHERE state = 'adopted') AS adopted,
       avg((evaluation ->> 'difference')::double precision) FILTER (WHERE state = 'adopted') AS lift
  FROM learning_updates WHERE kind = 'prompt' GROUP BY tenant, role;
"""

RIGHTS = """
GRANT SELECT ON governance_status, learning_stats TO golden_service, golden_tenant;
GRANT EXECUTE ON FUNCTION in_canary(uuid, uuid, integer), pin_prompts(text, uuid) TO golden_service, golden_tenant;
GRANT EXECUTE ON FUNCTION install_base_prompt(text, text, text) TO golden_service;
"""


def upgrade() -> None:
    for statements in (INSTALL, PIN, VIEWS, RIGHTS):
        op.execute(statements)
