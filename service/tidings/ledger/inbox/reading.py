"""Reads a user's inbox: a page of messages, what has changed, counts. Each in one statement, so of one moment."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import asyncpg

from tidings.ledger.database import Database
from tidings.ledger.inbox.filters import OF_USER, MessageFilter
from tidings.ledger.inbox.messages import COLUMNS, UNREAD, UNSEEN, InboxUser, StoredMessage

NEWEST: Final = 2**63 - 1
"""Before this position is every message."""
LOOKED_AT: Final = 5_000
"""Messages that are looked at for a page of those that match a filter which no index has."""

COUNTED: Final = f"""
SELECT count(*) AS unread, count(*) FILTER (WHERE {UNSEEN}) AS unseen FROM inbox_messages
 WHERE {OF_USER} AND {UNREAD}
"""
_STANDING: Final = f"""
SELECT coalesce(u.revision, 0) AS head, coalesce(u.floor, 0) AS floor, counted.*, {{more}}
  FROM ({COUNTED}) AS counted LEFT JOIN inbox_users AS u ON u.tenant = $1 AND u.user_id = $2
"""
PAGE: Final = f"""{_STANDING.format(more="m.*")}
  LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM inbox_messages WHERE {OF_USER} AND position < $3 AND {{matching}} ORDER BY position DESC LIMIT $4
  ) AS m ON true ORDER BY m.position DESC
"""
LAST_LOOKED_AT: Final = f"""
SELECT position FROM inbox_messages WHERE {OF_USER} AND position < $3 AND {{listed}} ORDER BY position DESC OFFSET {LOOKED_AT - 1} LIMIT 1
"""
SEARCHED: Final = f"""
  WITH bound AS MATERIALIZED ({LAST_LOOKED_AT})
{_STANDING.format(more="(SELECT position FROM bound) AS last_looked_at, m.*")}
  LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM inbox_messages
     WHERE {OF_USER} AND position < $3 AND position >= coalesce((SELECT position FROM bound), 0) AND {{matching}}
     ORDER BY position DESC LIMIT $4
  ) AS m ON true ORDER BY m.position DESC
"""
CHANGES: Final = f"""{_STANDING.format(more="m.*")}
  LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM inbox_messages WHERE {OF_USER} AND revision > $3 ORDER BY revision LIMIT $4
  ) AS m ON true ORDER BY m.revision
"""
LATEST: Final = f"""{_STANDING.format(more="m.*")}
  LEFT JOIN LATERAL (
    SELECT {COLUMNS} FROM inbox_messages WHERE {OF_USER} ORDER BY revision DESC LIMIT $3
  ) AS m ON true ORDER BY m.revision DESC
"""
ONE: Final = f"SELECT {COLUMNS} FROM inbox_messages WHERE {OF_USER} AND id = $3"
TALLY: Final = f"""
SELECT coalesce(u.revision, 0) AS head, counted.*
  FROM (SELECT) AS nothing LEFT JOIN inbox_users AS u ON u.tenant = $1 AND u.user_id = $2
  LEFT JOIN LATERAL (
    SELECT type, category, count(*) AS unread, count(*) FILTER (WHERE {UNSEEN}) AS unseen FROM inbox_messages
     WHERE {OF_USER} AND {UNREAD} GROUP BY type, category
  ) AS counted ON true
"""


@dataclass(frozen=True, slots=True)
class InboxCounts:
    """How many messages of the feed wait."""

    unread: int
    unseen: int


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Messages, newest first, with the state of the inbox at the same moment."""

    revision: int
    counts: InboxCounts
    messages: tuple[StoredMessage, ...]
    last_looked_at: int | None = None
    """Messages with a lower position were not looked at yet; None if all were."""


@dataclass(frozen=True, slots=True)
class InboxChanges:
    """Messages that have changed, oldest change first."""

    head: int
    """The revision of the last change of all."""
    floor: int
    """The changes up to this one are not all known any more."""
    counts: InboxCounts
    messages: tuple[StoredMessage, ...]


@dataclass(frozen=True, slots=True)
class UnreadTally:
    """Unread messages of the feed, in all and by what they are about."""

    revision: int
    unread: int = 0
    unseen: int = 0
    by_type: Mapping[str, int] = field(default_factory=dict)
    by_category: Mapping[str, int] = field(default_factory=dict)


class InboxReading:
    """Reads inboxes, and changes nothing. All its methods raise `LedgerUnavailable` if PostgreSQL is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, user: InboxUser, wanted: MessageFilter, limit: int, *, before: int = NEWEST
    ) -> InboxPage:
        """The newest messages that match.

        Args:
            limit: At most so many.
            before: Only those with a lower position.
        """
        arguments: list[object] = [user.tenant, user.user_id, before, limit]
        matching = wanted.matching(arguments)
        form = PAGE if wanted.indexed else SEARCHED
        query = form.format(matching=matching, listed=wanted.listed())
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, *arguments)
        return InboxPage(
            rows[0]["head"], _counts(rows[0]), _messages(rows), rows[0].get("last_looked_at")
        )

    async def changes(self, user: InboxUser, since: int, limit: int) -> InboxChanges:
        """What has changed after a revision, at most `limit` messages."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(CHANGES, user.tenant, user.user_id, since, limit)
        first = rows[0]
        return InboxChanges(first["head"], first["floor"], _counts(first), _messages(rows))

    async def latest(self, user: InboxUser, limit: int) -> InboxPage:
        """At most `limit` messages of any state, deleted ones too; last change first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(LATEST, user.tenant, user.user_id, limit)
        return InboxPage(rows[0]["head"], _counts(rows[0]), _messages(rows))

    async def find(self, user: InboxUser, id: UUID) -> StoredMessage | None:
        """One message, even a deleted one; None if the user has none with this id."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(ONE, user.tenant, user.user_id, id)
        return None if row is None else StoredMessage.read(dict(row))

    async def unread(self, user: InboxUser) -> UnreadTally:
        """How many messages of the feed are unread."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(TALLY, user.tenant, user.user_id)
        by_type, by_category, unseen = Counter[str](), Counter[str](), 0
        for row in rows:
            if row["unread"] is not None:
                by_type[row["type"]] += row["unread"]
                by_category[row["category"]] += row["unread"]
                unseen += row["unseen"]
        return UnreadTally(rows[0]["head"], by_type.total(), unseen, by_type, by_category)

    async def counted(
        self, user: InboxUser, wanted: Sequence[MessageFilter]
    ) -> tuple[int, tuple[int, ...]]:
        """The revision, and how many messages match each of the filters at that moment."""
        arguments: list[object] = [user.tenant, user.user_id]
        counts = ", ".join(
            f"(SELECT count(*) FROM inbox_messages WHERE {OF_USER} AND {each.matching(arguments)})"
            for each in wanted
        )
        query = f"""
            SELECT coalesce((SELECT revision FROM inbox_users WHERE {OF_USER}), 0) AS head, ARRAY[{counts}]::bigint[] AS counts
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(query, *arguments)
        assert row is not None  # noqa: S101  # it selects from nothing
        return row["head"], tuple(row["counts"])


def _counts(row: asyncpg.Record) -> InboxCounts:
    return InboxCounts(row["unread"], row["unseen"])


def _messages(rows: Sequence[asyncpg.Record]) -> tuple[StoredMessage, ...]:
    """Of rows that have none if nothing was found."""
    return tuple(StoredMessage.read(dict(row)) for row in rows if row["id"] is not None)
