"""Ballots and what became known of them later, the voters' records, tenants' policies, votes by themselves."""

from alembic import op

revision = "0009"
down_revision = "0008"

TENANT_TABLES = ("ballots", "truths", "tenant_policies")

# What is new has a default, so that the release before goes on beside it.
COLUMNS = """
ALTER TABLE tasks
    ADD COLUMN kind   text NOT NULL DEFAULT 'task' CHECK (kind IN ('task', 'vote')),
    ADD COLUMN parent uuid REFERENCES tasks;
CREATE INDEX tasks_by_parent ON tasks (parent) WHERE parent IS NOT NULL;
"""

# One row a ballot, without a word of it: what the voters wrote is in the sealed explanation.
BALLOTS = """
CREATE TABLE ballots (
    task_id    uuid NOT NULL REFERENCES tasks,
    vote       integer NOT NULL,
    round      integer NOT NULL,
    voter      text NOT NULL,
    tenant     text NOT NULL,
    choice     text NOT NULL CHECK (choice IN ('approve', 'reject', 'abstain', 'absent')),
    confidence double precision CHECK (confidence BETWEEN 0 AND 1),
    weight     integer NOT NULL CHECK (weight BETWEEN 0 AND 10000),
    effective_weight integer NOT NULL CHECK (effective_weight BETWEEN 0 AND 10000),
    late       boolean NOT NULL DEFAULT false,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, vote, round, voter)
);
CREATE INDEX ballots_by_voter ON ballots (tenant, voter, at DESC);
CREATE INDEX ballots_by_time ON ballots (tenant, at DESC);

-- What turned out: whether the candidate that was voted on was good. The last word of each source; a rollback is
-- above tests, and these above a person's decision.
CREATE TABLE truths (
    task_id  uuid NOT NULL REFERENCES tasks,
    source   text NOT NULL CHECK (source IN ('human', 'tests', 'rollback')),
    tenant   text NOT NULL,
    good     boolean NOT NULL,
    actor    text NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, source)
);

CREATE TABLE tenant_policies (
    tenant     text PRIMARY KEY,
    policy     jsonb NOT NULL,
    updated_by text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
"""

# Of each task the last vote and its last round in which the voter took a side; Brier's score of the confidence that the
# choice was right. Begins with what is known, of which there is little, and not with all ballots.
RECORDS = """
CREATE VIEW voter_records WITH (security_invoker = true) AS
WITH known AS (
     SELECT DISTINCT ON (task_id) task_id, tenant, good FROM truths
      ORDER BY task_id, array_position(ARRAY['rollback', 'tests', 'human'], source)),
judged AS (
     SELECT DISTINCT ON (b.task_id, b.voter)
            b.tenant, b.voter, b.confidence, (b.choice = 'approve') = k.good AS agreed
       FROM known k JOIN ballots b ON b.task_id = k.task_id AND b.tenant = k.tenant
      WHERE NOT b.late AND b.choice IN ('approve', 'reject')
      ORDER BY b.task_id, b.voter, b.vote DESC, b.round DESC)
SELECT tenant, voter, count(*) AS judged, count(*) FILTER (WHERE agreed) AS agreed,
       avg(power(confidence - agreed::integer, 2)) AS brier
  FROM judged GROUP BY tenant, voter;
"""

RIGHTS = """
GRANT SELECT, INSERT, UPDATE ON ballots, truths, tenant_policies TO golden_service, golden_tenant;
GRANT SELECT ON voter_records TO golden_service, golden_tenant;
"""


def upgrade() -> None:
    for statements in (COLUMNS, BALLOTS, RECORDS, RIGHTS):
        op.execute(statements)
    own = "tenant = nullif(current_setting('golden.tenant', true), '')"
    for table in TENANT_TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY service_all ON {table} TO golden_service USING (true) WITH CHECK (true)")
        op.execute(f"CREATE POLICY tenant_own ON {table} TO golden_tenant USING ({own}) WITH CHECK ({own})")
