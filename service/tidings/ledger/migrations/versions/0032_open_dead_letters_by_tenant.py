"""An index that leads through the open dead letters of a group and tenant, oldest first."""

from tidings.ledger.migrations.locking import create_index, drop_index

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    """It takes the place of one without the tenant, which a row changes as little as the first."""
    create_index(
        "dead_letters_open_of_group",
        "dead_letters (fingerprint, (coalesce(tenant, '')), dead_lettered_at) WHERE state = 'open'",
    )
    drop_index("dead_letters_open")
