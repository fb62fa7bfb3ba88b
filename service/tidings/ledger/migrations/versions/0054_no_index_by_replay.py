"""Dead letters without the index by replay, which nothing reads and every replay wrote."""

from tidings.ledger.migrations.locking import drop_index

revision = "0054"
down_revision = "0053"


def upgrade() -> None:
    drop_index("dead_letters_replay")
