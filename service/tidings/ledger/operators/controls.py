"""Orders about channels and providers, and the circuits that workers report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidings.delivery.circuit import Phase
from tidings.delivery.orders import CircuitReport, Order, SentThrough, Verb
from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.rows import fit
from tidings.ledger.operators.alerts import NOTE, Alerts

OUTAGES: Final = "outages"
"""What operators are told of providers that are down, as a topic of their alerts."""
FRESH: Final = 30.0
"""Seconds for which a worker's report counts; it reports every ten."""

_ORDER: Final = "id, channel, provider, verb, actor, note, at"

GIVE: Final = f"""
INSERT INTO channel_orders (channel, provider, verb, actor, note) VALUES ($1, $2, $3, $4, $5)
RETURNING {_ORDER}
"""

LAST: Final = """
SELECT id, channel, provider, verb, actor, note,
       (SELECT min(at) FROM channel_orders one
         WHERE (one.channel, one.provider) = (last.channel, last.provider)
           AND id > (SELECT coalesce(max(id), 0) FROM channel_orders other
                      WHERE (other.channel, other.provider) = (last.channel, last.provider)
                        AND other.verb <> last.verb)) AS at
  FROM (SELECT DISTINCT ON (channel, provider) * FROM channel_orders
         ORDER BY channel, provider, id DESC) AS last
"""

HISTORY: Final = f"""
SELECT {_ORDER} FROM channel_orders WHERE $1::text IS NULL OR channel = $1 ORDER BY id DESC LIMIT $2
"""

ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext('tidings circuits'))"
"""Two workers that find the same provider down raise one alert."""

KNOWN: Final = """
SELECT channel, provider FROM circuits
 WHERE phase <> 'closed' AND seen_at > now() - $1::float8 * interval '1 second'
"""

SAY: Final = """
INSERT INTO circuits (channel, provider, worker, phase, reason, since, probe_at, seen_at, down_at)
SELECT channel, provider, $1, phase, reason, since, now() + probe_in * interval '1 second', now(),
       CASE WHEN phase <> 'ramping' THEN now() END
  FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::float8[])
    AS said (channel, provider, phase, reason, since, probe_in)
ON CONFLICT (channel, provider, worker) DO UPDATE
   SET phase = excluded.phase, reason = excluded.reason, since = excluded.since,
       probe_at = excluded.probe_at, seen_at = excluded.seen_at, down_at = coalesce(excluded.down_at, circuits.down_at)
"""

SENT: Final = """
INSERT INTO circuits (channel, provider, worker, phase, reason, since, seen_at, sent_at)
SELECT channel, provider, $1, 'closed', '', now(), now(), now() - ago * interval '1 second'
  FROM unnest($2::text[], $3::text[], $4::float8[]) AS sent (channel, provider, ago)
 WHERE EXISTS (SELECT FROM circuits c WHERE (c.channel, c.provider) = (sent.channel, sent.provider) AND c.down_at IS NOT NULL)
    OR EXISTS (SELECT FROM alert_rules WHERE sent.channel || ' ' || sent.provider = ANY(known))
ON CONFLICT (channel, provider, worker) DO UPDATE SET seen_at = excluded.seen_at, sent_at = excluded.sent_at
"""
"""Only of providers that were down lately, or of which a rule has yet to say that they are up again."""

UNSAY: Final = """
UPDATE circuits c SET phase = 'closed', probe_at = NULL, seen_at = now()
 WHERE worker = $1 AND phase <> 'closed'
   AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS said (channel, provider)
                    WHERE said.channel = c.channel AND said.provider = c.provider)
"""

DOWN: Final = """
SELECT channel, provider, worker, phase, reason, since, probe_at FROM circuits
 WHERE phase <> 'closed' AND seen_at > now() - $1::float8 * interval '1 second'
 ORDER BY channel, provider, since
"""


@dataclass(frozen=True, slots=True)
class ReportedCircuit:
    """A circuit that is not closed, as reported by one worker."""

    channel: str
    provider: str
    worker: str
    phase: Phase
    reason: str
    since: datetime
    probe_at: datetime | None


class LedgerControls:
    """Orders to workers, and circuits reported by them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.alerts = Alerts(database, topic=OUTAGES)

    async def give(
        self, channel: str, provider: str, verb: Verb, *, actor: str, note: str
    ) -> Order:
        """Give an order to all workers; they read it within about a second."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(GIVE, channel, provider, verb.value, actor, fit(note))
        assert row is not None  # noqa: S101  # an INSERT returns what it inserted
        return _order(dict(row))

    async def orders(self) -> Sequence[Order]:
        """The last order of each channel and provider: those that count. Its time is that of the first of the same
        in a row: a channel that is paused twice is paused since the first time."""
        async with self._database.connection() as connection:
            return [_order(dict(row)) for row in await connection.fetch(LAST)]

    async def history(self, channel: str | None = None, limit: int = 100) -> Sequence[Order]:
        """Every order, newest first, or those about one channel."""
        async with self._database.connection() as connection:
            return [_order(dict(row)) for row in await connection.fetch(HISTORY, channel, limit)]

    async def report_circuits(
        self, worker: str, found: Sequence[CircuitReport], sent: Sequence[SentThrough] = ()
    ) -> None:
        """Store a worker's circuits that are not closed; all its others are closed.

        A provider that no worker reported before raises an alert.

        Args:
            worker: Whose.
            found: Those that are not closed.
            sent: The providers that it sent through since its last report.
        """
        async with self._database.transaction() as connection:
            if found:
                await self._note(connection, found)
            channels, providers = (
                [circuit.channel for circuit in found],
                [circuit.provider for circuit in found],
            )
            await connection.execute(UNSAY, worker, channels, providers)
            await connection.execute(
                SAY,
                worker,
                channels,
                providers,
                [circuit.phase.value for circuit in found],
                [fit(circuit.reason) for circuit in found],
                [circuit.since for circuit in found],
                [circuit.probe_in for circuit in found],
            )
            if sent:
                await connection.execute(
                    SENT,
                    worker,
                    [each.channel for each in sent],
                    [each.provider for each in sent],
                    [each.ago for each in sent],
                )

    async def _note(self, connection: Connection, found: Sequence[CircuitReport]) -> None:
        """Count new outages for the alert; disabled providers need none."""
        await connection.execute(ALONE)
        known = {tuple(row) for row in await connection.fetch(KNOWN, FRESH)}
        news = {
            (circuit.channel, circuit.provider)
            for circuit in found
            if circuit.phase is not Phase.DISABLED
            and (circuit.channel, circuit.provider) not in known
        }
        if news:
            await connection.execute(NOTE, OUTAGES, len(news))

    async def down(self) -> Sequence[ReportedCircuit]:
        """Every circuit that a running worker reports as not closed."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(DOWN, FRESH)
        return [ReportedCircuit(**{**dict(row), "phase": Phase(row["phase"])}) for row in rows]


def _order(row: dict[str, object]) -> Order:
    return Order(**{**row, "verb": Verb(row["verb"])})  # type: ignore[arg-type]  # the table's types
