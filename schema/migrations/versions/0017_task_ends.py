"""How many tasks ended, by final state: counted as they end, since nobody can count millions of rows each second."""

from alembic import op

revision = "0017"
down_revision = "0016"

# A row for each end, and from time to time one for all that were: nobody who ends a task waits for another, as at a
# counter in a row, and what erasure takes out of `tasks` stays counted. The owner sees no row of a table whose
# row-level security is forced: the function that writes as the owner needs a policy, and the first count lifts it.
COUNTED = """
CREATE TABLE task_ends (
    state text NOT NULL CHECK (state IN ('accepted', 'rejected', 'failed', 'cancelled')),
    count bigint NOT NULL CHECK (count > 0)
);
ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY;
INSERT INTO task_ends (state, count)
    SELECT state, count(*) FROM tasks
     WHERE state IN ('accepted', 'rejected', 'failed', 'cancelled') AND kind <> 'learning' GROUP BY state;
ALTER TABLE tasks FORCE ROW LEVEL SECURITY;
ALTER TABLE task_ends ENABLE ROW LEVEL SECURITY;
ALTER TABLE task_ends FORCE ROW LEVEL SECURITY;
CREATE POLICY service_all ON task_ends TO golden_service USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON task_ends TO CURRENT_USER USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON task_ends TO golden_service;
"""

TRIGGERS = """
CREATE FUNCTION count_task_end() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.task_ends (state, count) VALUES (NEW.state, 1);
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION count_task_end() FROM PUBLIC;

CREATE TRIGGER count_end AFTER UPDATE OF state ON tasks FOR EACH ROW
    WHEN (NEW.kind <> 'learning' AND NEW.state IN ('accepted', 'rejected', 'failed', 'cancelled')
          AND OLD.state NOT IN ('accepted', 'rejected', 'failed', 'cancelled'))
    EXECUTE FUNCTION count_task_end();
CREATE TRIGGER count_ended AFTER INSERT ON tasks FOR EACH ROW
    WHEN (NEW.kind <> 'learning' AND NEW.state IN ('accepted', 'rejected', 'failed', 'cancelled'))
    EXECUTE FUNCTION count_task_end();
"""


def upgrade() -> None:
    for statements in (COUNTED, TRIGGERS):
        op.execute(statements)
