"""Actions of operators that delete or erase are kept apart from what they delete, and keys of an erased person can be deleted."""

from alembic import op

from tidings.ledger.migrations.owning import define, leave_to_owner

revision = "0020"
down_revision = "0019"

OPERATOR_ACTIONS = """
CREATE TABLE operator_actions (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    actor   text NOT NULL,
    action  text NOT NULL,
    reason  text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE operator_actions IS 'what operators erased or deleted; retention leaves it alone';
ALTER TABLE processes ADD COLUMN retention jsonb;
COMMENT ON COLUMN processes.retention IS 'of a scheduler: for how many seconds what has ended is kept, by state; 0: for ever'
"""

ERASE_KEYS = """
CREATE FUNCTION tidings_erase_keys(ids uuid[]) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    deleted integer;
    total integer := 0;
BEGIN
    DELETE FROM idempotency_holders k USING notifications n
     WHERE n.id = ANY(ids) AND n.finished_at IS NOT NULL AND k.key = n.idempotency_key AND k.notification_id = n.id
       AND k.addressee = sha256(convert_to(n.channel || chr(10) || n.recipient, 'UTF8'));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    total := total + deleted;
    DELETE FROM idempotency_keys k USING notifications n
     WHERE n.id = ANY(ids) AND n.finished_at IS NOT NULL AND k.key = n.idempotency_key AND k.notification_id = n.id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN total + deleted;
END $$
"""
"""Deletes the idempotency keys of notifications that have ended: a key may name a person."""


def upgrade() -> None:
    for statement in OPERATOR_ACTIONS.split(";\n"):
        op.execute(statement)
    leave_to_owner("TABLE operator_actions")
    define("tidings_erase_keys(uuid[])", ERASE_KEYS)
