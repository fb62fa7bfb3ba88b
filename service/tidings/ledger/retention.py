"""Deletes what is over: a week's partitions at once, and row by row what lies elsewhere, or goes before its week."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Final, NamedTuple, Self
from uuid import UUID

from tidings.delivery.states import FINISHED
from tidings.ledger.database import Connection, Database
from tidings.ledger.ending import EndingWeeks, pause
from tidings.ledger.notifications.troubled import TROUBLED, TROUBLED_STATES
from tidings.ledger.partitions import SCANNING, WEEK, Partition, only_one, partitions
from tidings.settings import LedgerSettings

NEVER: Final = 1e11
"""Seconds after which nothing that is kept for ever is over."""
ANY: Final = "*"
AT_ONCE: Final = 500
"""Notifications looked at, to delete those that are over, in one statement."""
NOTIFICATIONS: Final = "notifications"
DEFAULT: Final = "notifications_default"

DELETE: Final = "SELECT at, last, looked, deleted FROM tidings_delete_over($1, $2::jsonb, $3, $4, $5, $6, $7, $8)"
TIDY: Final = "SELECT tidings_tidy($1::jsonb, $2)"
SIZES: Final = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) AS size
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
 WHERE p.relkind = 'p' AND p.relnamespace = current_schema()::regnamespace
"""
OVER: Final = f"""
SELECT n.tableoid::regclass::text AS place, whose, count(*) AS stored,
       count(*) FILTER (WHERE over) AS over, count(*) FILTER (WHERE over AND {TROUBLED}) AS troubled
  FROM notifications n
  CROSS JOIN LATERAL (SELECT CASE WHEN n.tenant = ANY($1::text[]) THEN n.tenant ELSE '*' END) AS t (whose)
  LEFT JOIN unnest($2::text[], $3::text[], $4::float8[]) AS p (whose, state, seconds) USING (whose, state),
       LATERAL (SELECT n.finished_at IS NOT NULL AND n.dispatch_at IS NULL
                   AND greatest(n.finished_at, n.updated_at) < now() - greatest(86400, p.seconds) * interval '1 second'
                   AND n.id NOT IN (SELECT d.notification_id FROM dead_letters d WHERE d.notification_id IS NOT NULL
                                       AND d.state NOT IN ('replayed', 'discarded', 'superseded'))) AS judged (over)
 GROUP BY 1, 2
"""
"""What is over, as the functions that delete it decide."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Parts of the time that a round may take; 1: no pauses."""

    weeks: float
    """Of reading and dropping weeks."""
    rows: float
    """Of deleting row by row."""


