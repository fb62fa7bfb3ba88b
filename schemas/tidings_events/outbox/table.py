"""The table of the outbox, as SQL that any migration tool can run.

A producer inserts a notification in the transaction of the change that it tells of. `OutboxRelay` publishes what was
committed.
"""

import re
from typing import Final

VERSION: Final = 1
"""Of the table; it stands in its comment."""
CHANNEL: Final = "tidings_outbox"
"""The NOTIFY channel that wakes relays; its payload is the schema."""
DEFAULT_SCHEMA: Final = "public"
TABLE: Final = "tidings_outbox"

_SCHEMA: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$-]{0,62}")

_CREATE: Final = """\
CREATE TABLE IF NOT EXISTS {table} (
    position         bigint GENERATED ALWAYS AS IDENTITY,
    id               uuid GENERATED ALWAYS AS ((body ->> 'id')::uuid) STORED PRIMARY KEY,
    routing_key      text NOT NULL GENERATED ALWAYS AS (
                         left(coalesce(body ->> 'channel', ''), 32) || '.' ||
                         left(coalesce(body ->> 'priority', 'normal'), 32)) STORED,
    body             json NOT NULL,
    headers          jsonb NOT NULL DEFAULT '{{}}',
    state            text NOT NULL DEFAULT 'pending'
                     CHECK (state IN ('pending', 'published', 'failed')),
    attempts         integer NOT NULL DEFAULT 0,
    next_attempt_at  timestamptz NOT NULL DEFAULT now(),
    last_error       text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    published_at     timestamptz
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE INDEX IF NOT EXISTS tidings_outbox_pending
    ON {table} (routing_key, next_attempt_at, position) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS tidings_outbox_failed
    ON {table} (created_at) WHERE state = 'failed';
CREATE INDEX IF NOT EXISTS tidings_outbox_published
    ON {table} (published_at) WHERE state = 'published';
"""

_NOTIFY: Final = """
CREATE OR REPLACE FUNCTION {schema}.tidings_outbox_notify() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.pg_notify('tidings_outbox', TG_TABLE_SCHEMA);
    RETURN NULL;
END
$$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger
                   WHERE tgrelid = '{table}'::regclass AND tgname = 'tidings_outbox_notify') THEN
        CREATE TRIGGER tidings_outbox_notify AFTER INSERT ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION {schema}.tidings_outbox_notify();
    END IF;
END
$$;
"""

_COMMENT: Final = """
COMMENT ON TABLE {table} IS
    'tidings outbox, version {version}: `tidings outbox relay` publishes what is inserted here';
"""


def quoted(schema: str) -> str:
    """A schema's name as an SQL identifier.

    Raises:
        ValueError: It has other characters than letters, digits, `_`, `$` and `-`, or more than 63.
    """
    if not _SCHEMA.fullmatch(schema):
        raise ValueError(
            "a schema's name begins with a letter or _, and has at most 63 letters, digits, _, $ or -"
        )
    return f'"{schema}"'


def table_in(schema: str) -> str:
    """The table's name as SQL. Raises like `quoted`."""
    return f"{quoted(schema)}.{TABLE}"


def install_sql(schema: str = DEFAULT_SCHEMA, *, notify: bool = True) -> str:
    """SQL that creates what is missing of the table; run it as often as you like, in one transaction.

    Args:
        schema: Has to exist.
        notify: Whether a trigger wakes relays at each commit; without it they look at their own interval.

    Raises:
        ValueError: The schema is not a name as `quoted` takes it.
    """
    parts = (_CREATE, _NOTIFY, _COMMENT) if notify else (_CREATE, _COMMENT)
    table, literal = table_in(schema), quoted(schema)
    return "".join(parts).format(table=table, schema=literal, version=VERSION)


def version_in(comment: str | None) -> int | None:
    """The version of the table with this comment; None if it is not ours."""
    words = (comment or "").partition(":")[0].split()
    is_ours = words[:3] == ["tidings", "outbox,", "version"] and words[-1].isdecimal()
    return int(words[-1]) if is_ours else None
