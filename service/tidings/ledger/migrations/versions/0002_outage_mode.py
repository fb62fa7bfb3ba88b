"""What operators order of channels and providers, and how workers find the providers."""

from alembic import op

revision = "0002"
down_revision = "0001"

CHANNEL_ORDERS = """
CREATE TABLE channel_orders (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel  text NOT NULL,
    provider text NOT NULL,
    verb     text NOT NULL CHECK (verb IN ('pause', 'resume', 'open', 'close')),
    actor    text NOT NULL,
    reason   text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX channel_orders_last ON channel_orders (channel, provider, id DESC);
COMMENT ON TABLE channel_orders IS 'the last one of each channel and provider counts; the others are history';
COMMENT ON COLUMN channel_orders.provider IS 'empty: the channel itself'
"""

CIRCUITS = """
CREATE TABLE circuits (
    channel  text NOT NULL,
    provider text NOT NULL,
    worker   text NOT NULL,
    phase    text NOT NULL,
    reason   text NOT NULL,
    since    timestamptz NOT NULL,
    probe_at timestamptz,
    seen_at  timestamptz NOT NULL,
    PRIMARY KEY (channel, provider, worker)
);
COMMENT ON TABLE circuits IS 'as each worker has it that ever found one not closed';
COMMENT ON COLUMN circuits.seen_at IS 'when its worker last said so'
"""


def upgrade() -> None:
    for block in (CHANNEL_ORDERS, CIRCUITS):
        for statement in block.split(";\n"):
            op.execute(statement)
