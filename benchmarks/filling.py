"""Fills the ledger with a past: notifications that were sent, and dead letters, straight by SQL."""

from datetime import UTC, datetime
from typing import Final

from benchmarks.messages import messages
from benchmarks.servers import Servers

CHUNK: Final = 250_000

_ID: Final = "(lpad(to_hex({time}), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid"
_LONG_AGO: Final = "$3::bigint + n * 10"
_PAST: Final = _ID.format(time=_LONG_AGO)
LONG_AGO: Final = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

NOTIFICATIONS: Final = f"""
INSERT INTO notifications (id, channel, priority, category, recipient, user_id, entity_type, entity_id,
                           state, epoch, attempt, body, accepted_at, updated_at, finished_at, provider, reference)
SELECT {_PAST}, 'email', 'normal', 'receipt', 'past-' || n || '@example.com', 'user-' || n, 'order', n::text,
       'sent', 0, 1, $4::bytea, moment, moment, moment, 'nothing', n::text
  FROM generate_series($1::bigint, $2::bigint) AS n,
       LATERAL (SELECT to_timestamp(({_LONG_AGO}) / 1000.0) AS moment) AS clock
"""
ATTEMPTS: Final = f"""
INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, provider, reference, code, worker)
SELECT {_PAST}, 0, 1, to_timestamp(({_LONG_AGO}) / 1000.0), 12.5, 'sent', 'nothing', n::text, '250', 'worker of the past'
  FROM generate_series($1::bigint, $2::bigint) AS n
"""
FAILED: Final = """
INSERT INTO notifications (id, channel, priority, category, recipient, user_id, state, epoch, attempt, body,
                           accepted_at, finished_at, reason, failure_kind)
SELECT id, 'email', 'normal', 'receipt', recipient, 'user', 'failed', 0, 1, body, now(), now(), 'rejected', 'rejected'
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS dead_letter (id, recipient, body)
"""
DEAD_LETTERS: Final = """
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, fingerprint, channel, priority, category,
                          recipient, attempts, first_failed_at, last_failed_at, exchange, routing_key, content_type, body)
SELECT gen_random_uuid(), id, 'rejected', 'rejected', '550', 'no such mailbox', 'benchmark', 'email', 'normal',
       'receipt', recipient, 1, now(), now(), 'tidings.notifications', 'email.normal', 'application/json', body
  FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS dead_letter (id, recipient, body)
"""
GROUPS: Final = f"""
WITH numbered AS (
    SELECT n, id, recipient, convert_to(replace(replace($4::text, 'ID', id::text), 'RECIPIENT', recipient), 'UTF8') AS body
      FROM generate_series($1::bigint, $2::bigint) AS n,
           LATERAL (SELECT {_PAST} AS id, 'past-' || n || '@example.com' AS recipient) AS whose
), failed AS (
    UPDATE notifications AS f SET state = 'failed', reason = 'rejected', failure_kind = 'rejected', failure_code = '550',
                                  finished_at = now(), body = numbered.body
      FROM numbered WHERE f.id = numbered.id
)
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, fingerprint, channel, priority, category, tenant,
                          recipient, attempts, first_failed_at, last_failed_at, dead_lettered_at, exchange, routing_key, content_type, body)
SELECT gen_random_uuid(), id, 'rejected', 'rejected', '550', 'no such mailbox ' || n % $5, md5((n % $5)::text), 'email', 'normal',
       'receipt', 'default', recipient, 1, now(), now(), clock_timestamp(), 'tidings.notifications', 'email.normal', 'application/json',
       body
  FROM numbered
"""
INDEXES: Final = """
SELECT indexname, replace(indexdef, ' ON ONLY ', ' ON ') AS indexdef FROM pg_indexes
 WHERE tablename IN ('notifications', 'attempts') AND indexname NOT LIKE '%pkey'
"""
DEAD_LETTERS_AT_ONCE: Final = 5_000
VARIED: Final = """
UPDATE notifications SET state = 'failed', reason = 'rejected', failure_kind = 'rejected', failure_code = '550'
 WHERE get_byte(uuid_send(id), 15) = 7
"""
ROLLUPS: Final = """
INSERT INTO outcome_rollups (width, since, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
SELECT width, since, 'default', channel, 'category ' || category, CASE bucket WHEN -1 THEN 'failed' ELSE 'sent' END,
       'provider ' || category % 3, CASE bucket WHEN -1 THEN 'rejected' ELSE '' END, bucket, 100, 100, 90
  FROM (VALUES (60, 4), (900, 96), (3600, 360), (14400, 720), (86400, 720)) AS kept (width, hours),
       LATERAL (SELECT date_bin(width * interval '1 second', now(), 'epoch') AS last) AS clock,
       generate_series(last - hours * interval '1 hour', last, width * interval '1 second') AS since,
       unnest(ARRAY['email', 'sms', 'whatsapp', 'webhook']) AS channel,
       generate_series(1, 10) AS category, unnest(ARRAY[-1, 10, 12, 13, 14, 15, 16, 17, 18, 20, 22, 26]) AS bucket
"""
ROLLUPS_BY_CHANNEL: Final = """
INSERT INTO channel_rollups
SELECT width, since, tenant, channel, false, outcome, sum(count), sum(attempts), sum(first_attempts)
  FROM outcome_rollups GROUP BY 1, 2, 3, 4, 5, 6
"""


