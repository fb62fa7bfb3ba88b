"""Chooses outbox entries for a job, the oldest first, in steps that each fit a statement's timeout."""

from typing import Final

from asyncpg import Record

from tidings.ledger.database import Connection
from tidings.ledger.notifications.outbox_entries import ENTRIES, OutboxFilter

STEP: Final = 20_000
"""Entries looked at by one statement."""
MOST_ITEMS: Final = 2_000_000_000

CHOOSE: Final = f"""
WITH seen AS MATERIALIZED (
    {ENTRIES}
     WHERE ($1::uuid[] = '{{}}' OR e.notification_id = ANY($1)) AND ($3::text IS NULL OR e.user_id = $3)
       AND ($4::text IS NULL OR e.tenant = $4) AND ($5::boolean IS NULL OR coalesce(n.test, false) = $5)
       AND ($6::timestamptz IS NULL OR (e.entered_at, e.notification_id) > ($6, $7::uuid))
     ORDER BY e.entered_at, e.notification_id LIMIT $8
), kept AS (
    SELECT id, row_number() OVER (ORDER BY entered_at, id) AS place FROM seen WHERE $2::text[] = '{{}}' OR status = ANY($2)
), added AS (
    INSERT INTO job_items (job, position, item) SELECT $9, $10::int + place, id FROM kept WHERE place <= $11
    RETURNING item
)
SELECT count(*) AS seen, (SELECT count(*) FROM added) AS added, max(entered_at) AS at,
       (array_agg(id ORDER BY entered_at DESC, id DESC))[1] AS last
  FROM seen
"""


async def choose_entries(connection: Connection, job: Record, wanted: OutboxFilter) -> int:
    """Store the items of a job that decides about outbox entries; how many.

    Args:
        connection: In a transaction that sees the tables as they are at one moment.
        job: Its row.
        wanted: Which entries.
    """
    ids, statuses = list(wanted.ids), [status.value for status in wanted.statuses]
    added, seen, at, last = 0, STEP, None, None
    most = job["most"] or MOST_ITEMS
    while seen == STEP and added < most:
        row = await connection.fetchrow(
            *(CHOOSE, ids, statuses, wanted.user_id, wanted.tenant, wanted.test, at, last, STEP),
            *(job["id"], added, most - added),
        )
        assert row is not None  # noqa: S101  # for the type checker: an aggregate has a row
        seen, at, last = row["seen"], row["at"], row["last"]
        added += row["added"]
    return added
