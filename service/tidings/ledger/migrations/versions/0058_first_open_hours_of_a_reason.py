"""An index that leads to the first hour from which a channel and reason have open dead letters."""

from tidings.ledger.migrations.locking import create_index

revision = "0058"
down_revision = "0057"


def upgrade() -> None:
    """So that their ages are found without looking at each group of each tenant."""
    create_index(
        "dead_letter_hours_of_reason", "dead_letter_hours (channel, reason, hour) WHERE open > 0"
    )
