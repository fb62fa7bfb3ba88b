"""Jobs that edit dead letters: what they change, while they may still be at it, and what replaced each item."""

from alembic import op

revision = "0047"
down_revision = "0046"

EDITS = """
ALTER TABLE jobs
    ADD COLUMN edit jsonb,
    ADD COLUMN change text,
    ADD COLUMN then_replay boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('replay', 'discard', 'edit', 'cancel'));
ALTER TABLE job_items ADD COLUMN superseded_by uuid;
COMMENT ON COLUMN jobs.edit IS 'of an edit: the fields that it changes, for people';
COMMENT ON COLUMN jobs.change IS 'of an edit: the same with people and content; null when it has ended';
COMMENT ON COLUMN jobs.then_replay IS 'of an edit: whether what is edited is replayed';
COMMENT ON COLUMN job_items.superseded_by IS 'of an edit: the dead letter that replaces it'
"""


def upgrade() -> None:
    for statement in EDITS.split(";\n"):
        op.execute(statement)
