"""The AMQP properties that a producer set, kept with its dead letters."""

from alembic import op

revision = "0007"
down_revision = "0006"

PROPERTIES = """
ALTER TABLE dead_letters ADD COLUMN properties jsonb NOT NULL DEFAULT '{}';
ALTER TABLE notifications ADD COLUMN properties jsonb;
COMMENT ON COLUMN notifications.properties IS 'AMQP properties as its producer set them, of what was stored before it was due'
"""


def upgrade() -> None:
    for statement in PROPERTIES.split(";\n"):
        op.execute(statement)
