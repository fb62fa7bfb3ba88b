"""Makes the tables ready to be partitioned by notification id: every key holds that id, every constraint is valid."""

from alembic import op

from tidings.ledger.migrations.locking import create_index, drop_index, without_waiting

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """A unique index takes the place of two. Reads the tables, and locks no one out meanwhile."""
    create_index("transitions_key", "transitions (notification_id, id)", unique=True)
    drop_index("transitions_notification_id")
    with without_waiting():
        op.execute("ALTER TABLE notifications VALIDATE CONSTRAINT notifications_time_source_check")
