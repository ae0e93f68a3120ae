"""Proposed changes to how agents work: one row each, from its proposal to its end."""

from alembic import op

revision = "0010"
down_revision = "0009"

# A proposal of weights goes from `pending` to `approved`, which is a person's word, and to `adopted`, which is the
# workflow's deed. The states between are those of prompts.
UPDATES = """
CREATE TABLE learning_updates (
    id          uuid PRIMARY KEY,
    arrival     bigint GENERATED ALWAYS AS IDENTITY,
    tenant      text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('prompt', 'weights')),
    role        text NOT NULL,
    state       text NOT NULL DEFAULT 'proposed' CHECK (state IN (
        'proposed', 'evaluating', 'waiting', 'pending', 'approved', 'rejected', 'expired', 'canary', 'adopted',
        'rolled_back')),
    diff        jsonb NOT NULL,
    evidence    jsonb NOT NULL,
    evaluation  jsonb,
    -- What it was made from: it is not applied to anything else.
    parent      text NOT NULL,
    digest      text NOT NULL,
    proposer    text NOT NULL,
    proposed_at timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz,
    decided_at  timestamptz,
    decided_by  text,
    reason      text,
    settled_at  timestamptz
);
CREATE INDEX learning_updates_by_tenant ON learning_updates (tenant, arrival DESC);
CREATE INDEX learning_updates_unsettled ON learning_updates (arrival) WHERE settled_at IS NULL;
CREATE UNIQUE INDEX learning_updates_one_for_weights ON learning_updates (tenant)
    WHERE kind = 'weights' AND settled_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON learning_updates TO golden_service, golden_tenant;
ALTER TABLE learning_updates ENABLE ROW LEVEL SECURITY;
ALTER TABLE learning_updates FORCE ROW LEVEL SECURITY;
CREATE POLICY service_all ON learning_updates TO golden_service USING (true) WITH CHECK (true);
CREATE POLICY tenant_own ON learning_updates TO golden_tenant
    USING (tenant = nullif(current_setting('golden.tenant', true), ''))
    WITH CHECK (tenant = nullif(current_setting('golden.tenant', true), ''));
"""


def upgrade() -> None:
    op.execute(UPDATES)