USUAL: Final = Shares(weeks=0.05, rows=0.2)
"""Freeing a gigabyte holds up the disk for a tenth of a second; the pauses after it, nearly twenty times as long, keep such moments
out of the 99th percentile of what others do. Rows must go as fast as busy tenants with a short period send them."""
FAST: Final = Shares(weeks=1.0, rows=1.0)


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """For how many seconds what has ended is kept."""

    usual: float
    """0: for ever."""
    by_state: Mapping[str, float] = field(default_factory=dict)
    by_tenant: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """A tenant's own, by state, `*` for the others."""

    @classmethod
    def read(cls, settings: LedgerSettings) -> Self:
        """As they are set."""
        return cls(settings.retention, settings.retention_by_state, settings.retention_by_tenant)

    def of(self, state: str, tenant: str = ANY) -> float:
        """Seconds for which what has ended so is kept; `NEVER` where for ever."""
        own = self.by_tenant.get(tenant, {})
        usual = own.get(ANY, self.by_state.get(state, self.usual))
        return own.get(state, usual) or NEVER

    @property
    def stated(self) -> Mapping[str, float]:
        """As set, by state or `tenant:state`, `*` for the others; equal where the settings mean the same."""
        others = {state: period for state, period in self.by_state.items() if period != self.usual}
        own = {
            f"{tenant}:{state}": period
            for tenant, periods in self.by_tenant.items()
            for state, period in periods.items()
        }
        return {ANY: self.usual, **others, **own}

    @property
    def of_most(self) -> float:
        """Those of nearly all: what was sent."""
        return self.of("sent")

    @property
    def weeks(self) -> int:
        """How many weeks a partition has, so that about eight are alive: a statement costs more the more there are."""
        return min(52, max(1, round(self.of_most / (8 * WEEK.total_seconds()))))

    @property
    def json(self) -> str:
        """By tenant and state."""
        return json.dumps(
            {
                tenant: {state: self.of(state, tenant) for state in (ANY, *map(str, FINISHED))}
                for tenant in (ANY, *self.by_tenant)
            }
        )

    def ended(self, partition: Partition, today: date) -> bool:
        """Whether a week is as long ago as most of its notifications are kept."""
        if self.of_most >= NEVER:
            return False
        return partition.until + timedelta(seconds=self.of_most) <= today

    def row_by_row(self) -> Iterator["RowDeletion"]:
        """What is deleted of rows that no week takes along: by the general periods, and by a tenant's where they are
        shorter. What is kept for longer by one tenant is read with the others' rows."""
        of_all = of_all_troubled = NEVER
        for tenant in (ANY, *self.by_tenant):
            own = None if tenant == ANY else tenant
            shortest = min(self.of(state, tenant) for state in FINISHED - TROUBLED_STATES)
            troubled = min(self.of(state, tenant) for state in FINISHED & TROUBLED_STATES)
            if shortest < of_all:
                yield RowDeletion(shortest, tenant=own)
            if troubled < min(shortest, of_all, of_all_troubled):
                yield RowDeletion(troubled, troubled=True, tenant=own)
            if own is None:
                of_all, of_all_troubled = shortest, troubled

    def before_its_end(self, partition: Partition, today: date) -> Iterator["RowDeletion"]:
        """What is deleted row by row of a partition that has not ended."""
        age = (today - partition.since).total_seconds()
        several_weeks = self.of_most <= age - WEEK.total_seconds()
        for deletion in self.row_by_row():
            if deletion.age < min(self.of_most, age) or (deletion.tenant is None and several_weeks):
                yield deletion


class RowDeletion(NamedTuple):
    """Notifications that are looked at, of which those that are over are deleted row by row."""

    age: float
    """Seconds, at least, since they were accepted."""
    troubled: bool = False
    """Only those that fared badly."""
    tenant: str | None = None
    """Only this one's; of all if None."""


@dataclass(frozen=True, slots=True)
class RetentionStep:
    """What one step deleted."""

    partition: str
    """A partition, or `dead letters and keys`."""
    deleted: int | None = None
    """Notifications, or rows; None where a whole partition went."""
    moved: int = 0
    """Notifications that lived on, and are in the default partition now."""


@dataclass(frozen=True, slots=True)
class RetainedPartition:
    """A week, or everything else."""

    name: str
    since: date | None
    """None: the default partition."""
    until: date | None
    size: int
    """Bytes, with all that hangs on its notifications, and indexes."""
    drops_at: date | None
    """When the next round after it drops the week; None: never."""


@dataclass(frozen=True, slots=True)
class PartitionCount:
    """Notifications of a place."""

    stored: int
    over: int
    """Those that a round would delete, or leave out of the week that it drops."""


