"""What only triggers and the owner need is nobody else's: functions, the limits' table, the schema's version."""

from alembic import op

revision = "0007"
down_revision = "0006"

# A trigger runs its function whoever may call it. `pg_temp` is named, and last, since it would be searched first.
FUNCTIONS = """
ALTER FUNCTION notify_task_event() SET search_path = pg_catalog, pg_temp;
REVOKE ALL ON FUNCTION notify_task_event(), notify_revocation(), audit_refuse() FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
"""

TABLES = """
CREATE POLICY owner_all ON rate_limits TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON alembic_version TO CURRENT_USER USING (true) WITH CHECK (true);
CREATE POLICY everybody_reads ON alembic_version FOR SELECT TO golden_service, golden_tenant USING (true);
"""


def upgrade() -> None:
    op.execute(FUNCTIONS)
    op.execute(TABLES)
    for table in ("rate_limits", "alembic_version"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
