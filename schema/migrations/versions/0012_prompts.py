"""Prompts as immutable versions, what each step came to, and the limits of learning. The rules are in 0013."""

from alembic import op

revision = "0012"
down_revision = "0011"

# What is new has a default or may be missing, so that the release before goes on beside it. `prompts` is what a task
# was pinned to when it was admitted: the version of each role, by id.
COLUMNS = """
ALTER TABLE tasks ADD COLUMN prompts jsonb;
ALTER TABLE tasks DROP CONSTRAINT tasks_kind_check;
ALTER TABLE tasks ADD CONSTRAINT tasks_kind_check CHECK (kind IN ('task', 'vote', 'learning'));
ALTER TABLE learning_updates
    ADD COLUMN op             text CHECK (op IN ('add', 'change', 'remove')),
    ADD COLUMN old_guideline  uuid,
    ADD COLUMN new_guideline  uuid,
    ADD COLUMN parent_version uuid,
    ADD COLUMN version        uuid,
    -- What it answers: one open proposal for each.
    ADD COLUMN pattern        text,
    ADD COLUMN not_before     timestamptz,
    ADD COLUMN waits_for      text,
    ADD COLUMN escalated_at   timestamptz,
    ADD COLUMN canary_at      timestamptz;
CREATE UNIQUE INDEX learning_updates_one_for_pattern ON learning_updates (tenant, role, pattern)
    WHERE pattern IS NOT NULL AND settled_at IS NULL;
"""

# A version is a base and an ordered list of guidelines, so that what was learned can be put on another base, and a
# version be made without opening what is sealed. A guideline's digest is that of its clear text.
PROMPTS = """
CREATE DOMAIN prompt_role AS text CHECK (VALUE IN ('architect', 'developer', 'reviewer', 'security', 'tester'));
CREATE TABLE prompt_bases (
    digest       text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    role         prompt_role NOT NULL,
    base         text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE prompt_guidelines (
    id         uuid PRIMARY KEY,
    tenant     text NOT NULL,
    role       prompt_role NOT NULL,
    digest     text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    guideline  text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE prompt_versions (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    arrival    bigint GENERATED ALWAYS AS IDENTITY,
    tenant     text NOT NULL,
    role       prompt_role NOT NULL,
    base       text NOT NULL REFERENCES prompt_bases,
    guidelines uuid[] NOT NULL DEFAULT '{}' CHECK (cardinality(guidelines) <= 50),
    digest     text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    parent     uuid REFERENCES prompt_versions,
    kind       text NOT NULL CHECK (kind IN ('release', 'update')),
    update_id  uuid UNIQUE REFERENCES learning_updates,
    proposer   text NOT NULL,
    approver   text NOT NULL,
    at         timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((kind = 'update') = (update_id IS NOT NULL))
);
CREATE INDEX prompt_versions_by_time ON prompt_versions (tenant, role, at) WHERE kind = 'update';

-- Where a tenant has none, the platform's ('*') holds.
CREATE TABLE prompt_pointers (
    tenant        text NOT NULL,
    role          prompt_role NOT NULL,
    active        uuid NOT NULL REFERENCES prompt_versions,
    canary        uuid REFERENCES prompt_versions,
    canary_update uuid REFERENCES learning_updates,
    canary_share  integer CHECK (canary_share BETWEEN 1 AND 100),
    canary_since  timestamptz,
    PRIMARY KEY (tenant, role),
    CHECK (num_nulls(canary, canary_update, canary_share, canary_since) IN (0, 4))
);

-- Every move of a pointer, never changed. One with `cooldown` keeps updates away for as long as an update does.
CREATE TABLE prompt_moves (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    tenant       text NOT NULL,
    role         prompt_role NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('release', 'canary', 'adopted', 'rolled_back')),
    from_version uuid,
    to_version   uuid NOT NULL,
    update_id    uuid,
    actor        text NOT NULL CHECK (actor <> ''),
    reason       text NOT NULL,
    cooldown     boolean NOT NULL DEFAULT false
);
CREATE INDEX prompt_moves_by_time ON prompt_moves (tenant, role, at);

CREATE TABLE prompt_limits (
    tenant         text NOT NULL,
    role           prompt_role NOT NULL,
    max_per_day    integer NOT NULL CHECK (max_per_day BETWEEN 0 AND 100),
    cooldown_hours integer NOT NULL CHECK (cooldown_hours BETWEEN 0 AND 8760),
    approval       text NOT NULL CHECK (approval IN ('human', 'automatic')),
    quorum         integer NOT NULL DEFAULT 1 CHECK (quorum BETWEEN 1 AND 10),
    canary_share   integer NOT NULL DEFAULT 20 CHECK (canary_share BETWEEN 1 AND 100),
    PRIMARY KEY (tenant, role)
);
INSERT INTO prompt_limits (tenant, role, max_per_day, cooldown_hours, approval) VALUES
    ('*', 'security', 1, 24, 'human'),
    ('*', 'architect', 2, 12, 'human'),
    ('*', 'developer', 5, 2, 'automatic'),
    ('*', 'reviewer', 3, 4, 'automatic'),
    ('*', 'tester', 5, 2, 'automatic');

-- Each approver once for what was shown: another digest is another thing to approve.
CREATE TABLE prompt_approvals (
    update_id uuid NOT NULL REFERENCES learning_updates,
    digest    text NOT NULL,
    actor     text NOT NULL,
    tenant    text NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (update_id, digest, actor)
);
"""

