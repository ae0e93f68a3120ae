"""Why somebody says that what was voted on turned out good or bad."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    # Of a person's decision the reason is with the decision.
    op.execute("ALTER TABLE truths ADD COLUMN reason text")
