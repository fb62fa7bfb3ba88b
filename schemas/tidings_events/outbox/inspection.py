"""What people do with an outbox: install it, see what waits and what failed, publish failed rows again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tidings_events.errors import TidingsEventsError
from tidings_events.outbox.batch import reason_without_values
from tidings_events.outbox.rows import Connection, OutboxRows
from tidings_events.outbox.table import (
    CHANNEL,
    TABLE,
    VERSION,
    install_sql,
    table_in,
    version_in,
)

REASONS: Final = 1_000
"""Different errors that are read; groups of them are shown."""
_LOCK: Final = 0x7469_6469_6E67_7301
"""Key of the advisory lock under which the table is installed."""

_FOUND: Final = """\
SELECT to_regclass($1) IS NOT NULL AS is_there, obj_description(to_regclass($1), 'pg_class') AS comment,
       to_regnamespace($2) IS NOT NULL AS has_schema, current_database() AS database"""
_LANES: Final = """\
SELECT routing_key AS lane, count(*) AS pending, count(*) FILTER (WHERE attempts > 0) AS retrying,
       extract(epoch FROM now() - min(created_at))::float8 AS oldest
FROM {table} WHERE state = 'pending' GROUP BY routing_key ORDER BY routing_key"""
_REASONS: Final = """\
SELECT coalesce(last_error, '') AS reason, count(*) AS count,
       (array_agg(id ORDER BY created_at DESC))[1] AS sample,
       extract(epoch FROM now() - min(created_at))::float8 AS oldest
FROM {table} WHERE state = 'failed' GROUP BY last_error ORDER BY count(*) DESC LIMIT $1"""
_AGAIN: Final = """\
UPDATE {table} SET state = 'pending', attempts = 0, next_attempt_at = now(), last_error = NULL
WHERE state = 'failed' AND ($1::uuid[] IS NULL OR id = ANY ($1))"""


_COUNT: Final = """\
SELECT count(*) FROM {table} WHERE state = 'failed' AND ($1::uuid[] IS NULL OR id = ANY ($1))"""


class OutboxRefused(TidingsEventsError):
    """The outbox can't be installed here; the message says why."""


@dataclass(frozen=True, slots=True)
class WaitingLane:
    """Rows of one lane that wait to be published."""

    lane: str
    pending: int
    retrying: int
    """Those among them that RabbitMQ has refused."""
    oldest: float
    """Seconds since the oldest was inserted."""


@dataclass(frozen=True, slots=True)
class FailedRows:
    """Rows that failed for the same reason."""

    reason: str
    """Without the values of a producer's fields."""
    count: int
    sample: UUID
    """One of them."""
    oldest: float
    """Seconds since the oldest was inserted."""


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """What waits in an outbox, and what failed."""

    lanes: Sequence[WaitingLane]
    failed: Sequence[FailedRows]

    @property
    def pending(self) -> int:
        """Rows that wait to be published."""
        return sum(lane.pending for lane in self.lanes)

    @property
    def oldest(self) -> float:
        """Seconds since the oldest of them was inserted; 0 if there is none."""
        return max((lane.oldest for lane in self.lanes), default=0.0)


async def install(connection: Connection, schema: str, *, notify: bool) -> int | None:
    """Create what is missing of the table; the version that was there before, None if none was.

    Raises:
        OutboxRefused: There is no such schema, another table of that name, or a newer one.
        ValueError: The schema is not a name as `table.quoted` takes it.
        asyncpg.PostgresError: PostgreSQL refused it, e.g. for lack of permissions.
    """
    statements = install_sql(schema, notify=notify)
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        [found] = await connection.fetch(_FOUND, table_in(schema), f'"{schema}"')
        where = f"{schema}.{TABLE} in the database {found['database']}"
        before = version_in(found["comment"])
        if not found["has_schema"]:
            raise OutboxRefused(
                f"there is no schema {schema} in the database {found['database']}; create it first"
            )
        if found["is_there"] and before is None:
            raise OutboxRefused(f"there is a table {where} that is no outbox of Tidings")
        if before is not None and before > VERSION:
            raise OutboxRefused(f"{where} is of version {before}, and this Tidings knows {VERSION}")
        await connection.execute(statements)
    return before


async def status(connection: Connection, schema: str) -> OutboxStatus:
    """What waits and what failed.

    Raises:
        OutboxMissing: There is no such table.
    """
    await OutboxRows(connection, schema).check()
    table = table_in(schema)
    lanes = await connection.fetch(_LANES.format(table=table))
    reasons = await connection.fetch(_REASONS.format(table=table), REASONS)
    groups: dict[str, FailedRows] = {}
    for row in reasons:
        reason, count, sample, oldest = row
        found = FailedRows(reason_without_values(reason), count, sample, oldest)
        groups[found.reason] = _together(groups.get(found.reason), found)
    return OutboxStatus(
        [WaitingLane(*row) for row in lanes],
        sorted(groups.values(), key=lambda group: group.count, reverse=True),
    )


async def republish(
    connection: Connection, schema: str, ids: Sequence[UUID] | None, *, dry_run: bool = False
) -> int:
    """Publish failed rows again, all of them if `ids` is None; how many.

    Args:
        connection: To the producer's database.
        schema: Where the table is.
        ids: Of notifications.
        dry_run: Count only.

    Raises:
        OutboxMissing: There is no such table.
    """
    await OutboxRows(connection, schema).check()
    table = table_in(schema)
    if dry_run:
        return int(await connection.fetchval(_COUNT.format(table=table), ids and [*ids]))
    async with connection.transaction():
        done = await connection.execute(_AGAIN.format(table=table), ids and [*ids])
        await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, schema)
    return int(done.rpartition(" ")[2])


def _together(group: FailedRows | None, more: FailedRows) -> FailedRows:
    if group is None:
        return more
    return FailedRows(
        group.reason, group.count + more.count, group.sample, max(group.oldest, more.oldest)
    )
