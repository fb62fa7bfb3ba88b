"""Indexes that lead through dead letters, and entries of the outbox, in the order of their lists: of a group, a user, an entity …"""

from tidings.ledger.migrations.locking import create_index

revision = "0049"
down_revision = "0048"


def upgrade() -> None:
    """Without them a list of few among a million reads the million."""
    create_index("dead_letters_by_group", "dead_letters (fingerprint, dead_lettered_at, id)")
    create_index(
        "dead_letters_by_user",
        "dead_letters (user_id, dead_lettered_at, id) WHERE user_id IS NOT NULL",
    )
    create_index(
        "dead_letters_by_entity",
        "dead_letters (entity_type, entity_id, dead_lettered_at, id) WHERE entity_type IS NOT NULL",
    )
    create_index(
        "dead_letters_by_category",
        "dead_letters (category, dead_lettered_at, id) WHERE state = 'open' AND NOT test",
    )
    create_index(
        "outbox_entries_by_user",
        "outbox_entries (user_id, entered_at, notification_id) WHERE user_id IS NOT NULL",
    )
    create_index(
        "outbox_entries_by_tenant",
        "outbox_entries (tenant, entered_at, notification_id) WHERE tenant <> 'default'",
    )
