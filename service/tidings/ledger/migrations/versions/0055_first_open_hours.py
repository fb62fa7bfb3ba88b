"""An index that leads to the first and the last hour from which a group has open dead letters."""

from tidings.ledger.migrations.locking import create_index

revision = "0055"
down_revision = "0054"


def upgrade() -> None:
    """So that its oldest is not looked for among all that a replay has closed."""
    create_index(
        "dead_letter_hours_open", "dead_letter_hours (fingerprint, tenant, hour) WHERE open > 0"
    )
