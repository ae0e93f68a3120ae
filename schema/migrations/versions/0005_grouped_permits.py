"""Permits for many principals in one statement, and none where the client's address has failed too often."""

from alembic import op

revision = "0005"
down_revision = "0003"

# Only what a minute still holds is kept: a large quota that is little used costs little. Otherwise as in 0002.
COUNT = """
CREATE FUNCTION count_permit(
    limited text, per_minute integer,
    OUT allowed boolean, OUT remaining integer, OUT retry_after_seconds integer, OUT reset_seconds integer
)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    window_length CONSTANT interval := interval '1 minute';
    arrived CONSTANT timestamptz := clock_timestamp();
    known timestamptz[];
BEGIN
    INSERT INTO public.rate_limits AS held (key, taken) VALUES (limited, ARRAY[arrived])
        ON CONFLICT (key) DO UPDATE
        SET taken = (
                -- Oldest first, so that what has run out is a prefix.
                SELECT held.taken[
                    greatest(1, cardinality(held.taken) + 2 - per_minute, 1 + (
                        SELECT count(*)::integer FROM unnest(held.taken) AS permit
                        WHERE permit <= arrived - window_length
                    )):]
            ) || greatest(arrived, held.taken[cardinality(held.taken)])
        WHERE coalesce(held.taken[cardinality(held.taken) + 1 - per_minute] <= arrived - window_length, true)
        RETURNING taken INTO known;
    allowed := FOUND;
    IF NOT allowed THEN
        SELECT taken INTO STRICT known FROM public.rate_limits WHERE key = limited;
    END IF;
    SELECT greatest(0, per_minute - count(*)), ceil(extract(epoch FROM min(permit) + window_length - arrived))
        INTO remaining, reset_seconds
        FROM unnest(known[greatest(1, cardinality(known) + 1 - per_minute):]) AS permit
        WHERE permit > arrived - window_length;
    retry_after_seconds := CASE WHEN allowed THEN 0 ELSE reset_seconds END;
END $$;
REVOKE ALL ON FUNCTION count_permit(text, integer) FROM PUBLIC;
"""

# Whose last permit is a minute old is as good as unknown. Last, when nothing else is waited for: it holds rows too.
SWEEP = """
CREATE FUNCTION sweep_permits() RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    DELETE FROM public.rate_limits WHERE key IN (
        SELECT key FROM public.rate_limits WHERE taken[cardinality(taken)] < clock_timestamp() - interval '1 minute'
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
$$;
REVOKE ALL ON FUNCTION sweep_permits() FROM PUBLIC;

CREATE OR REPLACE FUNCTION take_permit(
    limited text, per_minute integer,
    OUT allowed boolean, OUT remaining integer, OUT retry_after_seconds integer, OUT reset_seconds integer
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT permit.* INTO allowed, remaining, retry_after_seconds, reset_seconds
        FROM public.count_permit(limited, per_minute) AS permit;
    IF random() < 0.01 THEN
        PERFORM public.sweep_permits();
    END IF;
END $$;
"""

# In the order of their keys, so that two groups that hold each other's rows can't be. `barred_seconds` is how long an
# address still has to wait, and then no permit is taken: looked at without a lock, since it costs nobody anything.
PERMITS = """
CREATE FUNCTION take_permits(keys text[], quotas integer[], failures text[], most_failures integer)
    RETURNS TABLE (
        place bigint, allowed boolean, remaining integer, retry_after_seconds integer, reset_seconds integer,
        barred_seconds integer
    )
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked record;
BEGIN
    FOR asked IN
        SELECT * FROM unnest(keys, quotas, failures) WITH ORDINALITY AS each (key, quota, failed, nth)
        ORDER BY each.key, each.nth
    LOOP
        place := asked.nth;
        barred_seconds := coalesce((
            SELECT ceil(extract(epoch FROM held.taken[cardinality(held.taken) + 1 - most_failures]
                + interval '1 minute' - clock_timestamp()))
            FROM public.rate_limits AS held WHERE held.key = asked.failed
        ), 0);
        IF barred_seconds > 0 THEN
            allowed := false; remaining := 0; retry_after_seconds := barred_seconds; reset_seconds := barred_seconds;
        ELSE
            barred_seconds := 0;
            SELECT permit.allowed, permit.remaining, permit.retry_after_seconds, permit.reset_seconds
                INTO allowed, remaining, retry_after_seconds, reset_seconds
                FROM public.count_permit(asked.key, asked.quota) AS permit;
        END IF;
        RETURN NEXT;
    END LOOP;
    IF random() < 0.01 THEN
        PERFORM public.sweep_permits();
    END IF;
END $$;
REVOKE ALL ON FUNCTION take_permits(text[], integer[], text[], integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_permits(text[], integer[], text[], integer) TO golden_service;
"""


def upgrade() -> None:
    for statements in (COUNT, SWEEP, PERMITS):
        op.execute(statements)
