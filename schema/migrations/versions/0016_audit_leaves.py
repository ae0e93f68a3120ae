"""A record goes into its chain by its digest, so that a part of a chain can be shown without its other records."""

from alembic import op

revision = "0016"
down_revision = "0015"

# The same frame as `audit_hash`, hashed by itself. `schema.audit.leaf_of` repeats it.
LEAF = """
CREATE FUNCTION audit_leaf(fields text[]) RETURNS text
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(sha256(convert_to(string_agg(
        coalesce(octet_length(convert_to(field, 'UTF8'))::text || ':' || field, '-') || ',', '' ORDER BY place
    ), 'UTF8')), 'hex')
    FROM unnest(fields) WITH ORDINALITY AS each (field, place)
$$;
REVOKE ALL ON FUNCTION audit_leaf(text[]) FROM PUBLIC;
"""

# As in 0002 but for the hash: of the previous hash and the leaf. What is there stays as it was written.
APPEND = """
CREATE OR REPLACE FUNCTION audit_append(chain text, records jsonb) RETURNS bigint
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
        added.hash := encode(sha256(decode(head.hash, 'hex') || decode(public.audit_leaf(ARRAY[
            'golden-audit-2', chain, added.sequence::text, (extract(epoch FROM added.at) * 1000000)::bigint::text,
            added.actor, added.role, added.action, added.object, added.outcome, added.reason,
            added.request_id, added.trace_id, added.digest
        ]), 'hex')), 'hex');
        INSERT INTO public.audit_records SELECT added.*;
        head.sequence := added.sequence;
        head.hash := added.hash;
    END LOOP;
    UPDATE public.audit_heads SET sequence = head.sequence, hash = head.hash
        WHERE tenant = chain AND sequence < head.sequence;
    RETURN head.sequence;
END $$;
"""

# What was done to one thing: without it each bundle of evidence reads a whole chain.
INDEX = "CREATE INDEX audit_records_by_object ON audit_records (tenant, object) WHERE object IS NOT NULL"


def upgrade() -> None:
    for statements in (LEAF, APPEND, INDEX):
        op.execute(statements)
