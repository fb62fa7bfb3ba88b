"""Entries of the outbox that RabbitMQ's absence made, for people to see; deleted a week after they entered, if over."""

from alembic import op

from tidings.delivery.errors import ConfigurationError
from tidings.ledger.migrations.owning import leave_to_owner

revision = "0029"
down_revision = "0028"

TABLE = """
CREATE TABLE outbox_entries (
    notification_id uuid PRIMARY KEY,
    tenant          text NOT NULL,
    channel         text NOT NULL,
    user_id         text,
    reason          text NOT NULL,
    entered_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    tries           integer NOT NULL DEFAULT 0,
    last_error      text,
    published_at    timestamptz,
    decided_by      text,
    note            text
);
CREATE INDEX outbox_entries_entered_at ON outbox_entries (entered_at, notification_id);
COMMENT ON COLUMN outbox_entries.tries IS 'publishes that RabbitMQ did not confirm';
COMMENT ON COLUMN outbox_entries.decided_by IS 'who last retried it or gave it up'
"""
TIDY = "tidings_tidy(jsonb, integer)"
BEFORE = "    DELETE FROM circuits WHERE"
ALSO = """    total := total + deleted;
    DELETE FROM outbox_entries WHERE ctid = ANY(ARRAY(
        SELECT e.ctid FROM outbox_entries e
         WHERE e.entered_at < now() - interval '7 days'
           AND NOT EXISTS (SELECT FROM notifications n WHERE n.id = e.notification_id AND n.dispatch_at IS NOT NULL)
         ORDER BY e.entered_at LIMIT most FOR UPDATE OF e SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
"""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE outbox_entries")
    bind = op.get_bind()
    definition = bind.exec_driver_sql(
        f"SELECT pg_get_functiondef('{TIDY}'::regprocedure)"
    ).scalar_one()
    if BEFORE not in definition:
        raise ConfigurationError(
            f"the function {TIDY} is not the one of Tidings 0.2: define that again, and run `tidings migrate` again"
        )
    bind.exec_driver_sql(definition.replace(BEFORE, ALSO + BEFORE))
