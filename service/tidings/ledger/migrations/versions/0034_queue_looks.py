"""When each queue was last seen empty, from which the age of its oldest message follows."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0034"
down_revision = "0033"

TABLE = """
CREATE TABLE queue_looks (
    queue    text PRIMARY KEY,
    empty_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE queue_looks IS 'when schedulers last saw each lane and the dead-letter queue empty'
"""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE queue_looks")
