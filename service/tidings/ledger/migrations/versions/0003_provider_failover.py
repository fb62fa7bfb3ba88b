"""Which providers an attempt asked, where its channel has several."""

from alembic import op

revision = "0003"
down_revision = "0002"

TRIES = """
CREATE TABLE tries (
    notification_id uuid NOT NULL,
    epoch           integer NOT NULL,
    attempt         integer NOT NULL,
    place           integer NOT NULL,
    provider        text NOT NULL,
    kind            text NOT NULL,
    code            text NOT NULL,
    duration_ms     real NOT NULL,
    PRIMARY KEY (notification_id, epoch, attempt, place)
);
COMMENT ON TABLE tries IS 'only of attempts that did not simply succeed with the preferred provider'
"""


def upgrade() -> None:
    for statement in TRIES.split(";\n"):
        op.execute(statement)
