"""Dead letters found by their recipient."""

from tidings.ledger.migrations.locking import create_index

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    create_index("dead_letters_recipient", "dead_letters (recipient) WHERE recipient IS NOT NULL")
