"""What rules of alerts are judged by: dead letters by minute, and what is down, overdue or old; nothing counts the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidings.delivery.alert_rules import Arrivals, Watch
from tidings.delivery.circuit import Phase
from tidings.ledger.database import Connection
from tidings.ledger.operators.controls import FRESH
from tidings.ledger.operators.queue_ages import NEWEST
from tidings.ledger.operators.rule_rows import AlertRule

FAULTS: Final = 5
"""Groups of dead letters that an alert names."""
SEEN: Final = 60
"""Seconds for which it counts what a scheduler saw in a queue; it looks every ten."""
NAMED: Final = 50
"""Providers, schedules or queues that a rule tells apart."""

_MATCHING: Final = """
minute >= {since} AND ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR channel = $2)
   AND ($3::text IS NULL OR category = $3) AND ($4::text IS NULL OR reason = $4) AND ($5::text IS NULL OR fingerprint = $5)
"""
_STORED: Final = f"""
SELECT minute, fingerprint, channel, reason, arrived FROM dead_letter_minutes WHERE {_MATCHING}
UNION ALL
SELECT minute, fingerprint, channel, reason, arrived FROM dead_letter_deltas WHERE arrived > 0 AND {_MATCHING}
"""
"""Deltas that are not folded yet count too, so what is committed is counted."""
_UNREPORTED: Final = f"""
{_STORED.format(since="$6")}
UNION ALL
SELECT minute, fingerprint, NULL, NULL, -count
  FROM jsonb_to_recordset($7::jsonb) AS counted (minute timestamptz, fingerprint text, count bigint) WHERE minute >= $6
"""

ARRIVALS: Final = f"""
SELECT minute, sum(arrived)::bigint AS count FROM ({_UNREPORTED}) AS arrivals GROUP BY 1 HAVING sum(arrived) > 0 ORDER BY 1
"""
WORST: Final = f"""
WITH largest AS (
    SELECT fingerprint, max(channel) AS channel, max(reason) AS reason, sum(arrived)::bigint AS dead_letters
      FROM ({_UNREPORTED}) AS arrivals GROUP BY 1 HAVING sum(arrived) > 0 ORDER BY 4 DESC, 1 LIMIT {FAULTS}
)
SELECT l.fingerprint, nullif(l.channel, '') AS channel, l.reason, l.dead_letters, coalesce(d.kind, '') AS kind, coalesce(d.code, '') AS code
  FROM largest l LEFT JOIN LATERAL (
       SELECT kind, code FROM dead_letters d WHERE d.fingerprint = l.fingerprint ORDER BY d.dead_lettered_at DESC LIMIT 1) AS d ON true
 ORDER BY l.dead_letters DESC, l.fingerprint
"""
LATELY: Final = "SELECT date_trunc('minute', clock_timestamp(), 'UTC') - interval '2 minutes'"
"""Two minutes back: a dead letter whose transaction took as long still counts."""
SO_FAR: Final = f"""
SELECT coalesce(jsonb_agg(jsonb_build_object('minute', minute, 'fingerprint', fingerprint, 'count', count)), '[]')::text
  FROM (SELECT minute, fingerprint, sum(arrived)::bigint AS count FROM ({_STORED.format(since="$6")}) AS arrivals GROUP BY 1, 2) AS counted
"""

PROVIDERS: Final = f"""
SELECT channel || ' ' || provider AS name, min(since) AS since, min(reason) AS detail FROM circuits
 WHERE phase IN ('{Phase.OPEN}', '{Phase.PROBING}') AND seen_at > now() - {FRESH} * interval '1 second' AND ($2::text IS NULL OR channel = $2)
   AND since <= now() - $3::float8 * interval '1 second' AND $1::text IS NULL
 GROUP BY 1 ORDER BY 1 LIMIT {NAMED}
"""
SCHEDULES: Final = f"""
SELECT name, next_run_at AS since, '' AS detail FROM schedules
 WHERE next_run_at < now() - $3::float8 * interval '1 second' AND ($1::text IS NULL OR tenant = $1)
   AND ($2::text IS NULL OR content ->> 'channel' = $2)
 ORDER BY next_run_at LIMIT {NAMED}
