"""Who takes care of a group of dead letters."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0043"
down_revision = "0042"

OWNERS = """
CREATE TABLE dead_letter_group_owners (
    tenant      text NOT NULL,
    fingerprint text NOT NULL,
    owner       text NOT NULL,
    actor       text NOT NULL,
    set_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (fingerprint, tenant)
);
COMMENT ON TABLE dead_letter_group_owners IS 'operators who take care of groups of dead letters; they stay when the group has ended';
COMMENT ON COLUMN dead_letter_group_owners.tenant IS 'whose group it is; *: that of all tenants together'
"""


def upgrade() -> None:
    for statement in OWNERS.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE dead_letter_group_owners")
