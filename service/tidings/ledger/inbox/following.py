"""Follows many inboxes at once: in one statement, so that revision, counts and changes of an inbox belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Final

from asyncpg import Record

from tidings.ledger.database import Database
from tidings.ledger.inbox.messages import COLUMNS, UNREAD, UNSEEN, InboxUser, StoredMessage

MOST: Final = 200
"""Changes of one inbox that are told one by one: whoever misses more reads all anew…"""
MOST_BYTES: Final = 256 * 1024
"""… and so does whoever misses more bytes: of hundreds of inboxes in one statement, they are in memory at once."""

READ: Final = f"""
SELECT known.place, statement_timestamp() AS looked_at, coalesce(head.revision, 0) AS head, coalesce(head.floor, 0) AS floor,
       counts.unread, counts.unseen, changed.*
  FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS known (tenant, user_id, since, place)
  LEFT JOIN inbox_users head ON head.tenant = known.tenant AND head.user_id = known.user_id
 CROSS JOIN LATERAL (
       SELECT count(*) AS unread, count(*) FILTER (WHERE {UNSEEN}) AS unseen
         FROM inbox_messages
        WHERE tenant = known.tenant AND user_id = known.user_id AND {UNREAD}) AS counts
  LEFT JOIN LATERAL (
       SELECT {COLUMNS}, size
         FROM (SELECT {COLUMNS}, octet_length(concat(title, body, data, actions)) AS bytes,
                      sum(octet_length(concat(title, body, data, actions))) OVER (ORDER BY revision ROWS UNBOUNDED PRECEDING) AS size
                 FROM inbox_messages
                WHERE tenant = known.tenant AND user_id = known.user_id AND revision > known.since
                  AND known.since BETWEEN head.floor AND head.revision - 1
                ORDER BY revision
                LIMIT {MOST + 1}) AS oldest
        WHERE size - bytes <= {MOST_BYTES}) AS changed ON true
 ORDER BY known.place, changed.revision
"""
MOVED: Final = """
SELECT known.place
  FROM unnest($1::text[], $2::text[], $3::bigint[]) WITH ORDINALITY AS known (tenant, user_id, since, place)
  LEFT JOIN inbox_users head ON head.tenant = known.tenant AND head.user_id = known.user_id
 WHERE coalesce(head.revision, 0) <> known.since
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What a reader knows of an inbox."""

    user: InboxUser
    revision: int | None
    """All changes up to this; None: nothing yet."""


@dataclass(frozen=True, slots=True)
class InboxState:
    """An inbox at one moment, and what a reader has missed of it."""

    revision: int
    unread: int
    unseen: int
    changes: Sequence[StoredMessage] | None
    """Every message that has changed since, in the order of their revisions. None: they can't be told one by one, so
    that all is to be read anew."""
    looked_at: datetime
    """When, by the clock of PostgreSQL, which is that of the messages too."""


class Following:
    """Reads the change logs of inboxes.

    All its methods raise `LedgerUnavailable` if PostgreSQL is unavailable.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, readers: Sequence[Known]) -> Sequence[InboxState]:
        """For each reader its inbox, all at the same moment."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(READ, *_columns(readers))
        by_place = groupby(rows, key=itemgetter("place"))
        return [
            _state(reader.revision, list(found))
            for reader, (_, found) in zip(readers, by_place, strict=True)
        ]

    async def moved(self, readers: Sequence[Known]) -> Sequence[int]:
        """The places in `readers` of those whose inbox has another revision than they know."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(MOVED, *_columns(readers))
        return [row["place"] - 1 for row in rows]


def _columns(readers: Sequence[Known]) -> tuple[list[str], list[str], list[int | None]]:
    return (
        [reader.user.tenant for reader in readers],
        [reader.user.user_id for reader in readers],
        [reader.revision for reader in readers],
    )


def _state(since: int | None, rows: Sequence[Record]) -> InboxState:
    first = rows[0]
    known = since is not None and first["floor"] <= since <= first["head"]
    changes: list[StoredMessage] | None = None
    if known and len(rows) <= MOST and (rows[-1]["size"] or 0) <= MOST_BYTES:
        changes = [StoredMessage.read(dict(row)) for row in rows if row["id"] is not None]
    return InboxState(first["head"], first["unread"], first["unseen"], changes, first["looked_at"])
