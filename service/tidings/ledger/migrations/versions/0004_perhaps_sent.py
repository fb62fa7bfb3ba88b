"""Whether any attempt of a notification's present epoch may have reached the recipient without an answer."""

from alembic import op

revision = "0004"
down_revision = "0003"

PERHAPS_SENT = """
ALTER TABLE notifications ADD COLUMN perhaps_sent boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN notifications.perhaps_sent IS 'an attempt of this epoch may have been delivered: its reply was lost, or its worker'
"""
"""A constant default changes no row. What the version before records says so by its `failure_kind` alone."""


def upgrade() -> None:
    for statement in PERHAPS_SENT.split(";\n"):
        op.execute(statement)
