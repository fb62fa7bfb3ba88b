"""An index of what a user has snoozed, in the order of the list."""

from tidings.ledger.migrations.locking import create_index

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    """Without it the list goes through all that anybody has snoozed."""
    create_index(
        "inbox_messages_snoozed_of_user",
        "inbox_messages (tenant, user_id, position) WHERE snoozed_until IS NOT NULL AND archived_at IS NULL"
        " AND deleted_at IS NULL",
    )
