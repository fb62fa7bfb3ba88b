"""Batches of the outbox, so that a replay does not write each notification and dead letter twice."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0053"
down_revision = "0052"

BATCHES = """
CREATE TABLE outbox_batches (
    id            uuid PRIMARY KEY,
    notifications uuid[] NOT NULL,
    epochs        integer[] NOT NULL,
    lease_until   timestamptz NOT NULL
)
"""
COMMENTS = {
    "TABLE outbox_batches": "notifications that a replay publishes together; deleted once all are confirmed",
    "COLUMN outbox_batches.epochs": "of each notification: the epoch that is published",
    "COLUMN outbox_batches.lease_until": "from then on a scheduler publishes what was not claimed",
}


def upgrade() -> None:
    op.execute(BATCHES)
    for what, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {what} IS '{comment}'")
    leave_to_owner("TABLE outbox_batches")
