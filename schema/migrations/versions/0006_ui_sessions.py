"""One-time links to the Temporal UI, and the sessions that they become."""

from alembic import op

revision = "0006"
down_revision = "0005"

# Neither the link's code, the cookie nor the token is here: `id` is a hash of the secret, and the token is sealed with
# another one, so that who reads the table can use nothing of it.
TABLES = """
CREATE TABLE ui_sessions (
    id         text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
    tenant     text NOT NULL,
    sub        text NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('link', 'session')),
    -- Whether the token is for every tenant, and `tenant` the one that was named.
    named      boolean NOT NULL,
    token      bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ui_sessions_by_end ON ui_sessions (expires_at);
GRANT SELECT, INSERT, DELETE ON ui_sessions TO golden_service;
ALTER TABLE ui_sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE ui_sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY service_all ON ui_sessions TO golden_service USING (true) WITH CHECK (true);
"""


def upgrade() -> None:
    op.execute(TABLES)
