"""Gives the alerts that rules have to send to one process at a time, under a lease, and keeps what became of them.

A rule has reported nothing until its receiver has answered: a process that dies before that leaves everything to the next
one. So an alert may come twice, and never not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.alert_rules import Reached, Watch, reached
from tidings.ledger.database import Connection, Database
from tidings.ledger.operators.rule_counts import (
    Counted,
    FaultArrivals,
    StandingFault,
    arrivals,
    counted_so_far,
    is_over,
    standing,
    worst,
)
from tidings.ledger.operators.rule_rows import ROW, AlertRule
from tidings.runtime.sealing import Seals
from tidings_events.notifications.base import new_id

LEASE: Final = 90.0
"""Seconds for which a process may send an alert; longer than any receiver may take."""
KEPT: Final = 50
"""Alerts of a rule that its history has."""
LONGEST_TITLE: Final = 200

DUE: Final = """
SELECT id FROM alert_rules
 WHERE enabled AND (not_before IS NULL OR not_before <= now()) AND (leased_until IS NULL OR leased_until <= now())
 ORDER BY last_alert_at NULLS FIRST, id
"""
TAKE: Final = f"""
SELECT {ROW}, counted_from, counted::text AS counted, known,
       remind > 0 AND last_alert_at <= now() - remind * interval '1 second' AS remind_now
  FROM alert_rules
 WHERE id = $1 AND enabled AND (not_before IS NULL OR not_before <= now()) AND (leased_until IS NULL OR leased_until <= now())
   FOR UPDATE SKIP LOCKED
"""
LEASE_IT: Final = (
    "UPDATE alert_rules SET leased_until = now() + $2::float8 * interval '1 second' WHERE id = $1"
)
RELEASE: Final = "UPDATE alert_rules SET leased_until = NULL WHERE id = $1"
MOVE_ON: Final = """
UPDATE alert_rules SET counted_from = moved.since
  FROM (SELECT date_trunc('minute', now(), 'UTC') - ($2::float8 + 300) * interval '1 second' AS since) AS moved
 WHERE id = $1 AND counted_from < moved.since - greatest(600, $2::float8 / 4) * interval '1 second'
"""
"""What is so old can't reach the threshold any more; the row changes seldom."""
RECOVERED: Final = "UPDATE alert_rules SET known = $2 WHERE id = $1"
SENT: Final = """
UPDATE alert_rules
   SET counted_from = $2, counted = $3::jsonb, last_alert_at = now(),
       not_before = CASE WHEN $7 THEN not_before ELSE now() + every * interval '1 second' END,
       known = ARRAY(SELECT unnest(known || $4::text[]) EXCEPT SELECT unnest($5::text[]) ORDER BY 1),
       leased_until = NULL, error = NULL, failing_since = NULL
 WHERE id = $1 AND updated_at = $6
RETURNING id
"""
"""What is not known to be over stays. A rule that was changed meanwhile has begun anew, and has reported nothing. An all-clear
keeps nobody from being alerted at once of what comes after it."""
FAILED: Final = """
WITH failed AS (
    UPDATE alert_rules r
       SET not_before = now() + least($3::float8, r.every) * interval '1 second', leased_until = NULL, error = $2,
           failing_since = coalesce(r.failing_since, now())
      FROM alert_rules before WHERE r.id = $1 AND before.id = r.id
    RETURNING before.failing_since IS NULL AS first
)
SELECT first FROM failed
"""
KEEP: Final = """
INSERT INTO sent_alerts (id, rule, test, actor, title, text, answer, error, seconds)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9 WHERE EXISTS (SELECT FROM alert_rules WHERE id = $2) RETURNING *
"""
TRIM: Final = f"""
DELETE FROM sent_alerts WHERE rule = $1 AND id NOT IN (SELECT id FROM sent_alerts WHERE rule = $1 ORDER BY at DESC LIMIT {KEPT})
"""
HISTORY: Final = "SELECT * FROM sent_alerts WHERE rule = $1 ORDER BY at DESC LIMIT $2"
FAILING: Final = f"""
SELECT {ROW} FROM alert_rules WHERE enabled AND failing_since IS NOT NULL ORDER BY failing_since LIMIT 20
"""


@dataclass(frozen=True, slots=True)
class RuleReport:
    """What a rule has to report; this process alone has taken it."""

    rule: AlertRule
    reached: Reached | None = None
    """The dead letters; None: it watches something else."""
    faults: Sequence[FaultArrivals] = ()
    standing: Sequence[StandingFault] = ()
    """Everything that stands so…"""
    new: frozenset[str] = frozenset()
    """… and the names of what no alert has reported yet."""
    over: frozenset[str] = frozenset()
    """Names of what an alert has reported and is over; with neither, the alert is a reminder."""
    counted: Counted | None = None


@dataclass(frozen=True, slots=True)
class SentAlert:
    """An alert that a rule sent, or tried to."""

    id: UUID
    rule: UUID
    at: datetime
    test: bool
    """Whether a person asked for it."""
    actor: str
    title: str
    text: str
    answer: str
    """Of the receiver."""
    error: str | None
    """Why it was not sent; None if it was."""
    seconds: float


