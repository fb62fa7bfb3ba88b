"""Whether what an id or name means is a test."""

from enum import StrEnum
from typing import Final
from uuid import UUID

from tidings.ledger.database import Connection


class Named(StrEnum):
    """What an id names."""

    NOTIFICATION = "notification"
    """Or a dead letter, by its own id or that of its notification."""
    JOB = "job"
    SCHEDULE = "schedule"
    """By its id or name."""


OF_NOTIFICATION: Final = """
WITH named AS (SELECT array_append(ARRAY(SELECT notification_id FROM dead_letters WHERE id = $1), $1::uuid) AS ids)
SELECT bool_and(test) FROM (SELECT test FROM notifications WHERE id = ANY((SELECT ids FROM named)::uuid[])
                            UNION ALL SELECT test FROM dead_letters WHERE id = $1
                            UNION ALL SELECT test FROM dead_letters WHERE notification_id = ANY((SELECT ids FROM named)::uuid[])) AS found
"""
"""Of several, all: a message that no worker could read may have the id of a test, or call itself one and have the id of what
is none. What a dead letter's own id names is its notification too."""
OF_JOB: Final = "SELECT test FROM jobs WHERE id = $1"
OF_SCHEDULE: Final = """
SELECT bool_and(content @> '{"test": true}') FROM schedules
 WHERE (id = $1 OR name = $2) AND ($3::text IS NULL OR tenant = $3) AND state <> 'deleted'
"""


async def is_test(connection: Connection, named: Named, reference: str, tenant: str | None) -> bool:
    """Whether all that it means are tests, and it means anything."""
    try:
        id_: UUID | None = UUID(reference)
    except ValueError:
        id_ = None
    match named:
        case Named.NOTIFICATION:
            found = await connection.fetchval(OF_NOTIFICATION, id_)
        case Named.JOB:
            found = await connection.fetchval(OF_JOB, id_)
        case Named.SCHEDULE:
            found = await connection.fetchval(OF_SCHEDULE, id_, reference, tenant)
    return found is True
