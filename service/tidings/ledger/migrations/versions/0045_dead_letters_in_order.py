"""An index that leads through the dead letters in the order of their lists, however many came at the same moment."""

from tidings.ledger.migrations.locking import create_index, drop_index

revision = "0045"
down_revision = "0044"


def upgrade() -> None:
    """It takes the place of one without the id."""
    create_index("dead_letters_in_order", "dead_letters (dead_lettered_at, id)")
    drop_index("dead_letters_dead_lettered_at")
