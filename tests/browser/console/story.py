"""A day of a shop, straight by SQL: what the pictures of docs/console.md show."""

from typing import Final

from tests.support.api_rig import TESTER
from tests.support.console_rig import ConsoleRig

from tidings.operations import topology

TRAFFIC: Final = """
INSERT INTO outcome_deltas (minute, tenant, channel, category, outcome, provider, kind, bucket, count, attempts, first_attempts)
SELECT date_trunc('minute', now()) - at * interval '1 minute', 'default', channel, category, outcome, provider, kind, bucket,
       count, count, count
  FROM generate_series(1, 24 * 60) AS at,
       (VALUES ('email', 'order-shipped', 'smtp:mail.example.com', 18, 60.0), ('sms', 'one-time-password', 'twilio', 22, 25.0),
               ('in_app', 'order-shipped', 'inbox', 12, 40.0), ('webhook', 'invoice', 'webhook', 17, 12.0))
         AS usual (channel, category, provider, middle, rate),
       LATERAL (SELECT rate * (1.2 + sin(at / 200.0) + 0.25 * sin(at * 1.7)) AS busy) AS curve,
       LATERAL (VALUES ('sent', '', middle, round(busy)::int), ('sent', '', middle + 2, round(busy / 3)::int),
                       ('failed', 'rejected', -1, CASE WHEN channel = 'sms' AND at BETWEEN 12 AND 31 THEN 34 ELSE at % 3 / 2 END))
         AS ended (outcome, kind, bucket, count)
 WHERE count > 0
"""
FAILURES: Final = """
WITH faults (place, channel, category, reason, kind, code, message, provider, count, since) AS (
    VALUES (1, 'sms', 'one-time-password', 'exhausted', 'unavailable', '30008', 'Unknown error from the carrier', 'twilio', 640, 31),
           (2, 'email', 'order-shipped', 'rejected', 'rejected', '550 5.1.1', 'mailbox unavailable', 'smtp:mail.example.com', 96, 1300),
           (3, 'webhook', 'invoice', 'exhausted', 'unavailable', '503', 'the receiver answered 503', 'webhook', 41, 400),
           (4, 'email', 'invoice', 'malformed', 'malformed', '', 'attachments[0].filename: may have 255 bytes', '', 7, 700),
           (5, 'sms', 'one-time-password', 'rejected', 'rejected', '21211', 'the number is not valid', 'twilio', 23, 1200)
), failures AS (
    SELECT faults.*, left(md5(place::text), 12) AS fingerprint, n,
           (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8' || lpad(place::text, 3, '0')
            || lpad(to_hex(n), 12, '0'))::uuid AS id,
           CASE channel WHEN 'email' THEN 'ada.' || n || '@example.com' WHEN 'sms' THEN '+49170' || 1000000 + n
                        ELSE 'https://partner.example/hooks/' || n END AS recipient, at
      FROM faults, generate_series(1, count) AS n,
           LATERAL (SELECT now() - since * (n::float8 / count) * interval '1 minute' AS at) AS clock
), notified AS (
    INSERT INTO notifications (id, channel, priority, category, recipient, user_id, state, epoch, attempt, body, accepted_at,
                               finished_at, reason, failure_kind, failure_code, provider)
    SELECT id, channel, 'normal', category, recipient, 'user-' || n, 'failed', 0, 3,
           convert_to(json_build_object('id', id, 'channel', channel, 'recipient', recipient, 'category', category,
                                        'subject', CASE channel WHEN 'email' THEN 'On its way' END, 'body', 'Your order 10042 has been shipped')::text, 'UTF8'),
           at - interval '4 minutes', at, reason, kind, code, provider FROM failures
), tried AS (
    INSERT INTO attempts (notification_id, epoch, attempt, started_at, duration_ms, state, provider, kind, code, message, worker)
    SELECT id, 0, attempt, at - (3 - attempt) * interval '1 minute', 212.5, CASE attempt WHEN 3 THEN 'failed' ELSE 'retrying' END,
           provider, kind, code, message, 'worker web-1:4242:7f3a' FROM failures, generate_series(1, 3) AS attempt
)
INSERT INTO dead_letters (id, notification_id, reason, kind, code, message, provider, fingerprint, channel, priority, category, tenant,
                          recipient, user_id, attempts, first_failed_at, last_failed_at, dead_lettered_at, exchange, routing_key,
                          content_type, body)
SELECT gen_random_uuid(), id, reason, kind, code, message, provider, fingerprint, channel, 'normal', category, 'default', recipient,
       'user-' || n, 3, at - interval '2 minutes', at, at, 'tidings.notifications', channel || '.normal', 'application/json',
       convert_to(json_build_object('id', id, 'channel', channel, 'recipient', recipient, 'category', category,
                                    'subject', CASE channel WHEN 'email' THEN 'On its way' END, 'body', 'Your order 10042 has been shipped')::text, 'UTF8')
  FROM failures
"""
PROCESSES: Final = """
INSERT INTO processes (actor, roles, host, pid, version, channels, templates)
VALUES ('worker web-1:4242:7f3a', '{worker}', 'web-1', 4242, '0.2.0', '{email,sms,webhook,in_app}', ''),
       ('scheduler+archive web-2:77:11ab', '{scheduler,archive}', 'web-2', 77, '0.2.0', '{}', '')
"""
DOWN: Final = """
INSERT INTO circuits (channel, provider, worker, phase, reason, since, probe_at, seen_at)
VALUES ('sms', 'primary', 'worker web-1:4242:7f3a', 'open', 'no answer from api.twilio.com within 10s', now() - interval '7 minutes',
        now() + interval '40 seconds', now() + interval '1 hour')
"""
FOLD: Final = "SELECT tidings_fold_rollups(1000000, 100)"


async def tell(rig: ConsoleRig, *, queues: bool = True) -> None:
    """Let the day have happened, and its processes be running.

    Args:
        rig: Where.
        queues: Whether RabbitMQ is there, and has the queues.
    """
    if queues:
        await topology.apply(rig.api.settings, TESTER)
    for statement in (TRAFFIC, FAILURES, PROCESSES, FOLD):
        await rig.api.execute(statement)
