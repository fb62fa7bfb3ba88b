"""Indexes that lead through the audit trail by time, and by action: it is kept for ever."""

from tidings.ledger.migrations.locking import create_index

revision = "0051"
down_revision = "0050"


def upgrade() -> None:
    """Without them each page of it reads all of it."""
    create_index("operator_actions_by_time", "operator_actions (at, id)")
    create_index("operator_actions_by_action", "operator_actions (action, at, id)")
