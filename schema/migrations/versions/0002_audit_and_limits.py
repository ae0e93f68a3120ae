"""The audit chains, and the rate limits that all gateways share."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE audit_records (
    tenant     text NOT NULL CHECK (tenant = '*' OR tenant ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    sequence   bigint NOT NULL CHECK (sequence > 0),
    at         timestamptz NOT NULL,
    actor      text NOT NULL,
    role       text,
    action     text NOT NULL,
    object     text,
    outcome    text NOT NULL,
    reason     text,
    request_id text,
    trace_id   text,
    digest     text CHECK (digest ~ '^[0-9a-f]{64}$'),
    previous   text NOT NULL CHECK (previous ~ '^[0-9a-f]{64}$'),
    hash       text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
    PRIMARY KEY (tenant, sequence)
);

-- The end of each chain: whoever appends holds its row, so that no chain forks.
CREATE TABLE audit_heads (
    tenant   text PRIMARY KEY,
    sequence bigint NOT NULL DEFAULT 0,
    hash     text NOT NULL DEFAULT repeat('0', 64)
);

-- When the last permits were taken, oldest first. A crash may empty it: a minute later nobody could tell.
CREATE UNLOGGED TABLE rate_limits (
    key   text PRIMARY KEY,
    taken timestamptz[] NOT NULL
);
"""

# The canonical form of a record, which `schema.audit.recompute` repeats: its fields in order, each as its length in
# bytes of UTF-8, a colon, the text and a comma; a field that is missing is a hyphen and a comma. The hash is SHA-256 of
# the previous hash's 32 bytes followed by this.
HASH = """
CREATE FUNCTION audit_hash(previous text, fields text[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(decode(previous, 'hex') || convert_to(string_agg(
        coalesce(octet_length(convert_to(field, 'UTF8'))::text || ':' || field, '-') || ',', '' ORDER BY place
    ), 'UTF8')), 'hex')
    FROM unnest(fields) WITH ORDINALITY AS each (field, place)
$$;
"""

# Runs as the owner, who alone may write: so it looks at who has called it. The clock is the database's, for all.
APPEND = """
CREATE FUNCTION audit_append(chain text, records jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head public.audit_heads;
    added public.audit_records;
BEGIN
    IF NOT pg_has_role(session_user, 'golden_service', 'MEMBER')
        AND (chain = '*' OR chain IS DISTINCT FROM nullif(current_setting('golden.tenant', true), ''))
    THEN
        RAISE insufficient_privilege USING MESSAGE = 'a tenant appends to its own audit chain only';
    END IF;
    INSERT INTO public.audit_heads (tenant) VALUES (chain) ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT head FROM public.audit_heads WHERE tenant = chain FOR UPDATE;
    FOR added IN
        SELECT (jsonb_populate_record(NULL::public.audit_records, given.record)).*
        FROM jsonb_array_elements(records) WITH ORDINALITY AS given (record, place) ORDER BY given.place
    LOOP
        added.tenant := chain;
        added.sequence := head.sequence + 1;
        added.at := clock_timestamp();
        added.previous := head.hash;
        added.hash := public.audit_hash(head.hash, ARRAY[
            'golden-audit-1', chain, added.sequence::text, (extract(epoch FROM added.at) * 1000000)::bigint::text,
            added.actor, added.role, added.action, added.object, added.outcome, added.reason,
            added.request_id, added.trace_id, added.digest
        ]);
        INSERT INTO public.audit_records SELECT added.*;
        head.sequence := added.sequence;
        head.hash := added.hash;
    END LOOP;
    UPDATE public.audit_heads SET sequence = head.sequence, hash = head.hash
        WHERE tenant = chain AND sequence < head.sequence;
    RETURN head.sequence;
END $$;
"""

# Not even the owner changes what is written, unless it first takes this away, which shows.
KEEP = """
CREATE FUNCTION audit_refuse() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'what is in the audit log stays as it is';
END $$;
CREATE TRIGGER audit_records_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_records
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_heads_stay BEFORE DELETE OR TRUNCATE ON audit_heads
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_heads_advance BEFORE UPDATE ON audit_heads
    FOR EACH ROW WHEN (NEW.tenant <> OLD.tenant OR NEW.sequence <= OLD.sequence) EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_records ENABLE ALWAYS TRIGGER audit_records_stay;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER audit_heads_stay;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER audit_heads_advance;
"""

# No more than `per_minute` in any 60 seconds, wherever they begin: the permit that was taken `per_minute` permits ago
# must be a minute old. (A leaky bucket of that size lets in nearly twice as many in its first minute.) The INSERT
# decides, under the lock of the row; a refusal writes nothing.
PERMIT = """
CREATE FUNCTION take_permit(
    limited text, per_minute integer,
    OUT allowed boolean, OUT remaining integer, OUT retry_after_seconds integer, OUT reset_seconds integer
)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    window_length CONSTANT interval := interval '1 minute';
    arrived CONSTANT timestamptz := clock_timestamp();
    known timestamptz[];
BEGIN
    INSERT INTO public.rate_limits AS held (key, taken) VALUES (limited, ARRAY[arrived])
        ON CONFLICT (key) DO UPDATE
        SET taken = held.taken[greatest(1, cardinality(held.taken) + 2 - per_minute):]
            || greatest(arrived, held.taken[cardinality(held.taken)])
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
    -- Whose last permit is a minute old is as good as unknown.
    IF random() < 0.01 THEN
        DELETE FROM public.rate_limits WHERE key IN (
            SELECT key FROM public.rate_limits WHERE taken[cardinality(taken)] < arrived - window_length
            LIMIT 1000 FOR UPDATE SKIP LOCKED
        );
    END IF;
END $$;
"""

RIGHTS = """
REVOKE ALL ON FUNCTION audit_hash(text, text[]), audit_append(text, jsonb), take_permit(text, integer)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append(text, jsonb) TO golden_service, golden_tenant;
GRANT EXECUTE ON FUNCTION take_permit(text, integer) TO golden_service;
GRANT SELECT ON audit_records, audit_heads TO golden_service, golden_tenant;
"""


def upgrade() -> None:
    for statements in (TABLES, HASH, APPEND, KEEP, PERMIT, RIGHTS):
        op.execute(statements)
    for table in ("audit_records", "audit_heads"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        # Forced security binds the owner too, in whose name `audit_append` writes.
        op.execute(f"CREATE POLICY owner_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service_reads ON {table} FOR SELECT TO golden_service USING (true)")
        # Anybody may set `golden.tenant` to the platform's name, so that it needs a refusal of its own.
        op.execute(
            f"CREATE POLICY tenant_reads ON {table} FOR SELECT TO golden_tenant "
            "USING (tenant = nullif(current_setting('golden.tenant', true), '') AND tenant <> '*')"
        )
