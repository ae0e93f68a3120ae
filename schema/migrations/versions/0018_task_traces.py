"""The trace of the request that a task came with: a start that was lost and is made up for belongs to it."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("ALTER TABLE tasks ADD COLUMN traceparent text CHECK (length(traceparent) = 55)")
