"""Rate limit of alerts across processes: when operators were last alerted, and what is pending."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from tidings.ledger.database import Database

NOTE: Final = """
INSERT INTO alerts AS e (topic, sent_at, pending) VALUES ($1, '-infinity', $2)
ON CONFLICT (topic) DO UPDATE SET pending = e.pending + excluded.pending
"""

LEASE: Final = 90.0
"""Seconds for which a process may send an alert; another takes it over from one that died."""

TAKE: Final = """
WITH due AS (
    SELECT topic FROM alerts
     WHERE topic = $1 AND pending > 0 AND sent_at <= now() - $2::float8 * interval '1 second'
       AND (leased_until IS NULL OR leased_until <= now())
       FOR UPDATE SKIP LOCKED
)
UPDATE alerts e SET leased_until = now() + $3::float8 * interval '1 second'
  FROM due WHERE e.topic = due.topic
RETURNING e.pending, nullif(e.sent_at, '-infinity') AS sent_at
"""

SENT: Final = """
UPDATE alerts SET pending = greatest(0, pending - $2), sent_at = now(), leased_until = NULL, error = NULL, failing_since = NULL
 WHERE topic = $1
"""

GIVE_BACK: Final = """
UPDATE alerts
   SET sent_at = now() - ($2::float8 - $3::float8) * interval '1 second', leased_until = NULL, error = coalesce($4, error),
       failing_since = CASE WHEN $4::text IS NULL THEN failing_since ELSE coalesce(failing_since, now()) END
 WHERE topic = $1
"""

STATUS: Final = """
SELECT topic, nullif(sent_at, '-infinity') AS sent_at, pending, error, failing_since FROM alerts ORDER BY topic
"""

NEXT: Final = """
SELECT CASE sent_at WHEN '-infinity' THEN 0
            ELSE greatest(0, extract(epoch FROM greatest(sent_at + $2::float8 * interval '1 second', leased_until) - now())) END::float8
  FROM alerts WHERE topic = $1 AND pending > 0
"""

WORST: Final = """
WITH largest AS (
    SELECT fingerprint, reason, channel, sum(arrived)::bigint AS dead_letters
      FROM (SELECT fingerprint, reason, channel, arrived FROM dead_letter_minutes WHERE minute >= $1
             UNION ALL SELECT fingerprint, reason, channel, arrived FROM dead_letter_deltas WHERE arrived > 0 AND minute >= $1) AS arrivals
     GROUP BY 1, 2, 3 ORDER BY dead_letters DESC, fingerprint LIMIT $2
)
SELECT l.fingerprint, l.reason, nullif(l.channel, '') AS channel, l.dead_letters, coalesce(d.kind, '') AS kind, coalesce(d.code, '') AS code
  FROM largest l LEFT JOIN LATERAL (
       SELECT kind, code FROM dead_letters d WHERE d.fingerprint = l.fingerprint ORDER BY d.dead_lettered_at DESC LIMIT 1) AS d ON true
 ORDER BY l.dead_letters DESC, l.fingerprint
"""
"""By minutes, and not by reading the dead letters: in a storm there are a million. Those that came in the minute of the last
alert are among them."""
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PendingAlert:
    """Dead letters that this process now has to alert operators about."""

    dead_letters: int
    since: datetime | None
    """The last alert; None if there was none."""


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """How the alerts of one topic stand."""

    topic: str
    sent_at: datetime | None
    pending: int
    error: str | None
    """Why the last one was not sent; None if it was."""
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """Dead letters with the same fingerprint."""

    fingerprint: str
    reason: str
    channel: str | None
    dead_letters: int
    kind: str
    code: str


class Alerts:
    """Rate-limits alerts about one topic, across processes."""

    def __init__(self, database: Database, *, topic: str = "dead letters") -> None:
        self._database = database
        self._topic = topic

    async def note(self, dead_letters: int) -> None:
        """Add dead letters to the pending alert."""
        async with self._database.connection() as connection:
            await connection.execute(NOTE, self._topic, dead_letters)

    async def take(self, every: float) -> PendingAlert | None:
        """Take the pending alert for this process alone; None if there is none, or it is too early.

        Args:
            every: Seconds between two messages.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(TAKE, self._topic, every, LEASE)
        return PendingAlert(row["pending"], row["sent_at"]) if row is not None else None

    async def sent(self, pending: PendingAlert) -> None:
        """The alert was sent: what it reported is no longer pending."""
        async with self._database.connection() as connection:
            await connection.execute(SENT, self._topic, pending.dead_letters)

    async def give_back(self, every: float, again_in: float, *, error: str | None = None) -> None:
        """The alert could not be sent: it is due again in `again_in` seconds."""
        async with self._database.connection() as connection:
            await connection.execute(GIVE_BACK, self._topic, every, again_in, error)

    async def status(self) -> Sequence[TopicStatus]:
        """How the alerts of the settings stand, each topic."""
        async with self._database.connection() as connection:
            return [TopicStatus(**row) for row in await connection.fetch(STATUS)]

    async def seconds_to_next(self, every: float) -> float | None:
        """Seconds until the next alert is due; None if none is pending."""
        async with self._database.connection() as connection:
            seconds: float | None = await connection.fetchval(NEXT, self._topic, every)
        return seconds

    async def worst(self, since: datetime | None, limit: int = 5) -> Sequence[AlertGroup]:
        """The largest groups of messages dead-lettered since then."""
        async with self._database.connection() as connection:
            first = (since or EARLIEST).replace(second=0, microsecond=0)
            rows = await connection.fetch(WORST, first, limit)
        return [
            AlertGroup(
                row["fingerprint"],
                row["reason"],
                row["channel"],
                row["dead_letters"],
                row["kind"],
                row["code"],
            )
            for row in rows
        ]
