"""An idempotency key is held per channel and recipient."""

from alembic import op

revision = "0005"
down_revision = "0004"

HOLDERS = """
CREATE TABLE idempotency_holders (
    key             text NOT NULL,
    addressee       bytea NOT NULL,
    notification_id uuid NOT NULL,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (key, addressee)
);
CREATE INDEX idempotency_holders_expires_at ON idempotency_holders (expires_at);
COMMENT ON COLUMN idempotency_holders.addressee IS 'SHA-256 of the channel, a newline, and the recipient';
INSERT INTO idempotency_holders (key, addressee, notification_id, expires_at)
SELECT k.key, sha256(convert_to(n.channel || chr(10) || n.recipient, 'UTF8')), n.id, k.expires_at
  FROM idempotency_keys k JOIN notifications n ON n.id = k.notification_id;
COMMENT ON TABLE idempotency_keys IS 'of the version before only: to be dropped with the next'
"""


def upgrade() -> None:
    for statement in HOLDERS.split(";\n"):
        op.execute(statement)
