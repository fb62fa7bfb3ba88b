"""Indexes of what people ask for first: notifications that fare badly, and open dead letters by channel and reason."""

from tidings.ledger.migrations.locking import create_index

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    create_index(
        "notifications_troubled",
        "notifications (accepted_at) WHERE reason IS NOT NULL OR failure_kind IS NOT NULL",
    )
    create_index(
        "dead_letters_standing", "dead_letters (channel, reason, buried_at) WHERE state = 'buried'"
    )
