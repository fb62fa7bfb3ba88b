"""What waits in each queue, so that rules of alerts watch it; their reminders, and the news that it is over."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0046"
down_revision = "0045"

STATEMENTS = """
CREATE TABLE queue_depths (
    queue       text PRIMARY KEY,
    messages    bigint NOT NULL,
    seen_at     timestamptz NOT NULL,
    known_since timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
COMMENT ON TABLE queue_depths IS 'how many messages schedulers last saw in each lane and the dead-letter queue';
COMMENT ON COLUMN queue_depths.known_since IS 'when it was seen first: what waits in a queue that was never empty came before';
ALTER TABLE alert_rules
    ADD COLUMN queue text,
    ADD COLUMN remind integer NOT NULL DEFAULT 14400,
    ADD COLUMN all_clear boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN alert_rules.queue IS 'only of this queue';
COMMENT ON COLUMN alert_rules.remind IS 'seconds after an alert in which one comes again while nothing has changed; 0: never';
COMMENT ON COLUMN alert_rules.all_clear IS 'whether it is told when something is over'
"""


def upgrade() -> None:
    for statement in STATEMENTS.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE queue_depths")