def fill_ledger(servers: Servers, have: int, want: int, began: datetime = LONG_AGO) -> None:
    """Notifications that were sent every 10 ms from `began` on, with their attempts: `want` where there are `have`.

    Indexes are made again afterwards, which is many times faster than keeping them up meanwhile.
    """
    body, moment = next(messages(1)).body[:250], int(began.timestamp() * 1000)
    indexes = servers.sql(INDEXES)
    for name, _ in indexes:
        servers.sql(f'DROP INDEX "{name}"')
    for first in range(have + 1, want + 1, CHUNK):
        last = min(first + CHUNK - 1, want)
        servers.sql(NOTIFICATIONS, first, last, moment, body)
        servers.sql(ATTEMPTS, first, last, moment)
    for _, definition in indexes:
        servers.sql(definition)
    for table in ("notifications", "attempts"):
        servers.sql(f"VACUUM ANALYZE {table}")
    servers.sql("CHECKPOINT")


def make_dead_letter(servers: Servers, count: int) -> None:
    """Dead letters of notifications that failed."""
    dead_letters = list(messages(count))
    for first in range(0, count, DEAD_LETTERS_AT_ONCE):
        some = dead_letters[first : first + DEAD_LETTERS_AT_ONCE]
        columns = (
            [message.id for message in some],
            [message.recipient for message in some],
            [message.body for message in some],
        )
        servers.sql(FAILED, *columns)
        servers.sql(DEAD_LETTERS, *columns)
    servers.sql("ANALYZE notifications")
    servers.sql("ANALYZE dead_letters")
    servers.sql("CHECKPOINT")


def fill_groups(servers: Servers, count: int, groups: int, began: datetime = LONG_AGO) -> None:
    """Let the first `count` notifications since `began` have failed: open dead letters, evenly in so many groups."""
    example = next(messages(1))
    body = example.body.decode().replace(example.id, "ID").replace(example.recipient, "RECIPIENT")
    moment = int(began.timestamp() * 1000)
    for first in range(1, count + 1, CHUNK):
        servers.sql(GROUPS, first, min(first + CHUNK - 1, count), moment, body, groups)
    servers.sql("VACUUM ANALYZE notifications")
    servers.sql("VACUUM ANALYZE dead_letters")
    servers.sql("CHECKPOINT")


def vary(servers: Servers) -> None:
    """Let some of the past have failed."""
    servers.sql(VARIED)
    servers.sql("VACUUM ANALYZE notifications")


def fill_rollups(servers: Servers) -> None:
    """Rollups of 30 days, as many as four channels with ten categories each have."""
    servers.sql(ROLLUPS)
    servers.sql(ROLLUPS_BY_CHANNEL)
    servers.sql("VACUUM ANALYZE outcome_rollups")
    servers.sql("VACUUM ANALYZE channel_rollups")
    servers.sql("CHECKPOINT")