"""
QUEUES: Final = f"""
WITH read AS (
    SELECT 'tidings.' || channel || '.' || priority AS queue, max(least(accepted_at, updated_at)) AS at
      FROM (SELECT channel, priority, accepted_at, updated_at, attempt FROM notifications ORDER BY accepted_at DESC LIMIT {NEWEST}) AS newest
     WHERE attempt > 0 GROUP BY 1
), waiting AS (
    SELECT d.queue, d.messages, greatest(coalesce(l.empty_at, d.known_since), r.at) AS since
      FROM queue_depths d LEFT JOIN queue_looks l USING (queue) LEFT JOIN read r USING (queue)
     WHERE d.messages >= $4 AND d.seen_at > now() - {SEEN} * interval '1 second'
       AND ($2::text IS NULL OR starts_with(d.queue, 'tidings.' || $2 || '.')) AND ($5::text IS NULL OR d.queue = $5)
)
SELECT queue AS name, since, to_char(messages, 'FM999,999,999,990') || CASE messages WHEN 1 THEN ' message' ELSE ' messages' END AS detail
  FROM waiting WHERE since <= now() - $3::float8 * interval '1 second' AND $1::text IS NULL
 ORDER BY since, queue LIMIT {NAMED}
"""
"""The age is bounded as `queue_ages` says."""
LOOKED_AT: Final = (
    f"SELECT EXISTS (SELECT FROM queue_depths WHERE seen_at > now() - {SEEN} * interval '1 second')"
)
"""Whether a scheduler looks into queues."""
SENT_SINCE: Final = """
SELECT channel || ' ' || provider AS name FROM circuits WHERE channel || ' ' || provider = ANY($1)
 GROUP BY 1 HAVING max(sent_at) > coalesce(max(down_at), now() - interval '1 day')
"""
"""Providers through which a worker sent after every worker last found it down. A circuit that is closed says nothing: that of a
worker that has just begun is, and so is one that an operator enabled. Circuits are kept for a day."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What an alert reports and the next one does not."""

    since: datetime
    """The first minute of it."""
    what: str
    """JSON: the dead letters by minute and group."""


@dataclass(frozen=True, slots=True)
class FaultArrivals:
    """Dead letters of one group that a rule has to report."""

    fingerprint: str
    reason: str
    channel: str | None
    dead_letters: int
    kind: str
    code: str


@dataclass(frozen=True, slots=True)
class StandingFault:
    """A provider that is down, a schedule that is overdue, or a queue that is old."""

    name: str
    since: datetime
    detail: str


async def counted_so_far(connection: Connection, rule: AlertRule) -> Counted:
    """What a rule has seen of the last minutes."""
    since = await connection.fetchval(LATELY)
    what = await connection.fetchval(SO_FAR, rule.only, *rule.terms.filters, since)
    return Counted(since, what)


async def arrivals(
    connection: Connection, rule: AlertRule, reported: Counted
) -> Sequence[Arrivals]:
    """Dead letters that a rule has to judge, by minute, oldest first."""
    values = (rule.only, *rule.terms.filters, reported.since, reported.what)
    rows = await connection.fetch(ARRIVALS, *values)
    return [Arrivals(row["minute"], row["count"]) for row in rows]


async def worst(
    connection: Connection, rule: AlertRule, reported: Counted, since: datetime
) -> Sequence[FaultArrivals]:
    """The largest groups of them since then."""
    values = (rule.only, *rule.terms.filters, max(since, reported.since), reported.what)
    return [FaultArrivals(**row) for row in await connection.fetch(WORST, *values)]


async def standing(connection: Connection, rule: AlertRule) -> Sequence[StandingFault]:
    """What a rule watches that is no dead letter, as it stands."""
    terms = rule.terms
    values = [rule.only, terms.channel, float(terms.lasting)]
    match terms.watch:
        case Watch.QUEUES:
            rows = await connection.fetch(QUEUES, *values, terms.threshold, terms.queue)
        case Watch.PROVIDERS:
            rows = await connection.fetch(PROVIDERS, *values)
        case _:
            rows = await connection.fetch(SCHEDULES, *values)
    return [StandingFault(**row) for row in rows]


async def is_over(
    connection: Connection, rule: AlertRule, found: Sequence[StandingFault], names: set[str]
) -> set[str]:
    """Those of the names that are surely not among what was found: somebody looked, and all that was found is told."""
    missing = names - {each.name for each in found}
    if not missing or len(found) >= NAMED:
        return set()
    match rule.terms.watch:
        case Watch.PROVIDERS:
            up = {row["name"] for row in await connection.fetch(SENT_SINCE, sorted(missing))}
            down = await connection.fetch(PROVIDERS, rule.only, rule.terms.channel, 0.0)
            return up - {row["name"] for row in down}  # though not for the rule's time yet
        case Watch.QUEUES:
            return missing if await connection.fetchval(LOOKED_AT) else set()
        case _:
            return missing
