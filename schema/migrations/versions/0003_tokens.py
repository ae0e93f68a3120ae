"""Access tokens that are known, and which of them are revoked."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE tokens (
    tenant      text NOT NULL CHECK (tenant = '*' OR tenant ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    jti         text NOT NULL,
    arrival     bigint GENERATED ALWAYS AS IDENTITY,
    sub         text NOT NULL,
    role        text NOT NULL,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    -- Nobody, where it was made offline and has been seen since.
    issued_by   text,
    PRIMARY KEY (tenant, jti)
);
CREATE INDEX tokens_by_arrival ON tokens (tenant, arrival DESC);
CREATE INDEX tokens_by_subject ON tokens (tenant, sub, issued_at);

-- One token, or all of a subject or of the tenant that were issued before a time.
CREATE TABLE revocations (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant        text NOT NULL CHECK (tenant = '*' OR tenant ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    jti           text,
    sub           text,
    issued_before timestamptz,
    reason        text,
    revoked_by    text NOT NULL,
    revoked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((jti IS NULL) <> (issued_before IS NULL)),
    CHECK (jti IS NULL OR sub IS NULL),
    UNIQUE (tenant, jti)
);
CREATE INDEX revocations_before ON revocations (tenant, sub, issued_before) WHERE jti IS NULL;
"""

# Wakes every gateway; they read what is new.
NOTIFY = """
CREATE FUNCTION notify_revocation() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('golden_revocations', '');
    RETURN NULL;
END $$;
CREATE TRIGGER revocations_notify AFTER INSERT ON revocations
    FOR EACH STATEMENT EXECUTE FUNCTION notify_revocation();
"""

# Nobody may change or delete: what is revoked stays revoked.
RIGHTS = """
GRANT SELECT, INSERT ON tokens, revocations TO golden_service, golden_tenant;
"""


def upgrade() -> None:
    for statements in (TABLES, NOTIFY, RIGHTS):
        op.execute(statements)
    for table in ("tokens", "revocations"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service_all ON {table} TO golden_service USING (true) WITH CHECK (true)")
        # Anybody may set `golden.tenant` to the platform's name, so that it needs a refusal of its own.
        own = "tenant = nullif(current_setting('golden.tenant', true), '') AND tenant <> '*'"
        op.execute(f"CREATE POLICY tenant_own ON {table} TO golden_tenant USING ({own}) WITH CHECK ({own})")
