"""Jobs that decide about outbox entries, and when somebody last decided about one."""

from alembic import op

revision = "0048"
down_revision = "0047"

DECISIONS = """
ALTER TABLE jobs
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check
        CHECK (kind IN ('replay', 'discard', 'edit', 'cancel', 'retry', 'mark_pending', 'mark_failed'));
ALTER TABLE outbox_entries ADD COLUMN decided_at timestamptz;
COMMENT ON COLUMN outbox_entries.decided_at IS 'when somebody last retried it or gave it up'
"""


def upgrade() -> None:
    for statement in DECISIONS.split(";\n"):
        op.execute(statement)