# What one step of a role came to, written in the transaction that ends its task. `failed` is the role's work in this
# task as far as the task itself tells; of a ballot a truth that is known later tells more.
OUTCOMES = """
CREATE TABLE outcomes (
    task_id        uuid NOT NULL REFERENCES tasks,
    step           text NOT NULL,
    epoch          integer NOT NULL,
    tenant         text NOT NULL,
    role           prompt_role NOT NULL,
    prompt_version uuid,
    model          text NOT NULL,
    spec           text NOT NULL,
    rules          text[] NOT NULL DEFAULT '{}',
    findings       jsonb NOT NULL DEFAULT '{}',
    repair_rounds  integer NOT NULL DEFAULT 0,
    ballot         text CHECK (ballot IN ('approve', 'reject', 'abstain', 'absent')),
    failed         boolean,
    input_tokens   bigint NOT NULL DEFAULT 0,
    output_tokens  bigint NOT NULL DEFAULT 0,
    at             timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (task_id, step, epoch)
);
CREATE INDEX outcomes_by_time ON outcomes (tenant, role, at DESC);
CREATE INDEX outcomes_by_version ON outcomes (prompt_version, at);

CREATE VIEW judged_outcomes WITH (security_invoker = true) AS
WITH known AS (
     SELECT DISTINCT ON (task_id) task_id, tenant, good FROM truths
      ORDER BY task_id, array_position(ARRAY['rollback', 'tests', 'human'], source))
SELECT o.*, k.good AS truth,
       CASE WHEN k.good IS NOT NULL AND o.ballot IN ('approve', 'reject')
            THEN (o.ballot = 'approve') <> k.good ELSE o.failed END AS harmed
  FROM outcomes o LEFT JOIN known k ON k.task_id = o.task_id AND k.tenant = o.tenant;
"""

RIGHTS = """
GRANT SELECT ON prompt_bases, prompt_guidelines, prompt_versions, prompt_pointers, prompt_moves, prompt_limits,
    prompt_approvals, outcomes, judged_outcomes TO golden_service, golden_tenant;
GRANT INSERT ON prompt_guidelines, outcomes TO golden_service, golden_tenant;
"""

PLATFORMS = ("prompt_guidelines", "prompt_versions", "prompt_pointers", "prompt_moves", "prompt_limits")
"""Whose rows of the platform every tenant reads."""

TABLES = (
    "prompt_guidelines",
    "prompt_versions",
    "prompt_pointers",
    "prompt_moves",
    "prompt_limits",
    "prompt_bases",
    "prompt_approvals",
    "outcomes",
)


def upgrade() -> None:
    own = "tenant = nullif(current_setting('golden.tenant', true), '')"
    for statements in (COLUMNS, PROMPTS, OUTCOMES, RIGHTS):
        op.execute(statements)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        # The functions of 0013 write in the owner's name.
        op.execute(f"CREATE POLICY owner_all ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)")
        op.execute(f"CREATE POLICY service_all ON {table} TO golden_service USING (true) WITH CHECK (true)")
    op.execute("CREATE POLICY everybody_reads ON prompt_bases FOR SELECT TO golden_tenant USING (true)")
    for table in PLATFORMS:
        op.execute(f"CREATE POLICY tenant_reads ON {table} FOR SELECT TO golden_tenant USING ({own} OR tenant = '*')")
    op.execute(
        "CREATE POLICY tenant_writes ON prompt_guidelines FOR INSERT TO golden_tenant "
        # Anybody may set `golden.tenant` to the platform's name.
        f"WITH CHECK ({own} AND tenant <> '*')"
    )
    for table in ("prompt_approvals", "outcomes"):
        op.execute(f"CREATE POLICY tenant_own ON {table} TO golden_tenant USING ({own}) WITH CHECK ({own})")
    op.execute("CREATE POLICY owner_all ON learning_updates TO CURRENT_USER USING (true) WITH CHECK (true)")
