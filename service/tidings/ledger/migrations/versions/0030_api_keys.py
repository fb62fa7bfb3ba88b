"""Keys of the HTTP API, of which only a hash is stored."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0030"
down_revision = "0029"

API_KEYS = """
CREATE TABLE api_keys (
    prefix       text PRIMARY KEY,
    hash         bytea NOT NULL UNIQUE,
    name         text NOT NULL,
    tenant       text NOT NULL,
    scopes       text[] NOT NULL,
    test         boolean NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text
);
COMMENT ON TABLE api_keys IS 'keys of the HTTP API; never deleted, so that the audit trail can name them';
COMMENT ON COLUMN api_keys.prefix IS 'the beginning of the key, which is no secret: its id';
COMMENT ON COLUMN api_keys.hash IS 'SHA-256 of the whole key';
COMMENT ON COLUMN api_keys.tenant IS 'the tenant that it may act for; *: all'
"""


def upgrade() -> None:
    for statement in API_KEYS.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE api_keys")
