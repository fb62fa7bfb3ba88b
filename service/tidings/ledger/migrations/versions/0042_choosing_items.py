"""Jobs whose items are being chosen: what is wanted is kept until they are, so that any process can do it."""

from alembic import op

revision = "0042"
down_revision = "0041"

STATES = """
ALTER TABLE jobs
    ADD COLUMN wanted jsonb,
    ADD COLUMN most integer,
    DROP CONSTRAINT jobs_state_check,
    ADD CONSTRAINT jobs_state_check
        CHECK (state IN ('choosing', 'preview', 'running', 'paused', 'stopped', 'finished', 'cancelled'));
COMMENT ON COLUMN jobs.wanted IS 'the filter of its items while they are being chosen, and null afterwards: it may name people';
COMMENT ON COLUMN jobs.most IS 'how many of them at most; null: all'
"""


def upgrade() -> None:
    for statement in STATES.split(";\n"):
        op.execute(statement)
