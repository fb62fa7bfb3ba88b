"""The ledger: notifications, attempts, their history, dead letters."""

from alembic import op

revision = "0001"
down_revision = None

NOTIFICATIONS = """
CREATE TABLE notifications (
    id              uuid PRIMARY KEY,
    channel         text NOT NULL,
    priority        text NOT NULL,
    category        text NOT NULL,
    recipient       text NOT NULL,
    user_id         text,
    entity_type     text,
    entity_id       text,
    state           text NOT NULL CHECK (state IN (
                        'scheduled', 'queued', 'sending', 'retrying', 'sent', 'delivered', 'bounced',
                        'failed', 'cancelled', 'suppressed', 'expired', 'unknown', 'discarded')),
    epoch           integer NOT NULL CHECK (epoch >= 0),
    attempt         integer NOT NULL CHECK (attempt >= 0),
    body            bytea NOT NULL,
    traceparent     text,
    idempotency_key text,
    duplicate_of    uuid,
    scheduled_at    timestamptz,
    expires_at      timestamptz,
    accepted_at     timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    dispatch_at     timestamptz,
    lease_holder    text,
    lease_until     timestamptz,
    lapses          smallint NOT NULL DEFAULT 0,
    provider        text,
    reference       text,
    reason          text,
    failure_kind    text,
    failure_code    text,
    failure_message text,
    retry_delay     integer
) WITH (fillfactor = 70)
"""

COMMENTS = """
COMMENT ON COLUMN notifications.attempt IS 'the attempt last claimed in this epoch; 0 before the first';
COMMENT ON COLUMN notifications.body IS 'as the producer wrote it';
COMMENT ON COLUMN notifications.dispatch_at IS 'when somebody has to publish it: due, or published without a confirm';
COMMENT ON COLUMN notifications.lapses IS 'how often the lease of this attempt ran out: it may have been sent already';
COMMENT ON COLUMN notifications.retry_delay IS 'seconds: the tier that the last failed attempt was sent to';
COMMENT ON COLUMN notifications.reference IS 'the provider''s own id'
"""

NOTIFICATION_INDEXES = """
CREATE INDEX notifications_accepted_at ON notifications (accepted_at);
CREATE INDEX notifications_recipient ON notifications (recipient);
CREATE INDEX notifications_user_id ON notifications (user_id, accepted_at) WHERE user_id IS NOT NULL;
CREATE INDEX notifications_entity ON notifications (entity_type, entity_id, accepted_at) WHERE entity_id IS NOT NULL;
CREATE INDEX notifications_dispatch_at ON notifications (dispatch_at) WHERE dispatch_at IS NOT NULL
"""

ATTEMPTS = """
CREATE TABLE attempts (
    notification_id    uuid NOT NULL,
    epoch              integer NOT NULL,
    attempt            integer NOT NULL,
    started_at         timestamptz NOT NULL,
    duration_ms        real NOT NULL,
    state              text NOT NULL,
    provider           text,
    reference          text,
    code               text,
    kind               text,
    message            text,
    retry_delay        integer,
    possible_duplicate boolean NOT NULL DEFAULT false,
    worker             text NOT NULL,
    PRIMARY KEY (notification_id, epoch, attempt)
)
"""

TRANSITIONS = """
CREATE TABLE transitions (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    notification_id uuid NOT NULL,
    epoch           integer NOT NULL,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    before          text,
    after           text NOT NULL,
    actor           text NOT NULL,
    reason          text NOT NULL
);
CREATE INDEX transitions_notification_id ON transitions (notification_id)
"""

HISTORY = """
CREATE VIEW history AS
    SELECT id AS notification_id, 0 AS epoch, accepted_at AS at, 0 AS step, NULL AS before,
           CASE WHEN scheduled_at > accepted_at THEN 'scheduled' ELSE 'queued' END AS after,
           'producer' AS actor, 'accepted' AS reason
      FROM notifications
 UNION ALL
    SELECT notification_id, epoch, started_at, 2 * attempt, CASE attempt WHEN 1 THEN 'queued' ELSE 'retrying' END,
           'sending', worker, 'attempt ' || attempt
      FROM attempts
 UNION ALL
    SELECT notification_id, epoch, started_at + duration_ms * interval '1 millisecond', 2 * attempt + 1,
           'sending', state, worker, coalesce(message, 'accepted by ' || provider)
      FROM attempts
 UNION ALL
    SELECT notification_id, epoch, at, 1, before, after, actor, reason
      FROM transitions
"""

IDEMPOTENCY_KEYS = """
CREATE TABLE idempotency_keys (
    key             text PRIMARY KEY,
    notification_id uuid NOT NULL,
    expires_at      timestamptz NOT NULL
);
CREATE INDEX idempotency_keys_expires_at ON idempotency_keys (expires_at)
"""

DEAD_LETTERS = """
CREATE TABLE dead_letters (
    id              uuid PRIMARY KEY,
    notification_id uuid,
    epoch           integer NOT NULL DEFAULT 0,
    state           text NOT NULL DEFAULT 'buried'
                    CHECK (state IN ('buried', 'replaying', 'replayed', 'discarded', 'superseded')),
    reason          text NOT NULL,
    kind            text NOT NULL,
    code            text NOT NULL DEFAULT '',
    message         text NOT NULL,
    provider        text NOT NULL DEFAULT '',
    fingerprint     text NOT NULL,
    channel         text,
    priority        text,
    category        text,
    recipient       text,
    user_id         text,
    entity_type     text,
    entity_id       text,
    attempts        integer NOT NULL DEFAULT 0,
    first_failed_at timestamptz NOT NULL,
    last_failed_at  timestamptz NOT NULL,
    buried_at       timestamptz NOT NULL DEFAULT now(),
    exchange        text NOT NULL DEFAULT '',
    routing_key     text NOT NULL DEFAULT '',
    content_type    text,
    headers         jsonb NOT NULL DEFAULT '{}',
    body            bytea NOT NULL,
    changed_at      timestamptz NOT NULL DEFAULT now(),
    actor           text,
    note            text,
    supersedes      uuid REFERENCES dead_letters,
    replay          uuid,
    replay_epoch    integer,
    replayed_at     timestamptz
);
CREATE INDEX dead_letters_buried_at ON dead_letters (buried_at);
CREATE INDEX dead_letters_open ON dead_letters (fingerprint, buried_at) WHERE state = 'buried';
CREATE INDEX dead_letters_notification_id ON dead_letters (notification_id);
CREATE INDEX dead_letters_replay ON dead_letters (replay) WHERE replay IS NOT NULL;
CREATE INDEX dead_letters_replaying ON dead_letters (changed_at) WHERE state = 'replaying';
CREATE INDEX dead_letters_supersedes ON dead_letters (supersedes) WHERE supersedes IS NOT NULL
"""

ESCALATIONS = """
CREATE TABLE escalations (
    topic   text PRIMARY KEY,
    told_at timestamptz NOT NULL,
    untold  bigint NOT NULL DEFAULT 0
)
"""


def upgrade() -> None:
    for block in (
        NOTIFICATIONS,
        COMMENTS,
        NOTIFICATION_INDEXES,
        ATTEMPTS,
        TRANSITIONS,
        HISTORY,
        IDEMPOTENCY_KEYS,
        DEAD_LETTERS,
        ESCALATIONS,
    ):
        for statement in block.split(";\n"):
            op.execute(statement)
