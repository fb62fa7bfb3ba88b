"""The partitions of what is stored: one for each week of notifications, by their ids, and one for every other id."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Self
from uuid import UUID

from tidings.ledger.database import Connection, Database

WEEK: Final = timedelta(weeks=1)
FIRST_MONDAY: Final = date(1970, 1, 5)
AHEAD: Final = 2
"""Weeks after the present one that have their partitions."""
SCANNING: Final = 600.0
"""Seconds that a default partition, which may be large, may be read for until a new one is attached."""

PARTITIONS: Final = """
SELECT p.relname AS table, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bounds
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
 WHERE p.relname IN (SELECT name FROM tidings_partitioned()) AND p.relnamespace = current_schema()::regnamespace
 ORDER BY p.relname, c.relname
"""
TABLES: Final = "SELECT name, key FROM tidings_partitioned()"
STORED: Final = """
SELECT pg_relation_size('notifications_default') > 0
   AND NOT EXISTS (SELECT FROM pg_constraint JOIN tidings_partitioned() ON conrelid = to_regclass(name || '_default')
                    WHERE conname = 'tidings_moving')
"""
"""Whether the default partition has, or had, any row: roles may not read it by its name. Not if it was closed for
some days already by a scheduler that is gone: then their partition is made, and it is open again."""
LARGE: Final = "SELECT pg_relation_size(to_regclass($1 || '_default')) > 64 * 1024 * 1024"
"""What is smaller is read while it is locked, in a moment, and claims need not fail for any longer."""
MAKE_ROOM: Final = "SELECT tidings_make_room($1, $2, $3)"
ADD: Final = "SELECT tidings_add_partition($1, $2, $3)"
ONLY_ONE: Final = "SELECT pg_try_advisory_lock(7482910234)"
NO_MORE: Final = "SELECT pg_advisory_unlock(7482910234)"
"""Any number that nothing else in the database locks."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A table's rows of some days."""

    table: str
    name: str
    since: date
    until: date
    """The first day after it."""

    @classmethod
    def read(cls, table: str, name: str, bounds: str) -> Self | None:
        """As PostgreSQL describes it; None for a default partition."""
        ids = [UUID(found) for found in re.findall(r"'([0-9a-f-]{36})'", bounds)]
        if len(ids) != 2:
            return None
        since, until = (datetime.fromtimestamp((id.int >> 80) / 1000, UTC).date() for id in ids)
        return cls(table, name, since, until)


def spans(
    taken: Sequence[tuple[date, date]], today: date, weeks: int = 1
) -> Iterator[tuple[date, date]]:
    """What no partition has of the present week and those ahead, each with the day after it. Weeks begin on Mondays, UTC.

    Args:
        taken: What is covered.
        weeks: How many a new partition has, counted from the same week for ever.
    """
    begin = today - timedelta(days=today.weekday())
    end = begin + (AHEAD + 1) * WEEK
    while begin < end:
        until = next((until for since, until in taken if since <= begin < until), None)
        if until is None:
            past = (begin - FIRST_MONDAY) // WEEK % weeks
            until = min(
                begin + (weeks - past) * WEEK,
                *(since for since, _ in taken if since > begin),
                date.max,
            )
            yield begin, until
        begin = until


def seconds_left(found: Sequence[Partition], now: datetime) -> float:
    """Until the last week ends that has a partition; 0 where there is none any more."""
    last = max((partition.until for partition in found), default=date.min)
    return max(0.0, (datetime(last.year, last.month, last.day, tzinfo=UTC) - now).total_seconds())


class Partitions:
    """Which there are, and those to come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Sequence[Partition]:
        """Those of weeks, by table and time."""
        async with self._database.connection() as connection:
            return await partitions(connection)

    async def add_missing(self, today: date, weeks: int = 1) -> Sequence[Partition]:
        """Make those of this week and the weeks ahead; the ones that were missing. Another process that is at it
        is left to do it.

        Args:
            weeks: How many each has.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable, or a table was in use for too long: ask again.
            ConfigurationError: We may not; says who may.
        """
        async with self._database.connection() as connection, only_one(connection) as ours:
            return (
                [partition async for partition in _added(connection, today, weeks)] if ours else []
            )


@asynccontextmanager
async def only_one(connection: Connection) -> AsyncIterator[bool]:
    """Whether no other process is at the partitions; if so, none is until the block ends."""
    ours: bool = await connection.fetchval(ONLY_ONE)
    try:
        yield ours
    finally:
        if ours:
            await connection.execute(NO_MORE)


async def partitions(connection: Connection) -> Sequence[Partition]:
    """Those of weeks, by table and time."""
    rows = await connection.fetch(PARTITIONS)
    found = (Partition.read(row["table"], row["name"], row["bounds"]) for row in rows)
    return [partition for partition in found if partition is not None]


async def _added(connection: Connection, today: date, weeks: int) -> AsyncIterator[Partition]:
    tables = [row["name"] for row in await connection.fetch(TABLES)]
    known = await partitions(connection)
    taken = [
        (partition.since, partition.until) for partition in known if partition.table == tables[0]
    ]
    present = today - timedelta(days=today.weekday())
    covered = any(since <= present < until for since, until in taken)
    if not covered and await connection.fetchval(STORED):
        # It may hold rows of this week, whose claims are those of now: they stay where they are.
        taken.append((present, present + WEEK))
    for since, until in spans(taken, today, weeks):
        for table in reversed(
            tables
        ):  # the notifications last: what was cut off is seen as missing
            if since > today and await connection.fetchval(LARGE, table):
                await connection.execute(MAKE_ROOM, table, since, until)
            await connection.execute(ADD, table, since, until, timeout=SCANNING)
            yield Partition(table, f"{table}_{since:%Y%m%d}", since, until)
