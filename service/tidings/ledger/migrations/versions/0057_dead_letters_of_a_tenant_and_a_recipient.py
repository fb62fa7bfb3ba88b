"""Indexes that lead through the dead letters of a tenant, and of a recipient, in their order."""

from tidings.ledger.migrations.locking import create_index, drop_index

revision = "0057"
down_revision = "0056"


def upgrade() -> None:
    """So that a tenant's few are not looked for among those of all others, and a recipient's very many are not sorted for each look."""
    create_index(
        "dead_letters_by_tenant",
        "dead_letters (tenant, state, dead_lettered_at, id) WHERE tenant <> 'default'",
    )
    create_index(
        "dead_letters_by_recipient",
        "dead_letters (recipient, dead_lettered_at, id) WHERE recipient IS NOT NULL",
    )
    drop_index("dead_letters_recipient")
