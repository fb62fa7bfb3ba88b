"""The tables use the words of docs/glossary.md: open dead letters, provider attempts, alerts, and notes of operators."""

from alembic import op

revision = "0021"
down_revision = "0020"

DEAD_LETTERS = """
ALTER TABLE dead_letters RENAME COLUMN buried_at TO dead_lettered_at;
ALTER TABLE dead_letters DROP CONSTRAINT dead_letters_state_check;
DROP INDEX dead_letters_open;
DROP INDEX dead_letters_standing;
UPDATE dead_letters SET state = 'open' WHERE state = 'buried';
ALTER TABLE dead_letters ALTER COLUMN state SET DEFAULT 'open';
ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_state_check
    CHECK (state IN ('open', 'replaying', 'replayed', 'discarded', 'superseded'));
ALTER INDEX dead_letters_buried_at RENAME TO dead_letters_dead_lettered_at;
CREATE INDEX dead_letters_open ON dead_letters (fingerprint, dead_lettered_at) WHERE state = 'open';
CREATE INDEX dead_letters_standing ON dead_letters (channel, reason, dead_lettered_at) WHERE state = 'open'
"""
"""Only what nobody has decided yet is written: what is closed keeps its row."""

OPERATORS = """
ALTER TABLE channel_orders DROP CONSTRAINT channel_orders_verb_check;
UPDATE channel_orders SET verb = CASE verb WHEN 'open' THEN 'disable' ELSE 'enable' END WHERE verb IN ('open', 'close');
ALTER TABLE channel_orders ADD CONSTRAINT channel_orders_verb_check CHECK (verb IN ('pause', 'resume', 'disable', 'enable'));
ALTER TABLE channel_orders RENAME COLUMN reason TO note;
ALTER TABLE operator_actions RENAME COLUMN reason TO note;
UPDATE circuits SET phase = 'disabled' WHERE phase = 'held';
ALTER TABLE escalations RENAME TO alerts;
ALTER TABLE alerts RENAME COLUMN told_at TO sent_at;
ALTER TABLE alerts RENAME COLUMN untold TO pending;
ALTER INDEX escalations_pkey RENAME TO alerts_pkey
"""

PROVIDER_ATTEMPTS = """
ALTER TABLE tries RENAME TO provider_attempts;
ALTER TABLE provider_attempts RENAME COLUMN place TO position;
DO $$
DECLARE
    part record;
BEGIN
    FOR part IN SELECT c.relname AS name, 'provider_attempts' || substr(c.relname, 6) AS renamed FROM pg_class c
                 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i', 'I')
                   AND c.relname ~ '^tries_(pkey|(default|[0-9]{8})(_retired)?(_pkey)?)$'
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME TO %I', part.name, part.renamed);
    END LOOP;
END $$
"""
PARTITIONED = """
CREATE OR REPLACE FUNCTION tidings_partitioned() RETURNS TABLE (name text, key text) LANGUAGE sql IMMUTABLE AS $$
    VALUES ('notifications', 'id'), ('attempts', 'notification_id'), ('provider_attempts', 'notification_id'),
           ('recipient_results', 'notification_id'), ('transitions', 'notification_id')
$$
"""

COMMENTS = {
    "TABLE provider_attempts": "only of attempts that did not simply succeed with the preferred provider",
    "TABLE circuits": "the circuits of each worker, if one of them was ever not closed",
    "COLUMN circuits.seen_at": "when its worker last reported it",
    "TABLE channel_orders": "the last order for each channel and provider is in force; the others are history",
    "TABLE operator_actions": "erasures and deletions by operators; retention keeps them",
    "COLUMN notifications.dispatch_at": "when the scheduler publishes it: it is due, or was published without a confirm",
    "COLUMN notifications.retry_delay": "seconds: the delay of the retry queue after the last failed attempt",
    "COLUMN notifications.requeued_at": "when its message was last found missing; void if before updated_at",
    "COLUMN notifications.time_source": "the source of accepted_at: the producer's message, the id, or the time it was first read",
    "COLUMN notifications.producer": "AMQP app_id and user_id of its producer; null if neither was set",
    "TABLE recipient_results": "only of mails that were accepted for their recipient, but not, or not at once, for all copies",
    "COLUMN recipient_results.attempt": "the last attempt with this result; 0: of an earlier epoch",
    "TABLE processes": "running and ended processes; a new process reuses the row of one that ended long ago",
    "COLUMN processes.retention": "seconds for which a scheduler keeps finished notifications, by state; 0: for ever",
    "COLUMN processes.templates": "a hash of the templates it has read; empty if it reads none",
}


def upgrade() -> None:
    for statement in (*DEAD_LETTERS.split(";\n"), *OPERATORS.split(";\n")):
        op.execute(statement)
    rename, move, parts = PROVIDER_ATTEMPTS.split(";\n", 2)
    for statement in (rename, move, parts, PARTITIONED):
        op.execute(statement)
    for subject, comment in COMMENTS.items():
        quoted = comment.replace("'", "''")
        op.execute(f"COMMENT ON {subject} IS '{quoted}'")
