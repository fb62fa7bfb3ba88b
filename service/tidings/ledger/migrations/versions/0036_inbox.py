"""The inboxes of users: messages, the revision of each user's change log, and what revokes tokens or opens live connections."""

from alembic import op

from tidings.ledger.migrations.owning import leave_to_owner

revision = "0036"
down_revision = "0035"

FEED = "archived_at IS NULL AND snoozed_until IS NULL AND deleted_at IS NULL"

TABLES = f"""
CREATE TABLE inbox_users (
    tenant   text NOT NULL,
    user_id  text NOT NULL,
    revision bigint NOT NULL,
    floor    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, user_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE inbox_users IS 'users who ever had a message; every change of their messages locks their row';
COMMENT ON COLUMN inbox_users.revision IS 'of the last change of a message; only grows';
COMMENT ON COLUMN inbox_users.floor IS 'the last revision whose message has been removed altogether: whoever knows less has to read all anew';
CREATE TABLE inbox_messages (
    tenant        text NOT NULL,
    user_id       text NOT NULL,
    id            uuid NOT NULL,
    position      bigint NOT NULL,
    revision      bigint NOT NULL,
    category      text NOT NULL,
    type          text NOT NULL,
    severity      text NOT NULL,
    title         text,
    body          text,
    data          jsonb,
    action_url    text,
    actions       jsonb,
    entity_type   text,
    entity_id     text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    seen_at       timestamptz,
    read_at       timestamptz,
    archived_at   timestamptz,
    snoozed_until timestamptz,
    acted_at      timestamptz,
    action        text,
    deleted_at    timestamptz,
    PRIMARY KEY (tenant, user_id, id)
);
COMMENT ON TABLE inbox_messages IS 'messages in the inboxes of users';
COMMENT ON COLUMN inbox_messages.id IS 'the notification''s';
COMMENT ON COLUMN inbox_messages.position IS 'the revision with which it entered the feed; the newest has the highest';
COMMENT ON COLUMN inbox_messages.revision IS 'of its last change, unlike that of any other message of its user';
COMMENT ON COLUMN inbox_messages.deleted_at IS 'since then it has no content, and is there only to be told as deleted';
CREATE UNIQUE INDEX inbox_messages_changes ON inbox_messages (tenant, user_id, revision);
CREATE INDEX inbox_messages_feed ON inbox_messages (tenant, user_id, position) WHERE {FEED};
CREATE INDEX inbox_messages_unread ON inbox_messages (tenant, user_id, position) INCLUDE (seen_at, type, category) WHERE {FEED} AND read_at IS NULL;
CREATE INDEX inbox_messages_archived ON inbox_messages (tenant, user_id, position) WHERE archived_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX inbox_messages_snoozed ON inbox_messages (snoozed_until) WHERE snoozed_until IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX inbox_messages_expiring ON inbox_messages (expires_at) WHERE expires_at IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX inbox_messages_deleted ON inbox_messages (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX inbox_messages_age ON inbox_messages USING brin (created_at);
CREATE TABLE user_token_revocations (
    tenant     text NOT NULL,
    user_id    text NOT NULL,
    not_before timestamptz NOT NULL,
    PRIMARY KEY (tenant, user_id)
);
COMMENT ON TABLE user_token_revocations IS 'users whose tokens count only if they were issued since then';
CREATE TABLE inbox_tickets (
    hash             bytea PRIMARY KEY,
    tenant           text NOT NULL,
    user_id          text NOT NULL,
    issued_at        timestamptz,
    token_expires_at timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL
);
COMMENT ON TABLE inbox_tickets IS 'tickets that open one live connection each, by their SHA-256';
COMMENT ON COLUMN inbox_tickets.issued_at IS 'when the token was issued that it was given for';
COMMENT ON COLUMN inbox_tickets.token_expires_at IS 'when that token expires'
"""


def upgrade() -> None:
    for statement in TABLES.split(";\n"):
        op.execute(statement)
    for table in ("inbox_users", "inbox_messages", "user_token_revocations", "inbox_tickets"):
        leave_to_owner(f"TABLE {table}")
