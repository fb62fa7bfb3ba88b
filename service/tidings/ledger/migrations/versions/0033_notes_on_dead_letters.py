"""Who noted something about a dead letter, and when; and notes on groups of dead letters."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0033"
down_revision = "0032"

NOTES = """
ALTER TABLE dead_letters ADD COLUMN noted_by text, ADD COLUMN noted_at timestamptz;
COMMENT ON COLUMN dead_letters.noted_by IS 'the person whose note it is; null if Tidings wrote it';
CREATE TABLE dead_letter_group_notes (
    tenant      text NOT NULL,
    fingerprint text NOT NULL,
    note        text NOT NULL,
    actor       text NOT NULL,
    noted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (fingerprint, tenant)
);
COMMENT ON TABLE dead_letter_group_notes IS 'notes of operators on groups of dead letters; they stay when the group has ended';
COMMENT ON COLUMN dead_letter_group_notes.tenant IS 'whose group it is about; *: that of all tenants together'
"""


def upgrade() -> None:
    for statement in NOTES.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE dead_letter_group_notes")
