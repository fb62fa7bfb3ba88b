"""What a relay reads and writes in the outbox's table."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from types import MappingProxyType
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from tidings_events.errors import TidingsEventsError
from tidings_events.outbox.table import TABLE, VERSION, table_in, version_in

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_Place: TypeAlias = tuple[datetime, int]
"""Of a row in its lane: when it is due, and its position."""

LOOK_AGAIN: Final = 1.0
"""Seconds in which a relay reads a lane from where it stopped. What commits late lies before that, and what was deleted
too: PostgreSQL walks over deleted rows as long as any transaction might see them."""
IDLE_MARGIN: Final = 15.0
"""Seconds beyond the longest publish, after which PostgreSQL ends a transaction whose relay has vanished."""
_FIRST: Final = (datetime(1970, 1, 1, tzinfo=UTC), 0)
_URGENCY: Final = MappingProxyType({"urgent": 0, "high": 1, "low": 3})
PURGED: Final = 1_000
"""Rows that one statement deletes."""

_LANES: Final = """\
WITH RECURSIVE lane AS (
    (SELECT routing_key FROM {table} WHERE state = 'pending' ORDER BY routing_key LIMIT 1)
    UNION ALL
    SELECT (SELECT pending.routing_key FROM {table} AS pending
            WHERE pending.state = 'pending' AND pending.routing_key > lane.routing_key
            ORDER BY pending.routing_key LIMIT 1)
    FROM lane WHERE lane.routing_key IS NOT NULL
)
SELECT routing_key FROM lane WHERE routing_key IS NOT NULL"""
_TAKE: Final = """\
WITH taken AS MATERIALIZED (
    SELECT due.*
    FROM unnest($1::text[], $2::timestamptz[], $3::bigint[]) AS lane (routing_key, due_at, position)
    CROSS JOIN LATERAL (
        SELECT id, routing_key, body, headers, attempts, created_at, next_attempt_at, position FROM {table}
        WHERE state = 'pending' AND routing_key = lane.routing_key AND next_attempt_at <= now()
          AND (next_attempt_at, position) >= (lane.due_at, lane.position)
        ORDER BY next_attempt_at, position LIMIT $4
        FOR UPDATE SKIP LOCKED
    ) AS due LIMIT $4
)
SELECT id, routing_key, convert_to(body::text, 'UTF8') AS body, headers::text AS headers, attempts, created_at,
       next_attempt_at, position
FROM (SELECT taken.*, row_number() OVER () AS place,
             sum(octet_length(body::text)) OVER (ROWS UNBOUNDED PRECEDING) AS bytes
      FROM taken) AS counted
WHERE bytes <= $5 OR place = 1
ORDER BY place"""

_DELETE: Final = "DELETE FROM {table} WHERE id = ANY ($1::uuid[])"
_KEEP: Final = """\
UPDATE {table} SET state = 'published', published_at = clock_timestamp(), attempts = attempts + 1, last_error = NULL
WHERE id = ANY ($1::uuid[])"""
_POSTPONE: Final = """\
UPDATE {table} AS row SET attempts = attempts + 1, last_error = given.error,
    next_attempt_at = clock_timestamp() + make_interval(secs => given.wait)
FROM unnest($1::uuid[], $2::text[], $3::float8[]) AS given (id, error, wait)
WHERE row.id = given.id"""
_FAIL: Final = """\
UPDATE {table} AS row SET state = 'failed', attempts = attempts + 1, last_error = given.error
FROM unnest($1::uuid[], $2::text[]) AS given (id, error)
WHERE row.id = given.id"""
_PURGE: Final = """\
DELETE FROM {table} WHERE id IN (
    SELECT id FROM {table} WHERE state = 'published' AND published_at <= now() - make_interval(secs => $1::float8)
    ORDER BY published_at LIMIT $2 FOR UPDATE SKIP LOCKED)"""
_CHECK: Final = """\
SELECT obj_description(to_regclass($1), 'pg_class') AS comment, to_regclass($1) IS NOT NULL AS is_there,
       current_database() AS database"""
_BACKLOG: Final = """\
SELECT count(*) FILTER (WHERE state = 'pending') AS pending, count(*) FILTER (WHERE state = 'failed') AS failed,
       coalesce(extract(epoch FROM now() - min(created_at) FILTER (WHERE state = 'pending')), 0)::float8 AS oldest
FROM {table} WHERE state IN ('pending', 'failed')"""


class OutboxMissing(TidingsEventsError):
    """The database has no outbox, or one of another version; the message says what to do."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A notification that waits to be published, locked for its relay."""

    id: UUID
    routing_key: str
    body: bytes
    headers: str
    attempts: int
    created_at: datetime
    due_at: datetime
    position: int


@dataclass(slots=True)
class RowOutcomes:
    """What became of the rows that a relay has locked; a row that is not named stays as it was."""

    published: list[UUID] = field(default_factory=list)
    failed: dict[UUID, str] = field(default_factory=dict)
    """With the reason."""
    postponed: dict[UUID, tuple[str, float]] = field(default_factory=dict)
    """With the reason, and the seconds until the next attempt."""


