"""Indexes that lead through notifications newest first: ids without their rows, and those of one recipient."""

from tidings.ledger.migrations.locking import create_index, drop_index

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Each takes the place of one without its second column, which a row changes as little as the first."""
    create_index("notifications_newest", "notifications (accepted_at, id)")
    drop_index("notifications_accepted_at")
    create_index("notifications_of_recipient", "notifications (recipient, accepted_at)")
    drop_index("notifications_recipient")
