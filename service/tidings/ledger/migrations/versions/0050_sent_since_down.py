"""When a worker last found a provider down, and last sent through it, so that nobody calls one up again that is not."""

from alembic import op

revision = "0050"
down_revision = "0049"

STATEMENTS = """
ALTER TABLE circuits ADD COLUMN down_at timestamptz, ADD COLUMN sent_at timestamptz;
COMMENT ON TABLE circuits IS 'as each worker has it that ever found one not closed, or sent where another did';
COMMENT ON COLUMN circuits.down_at IS 'when its worker last reported it open, probing or disabled';
COMMENT ON COLUMN circuits.sent_at IS 'when its worker last sent a notification through it, to two seconds, while or after it was down'
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