@dataclass(frozen=True, slots=True)
class OutboxBacklog:
    """What waits in an outbox."""

    pending: int
    failed: int
    oldest: float
    """Seconds since the oldest pending row was inserted; 0 if there is none."""


class OutboxRows:
    """The rows of one outbox, through one connection.

    A relay locks rows, publishes them and settles them in one transaction. If it is killed in between, PostgreSQL
    releases the locks at once and another relay publishes the rows again.

    Args:
        connection: Nothing else uses it.
        schema: Where the table is.
        keep: Seconds that published rows are kept; 0: they are deleted.
        longest: Seconds that a publish may take, while rows are locked.
        look_again: Seconds in which lanes are read from where they were left.
    """

    def __init__(
        self,
        connection: Connection,
        schema: str,
        keep: float = 0.0,
        *,
        longest: float = 15.0,
        look_again: float = LOOK_AGAIN,
    ) -> None:
        self._connection = connection
        self._table = table_in(schema)
        self._schema = schema
        self._keep = keep
        self._idle_limit = round(1000 * (longest + IDLE_MARGIN))
        self._places: dict[str, _Place] = {}
        self._look_again = look_again
        self._looked = -look_again

    async def check(self) -> str:
        """The name of the database.

        Raises:
            OutboxMissing: It has no such table, or an older one.
        """
        [found] = await self._connection.fetch(_CHECK, self._table)
        version = version_in(found["comment"])
        install = f"run `tidings outbox install --schema {self._schema}`"
        if not found["is_there"]:
            raise OutboxMissing(
                f"the database {found['database']} has no table {self._schema}.{TABLE}; {install}"
            )
        if version is None or version < VERSION:
            raise OutboxMissing(
                f"the table {self._schema}.{TABLE} is of version {version or 'unknown'}, and {VERSION} is needed; "
                f"{install}"
            )
        return str(found["database"])

    async def take(self, most: int, most_bytes: int, held: Sequence[str]) -> list[OutboxRow]:
        """Begin a transaction, and lock the rows to be published next: urgent ones first, each lane in its order.

        Args:
            most: Rows at most.
            most_bytes: Bytes of their bodies at most, unless the first alone has more.
            held: Lanes (routing keys) to leave alone.
        """
        await self._connection.execute(
            f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = {self._idle_limit}"
        )
        looks = monotonic() - self._looked >= self._look_again
        if looks:
            await self._look()
        rows = await self._take(most, most_bytes, held)
        if not rows and not looks:
            await self._look()
            rows = await self._take(most, most_bytes, held)
        return rows

    async def _look(self) -> None:
        """Find the lanes with pending rows, and begin each at its first row."""
        found = await self._connection.fetch(self._sql(_LANES))
        self._places = {row["routing_key"]: _FIRST for row in found}
        self._looked = monotonic()

    async def _take(self, most: int, most_bytes: int, held: Sequence[str]) -> list[OutboxRow]:
        lanes = sorted(self._places.keys() - {*held}, key=_urgency)
        if not lanes:
            return []
        due, positions = zip(*(self._places[lane] for lane in lanes), strict=True)
        found = await self._connection.fetch(
            self._sql(_TAKE), lanes, list(due), list(positions), most, most_bytes
        )
        rows = [OutboxRow(*row) for row in found]
        for row in rows:
            self._places[row.routing_key] = (row.due_at, row.position)
        return rows

    async def settle(self, settlement: RowOutcomes) -> None:
        """Write what became of the locked rows, and commit."""
        if settlement.published:
            await self._run(_KEEP if self._keep else _DELETE, settlement.published)
        if settlement.failed:
            await self._run(_FAIL, [*settlement.failed], _storable(settlement.failed.values()))
        if settlement.postponed:
            errors, waits = zip(*settlement.postponed.values(), strict=True)
            await self._run(_POSTPONE, [*settlement.postponed], _storable(errors), list(waits))
        await self._connection.execute("COMMIT")

    def start_over(self) -> None:
        """Read each lane from its beginning next time: rows that were locked were not settled."""
        self._looked = -self._look_again

    async def release(self) -> None:
        """End the transaction without a change."""
        await self._connection.execute("ROLLBACK")

    async def purge(self) -> int:
        """Delete published rows that were kept long enough; how many, at most `PURGED`."""
        return await self._run(_PURGE, self._keep, PURGED)

    async def backlog(self) -> OutboxBacklog:
        """Count what waits."""
        [found] = await self._connection.fetch(self._sql(_BACKLOG))
        return OutboxBacklog(found["pending"], found["failed"], found["oldest"])

    async def _run(self, statement: str, *arguments: Any) -> int:
        status = await self._connection.execute(self._sql(statement), *arguments)
        return int(status.rpartition(" ")[2])

    def _sql(self, statement: str) -> str:
        return statement.format(table=self._table)


def _urgency(lane: str) -> tuple[int, float]:
    """Urgent lanes first; lanes of the same priority in a different order each time."""
    return _URGENCY.get(lane.rpartition(".")[2], 2), random.random()  # noqa: S311 - fairness


def _storable(errors: Iterable[str]) -> list[str]:
    """PostgreSQL stores no NUL."""
    return [error.replace("\0", "")[:2_000] for error in errors]
