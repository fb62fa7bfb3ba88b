"""When a notification whose message is gone was last published again from here."""

from alembic import op

revision = "0008"
down_revision = "0007"

REQUEUED_AT = """
ALTER TABLE notifications ADD COLUMN requeued_at timestamptz;
COMMENT ON COLUMN notifications.requeued_at IS 'when its message was last taken for lost; of no meaning where it is before updated_at'
"""


def upgrade() -> None:
    for statement in REQUEUED_AT.split(";\n"):
        op.execute(statement)