class Retention:
    """Deletes what is over."""

    def __init__(self, database: Database, periods: RetentionPeriods) -> None:
        self._database = database
        self.periods = periods
        self._tried: dict[date, date] = {}
        """By first day of a week that could not be dropped: when that was last tried."""

    async def run(self, today: date, shares: Shares = USUAL) -> AsyncIterator[RetentionStep]:
        """One round, unless another process is at it.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable, or a table was in use for too long: ask again.
            ConfigurationError: We may not; says who may.
        """
        async with self._database.connection() as connection, only_one(connection) as ours:
            if ours:
                async for done in self._round(connection, today, shares):
                    yield done

    async def partitions(self) -> Sequence[RetainedPartition]:
        """Where notifications are, the oldest first, the default partition last.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            sizes = {row["name"]: row["size"] for row in await connection.fetch(SIZES)}
            found = await partitions(connection)
        weeks = [partition for partition in found if partition.table == NOTIFICATIONS]
        tables = {partition.table for partition in found} | {NOTIFICATIONS}
        of_default = sum(sizes.get(DEFAULT.replace(NOTIFICATIONS, table), 0) for table in tables)
        return [
            *(
                self._place(
                    week,
                    sum(
                        sizes[partition.name]
                        for partition in found
                        if partition.since == week.since
                    ),
                )
                for week in weeks
            ),
            RetainedPartition(DEFAULT, None, None, of_default, None),
        ]

    def _place(self, week: Partition, size: int) -> RetainedPartition:
        most = self.periods.of_most
        drops_at = None if most >= NEVER else week.until + timedelta(seconds=most)
        return RetainedPartition(week.name, week.since, week.until, size, drops_at)

    async def counts(self, today: date) -> Mapping[str, PartitionCount]:
        """By place, what a round would delete of it now. Reads every notification. Raises like `partitions`."""
        periods = self.periods
        tenants = list(periods.by_tenant)
        kept = [
            (tenant, state.value, periods.of(state, tenant))
            for tenant in (ANY, *tenants)
            for state in FINISHED
        ]
        async with self._database.connection() as connection:
            weeks = {partition.name: partition for partition in await partitions(connection)}
            rows = await connection.fetch(
                OVER, tenants, *map(list, zip(*kept, strict=True)), timeout=SCANNING
            )
        counts: dict[str, PartitionCount] = {}
        for row in rows:
            week = weeks.get(row["place"])
            over = row["over"]
            if week is not None and not periods.ended(week, today):
                deletions = [
                    deletion
                    for deletion in periods.before_its_end(week, today)
                    if deletion.tenant in {None, row["whose"]}
                ]
                only_troubled = all(deletion.troubled for deletion in deletions)
                over = 0 if not deletions else row["troubled"] if only_troubled else over
            before = counts.get(row["place"], PartitionCount(0, 0))
            counts[row["place"]] = PartitionCount(before.stored + row["stored"], before.over + over)
        return counts

    async def _round(
        self, connection: Connection, today: date, shares: Shares
    ) -> AsyncIterator[RetentionStep]:
        ending = EndingWeeks(shares.weeks)
        await ending.drop_retired(connection)  # of a round that was cut off
        periods = self.periods
        for week in await partitions(connection):
            if week.table != NOTIFICATIONS:
                continue
            if not periods.ended(week, today):
                for deletion in periods.before_its_end(week, today):
                    yield await self._delete(connection, week.name, deletion, shares.rows)
            elif self._tried.get(week.since) != today:
                moved = await ending.end(connection, week.since, periods.json)
                if moved is not None:
                    yield RetentionStep(week.name, moved=moved)
                    continue
                for deletion in periods.row_by_row():
                    yield await self._delete(connection, week.name, deletion, shares.rows)
                self._tried[week.since] = today  # all of it was read
        for deletion in periods.row_by_row():
            yield await self._delete(connection, DEFAULT, deletion, shares.rows)
        yield RetentionStep("dead letters and keys", await self._tidy(connection))

    async def _delete(
        self, connection: Connection, place: str, deletion: RowDeletion, share: float
    ) -> RetentionStep:
        at: datetime | None = None
        last: UUID | None = None
        deleted = 0
        while True:
            began = monotonic()
            row = await connection.fetchrow(
                DELETE,
                place,
                self.periods.json,
                deletion.troubled,
                deletion.tenant,
                deletion.age,
                at,
                last,
                AT_ONCE,
            )
            assert row is not None  # noqa: S101  # for the type checker: a function has a row
            at, last = row["at"], row["last"]
            deleted += row["deleted"]
            if row["looked"] < AT_ONCE:
                return RetentionStep(place, deleted)
            await pause(began, share)

    async def _tidy(self, connection: Connection) -> int:
        total = 0
        while True:
            deleted: int = await connection.fetchval(TIDY, self.periods.json, AT_ONCE)
            total += deleted
            if deleted < AT_ONCE:
                return total
