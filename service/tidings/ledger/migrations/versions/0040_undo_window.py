"""When a job begins: until then it can be cancelled with nothing done."""

from alembic import op

revision = "0040"
down_revision = "0039"


def upgrade() -> None:
    """A job without it begins at once."""
    op.execute("ALTER TABLE jobs ADD COLUMN starts_at timestamptz")
    op.execute(
        "COMMENT ON COLUMN jobs.starts_at IS 'nothing is done with its items before; null: it begins at once'"
    )
