"""The audit trail: what operators and API keys did that no notification's history has, newest first."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from tidings.ledger.database import Database

TRAIL: Final = """
SELECT at, source, id, actor, action, note, details FROM (
    SELECT at, 1 AS source, id, actor, action, note, details FROM operator_actions
     UNION ALL
    SELECT at, 2, id, actor, 'channel ' || verb, note, jsonb_build_object('channel', channel, 'provider', nullif(provider, '*'))
      FROM channel_orders) AS trail
 WHERE ($1::text IS NULL OR strpos(actor, $1) > 0) AND ($2::text IS NULL OR action = $2)
   AND ($3::timestamptz IS NULL OR at >= $3) AND ($4::timestamptz IS NULL OR at < $4)
   AND ($5::timestamptz IS NULL OR (at, source, id) < ($5, $6::int, $7::bigint))
 ORDER BY at DESC, source DESC, id DESC LIMIT $8
"""


@dataclass(frozen=True, slots=True)
class TrailFilters:
    """Which entries; what is None says nothing."""

    actor: str | None = None
    """A part of it: a name, a key's prefix, a request's id."""
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TrailEntry:
    """One action."""

    at: datetime
    source: int
    """1: a recorded action; 2: an order about a channel."""
    id: int
    actor: str
    action: str
    note: str
    details: Mapping[str, Any]


class Trail:
    """Reads the audit trail."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, filters: TrailFilters, limit: int, after: tuple[datetime, int, int] | None = None
    ) -> Sequence[TrailEntry]:
        """The newest entries that match, behind the one with this time, source and id."""
        at, source, id_ = after or (None, None, None)
        values = (filters.actor, filters.action, filters.since, filters.until)
        async with self._database.connection() as connection:
            rows = await connection.fetch(TRAIL, *values, at, source, id_, limit)
        return [TrailEntry(**{**row, "details": json.loads(row["details"])}) for row in rows]
