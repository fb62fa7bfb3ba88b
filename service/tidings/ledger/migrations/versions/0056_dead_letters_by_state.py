"""An index that leads to the dead letters of one state, in their order."""

from tidings.ledger.migrations.locking import create_index

revision = "0056"
down_revision = "0055"


def upgrade() -> None:
    """So that few of a state are not looked for among a million of others."""
    create_index("dead_letters_by_state", "dead_letters (state, dead_lettered_at, id)")
