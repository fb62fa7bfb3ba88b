"""First answers to requests with an Idempotency-Key, deleted a day after they have expired."""

from alembic import op

from tidings.delivery.errors import ConfigurationError
from tidings.ledger.migrations.owning import leave_to_owner

revision = "0027"
down_revision = "0026"

TABLE = """
CREATE TABLE api_requests (
    api_key         text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint     bytea NOT NULL,
    answer          bytea,
    expires_at      timestamptz NOT NULL,
    PRIMARY KEY (api_key, idempotency_key)
);
CREATE INDEX api_requests_expires_at ON api_requests (expires_at);
COMMENT ON COLUMN api_requests.api_key IS 'the key that sent it, without its secret';
COMMENT ON COLUMN api_requests.fingerprint IS 'SHA-256 of what it requested'
"""
TIDY = "tidings_tidy(jsonb, integer)"
BEFORE = "    DELETE FROM circuits WHERE"
ALSO = """    total := total + deleted;
    DELETE FROM api_requests WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM api_requests WHERE expires_at < now() - interval '1 day' ORDER BY expires_at LIMIT most FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS deleted = ROW_COUNT;
"""


def upgrade() -> None:
    for statement in TABLE.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE api_requests")
    bind = op.get_bind()
    definition = bind.exec_driver_sql(
        f"SELECT pg_get_functiondef('{TIDY}'::regprocedure)"
    ).scalar_one()
    if BEFORE not in definition:
        raise ConfigurationError(
            f"the function {TIDY} is not the one of Tidings 0.2: define that again, and run `tidings migrate` again"
        )
    if ALSO not in definition:
        bind.exec_driver_sql(definition.replace(BEFORE, ALSO + BEFORE))
