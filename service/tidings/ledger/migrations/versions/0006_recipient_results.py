"""What became of each recipient of a mail that was not taken alike for all of them."""

from alembic import op

revision = "0006"
down_revision = "0005"

RECIPIENT_RESULTS = """
CREATE TABLE recipient_results (
    notification_id uuid NOT NULL,
    epoch           integer NOT NULL,
    attempt         integer NOT NULL,
    address         text NOT NULL,
    role            text NOT NULL CHECK (role IN ('to', 'cc', 'bcc')),
    state           text NOT NULL CHECK (state IN ('sent', 'deferred', 'refused', 'given_up', 'unknown')),
    kind            text NOT NULL,
    code            text NOT NULL,
    message         text NOT NULL,
    at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (notification_id, epoch, address)
);
COMMENT ON TABLE recipient_results IS 'only of mails that were taken for their recipient and not, or not at once, for all copies';
COMMENT ON COLUMN recipient_results.attempt IS 'the last that said so; 0: an earlier epoch did'
"""


def upgrade() -> None:
    for statement in RECIPIENT_RESULTS.split(";\n"):
        op.execute(statement)