@dataclass(frozen=True, slots=True)
class AlertResult:
    """What became of an alert."""

    title: str
    text: str
    answer: str
    error: str | None
    seconds: float


class RuleAlerts:
    """The alerts of rules, across processes. All methods raise `LedgerUnavailable` if PostgreSQL is unavailable."""

    def __init__(self, database: Database, seals: Seals) -> None:
        self._database = database
        self._seals = seals

    async def due(self) -> Sequence[UUID]:
        """The rules that may alert now, the one that has not for the longest time first."""
        async with self._database.connection() as connection:
            return [row["id"] for row in await connection.fetch(DUE)]

    async def take(self, id: UUID) -> RuleReport | None:
        """What a rule has to report, for this process alone; None if nothing, or another process is at it."""
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(TAKE, id)
            if row is None:
                return None
            rule, fields = AlertRule.of(dict(row), self._seals), dict(row)
            if rule.terms.watch is Watch.DEAD_LETTERS:
                report = await _of_dead_letters(connection, rule, fields)
            else:
                report = await _of_standing(connection, rule, fields)
            if report is not None:
                await connection.execute(LEASE_IT, id, LEASE)
        return report

    async def sent(self, report: RuleReport, result: AlertResult, *, actor: str) -> None:
        """An alert was sent: the next one reports what comes after it."""
        counted = report.counted
        rule, names = report.rule, [each.name for each in report.standing]
        since = rule.created_at if counted is None else counted.since
        what = "[]" if counted is None else counted.what
        clears = bool(report.over) and not report.new
        values = (rule.id, since, what, names, sorted(report.over), rule.updated_at, clears)
        async with self._database.transaction() as connection:
            if await connection.fetchval(SENT, *values) is None:
                await connection.execute(RELEASE, rule.id)
            await _keep(connection, rule, result, actor, test=False)

    async def failed(
        self, report: RuleReport, result: AlertResult, again_in: float, *, actor: str
    ) -> None:
        """An alert could not be sent; it is due again in so many seconds. The history has the first of such failures."""
        async with self._database.transaction() as connection:
            first = await connection.fetchval(FAILED, report.rule.id, result.error, again_in)
            if first:
                await _keep(connection, report.rule, result, actor, test=False)

    async def release(self, rule: UUID) -> None:
        """Leave an alert to another process: whether it was sent is not known."""
        async with self._database.connection() as connection:
            await connection.execute(RELEASE, rule)

    async def tested(self, rule: AlertRule, result: AlertResult, *, actor: str) -> SentAlert | None:
        """Keep what became of an alert that a person asked for; None if the rule is gone."""
        async with self._database.transaction() as connection:
            return await _keep(connection, rule, result, actor, test=True)

    async def history(self, rule: UUID, limit: int = KEPT) -> Sequence[SentAlert]:
        """A rule's alerts, newest first."""
        async with self._database.connection() as connection:
            return [SentAlert(**row) for row in await connection.fetch(HISTORY, rule, limit)]

    async def failing(self) -> Sequence[AlertRule]:
        """Rules whose last alert could not be sent."""
        async with self._database.connection() as connection:
            return [AlertRule.of(dict(row), self._seals) for row in await connection.fetch(FAILING)]


async def _of_dead_letters(
    connection: Connection, rule: AlertRule, row: dict[str, Any]
) -> RuleReport | None:
    reported = Counted(row["counted_from"], row["counted"])
    # First what the next alert leaves out: what comes between these statements is in both alerts, not in none.
    counted = await counted_so_far(connection, rule)
    found = await arrivals(connection, rule, reported)
    enough = reached(found, rule.terms.threshold, rule.terms.lasting)
    if enough is None:
        await connection.execute(MOVE_ON, rule.id, float(rule.terms.lasting))
        return None
    faults = await worst(connection, rule, reported, enough.since)
    return RuleReport(rule, enough, faults, counted=counted)


async def _of_standing(
    connection: Connection, rule: AlertRule, row: dict[str, Any]
) -> RuleReport | None:
    found = await standing(connection, rule)
    names, known = {each.name for each in found}, set(row["known"])
    new, over = names - known, await is_over(connection, rule, found, known)
    if new or (over and rule.terms.all_clear) or (names and row["remind_now"]):
        return RuleReport(rule, standing=found, new=frozenset(new), over=frozenset(over))
    if over:
        await connection.execute(RECOVERED, rule.id, sorted(known - over))
    return None


async def _keep(
    connection: Connection, rule: AlertRule, result: AlertResult, actor: str, *, test: bool
) -> SentAlert | None:
    row = await connection.fetchrow(
        KEEP,
        new_id(),
        rule.id,
        test,
        actor,
        result.title[:LONGEST_TITLE],
        result.text,
        result.answer,
        result.error,
        result.seconds,
    )
    await connection.execute(TRIM, rule.id)
    return None if row is None else SentAlert(**row)
