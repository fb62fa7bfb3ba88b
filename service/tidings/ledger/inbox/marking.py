"""Changes messages for their user: read, archived, snoozed, deleted and so on, each change with a revision of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tidings.delivery.errors import InvalidRequest
from tidings.ledger.database import Connection, Database
from tidings.ledger.inbox.filters import OF_USER, MessageFilter, added
from tidings.ledger.inbox.messages import EMPTIED, STORED, InboxUser
from tidings.ledger.inbox.reading import COUNTED, InboxCounts

AT_ONCE: Final = 1_000
"""Messages that one transaction changes, at most: deliveries to the user wait for it."""


class MarkVerb(StrEnum):
    """What is done with messages."""

    READ = "read"
    UNREAD = "unread"
    SEEN = "seen"
    ARCHIVE = "archive"
    UNARCHIVE = "unarchive"
    SNOOZE = "snooze"
    UNSNOOZE = "unsnooze"
    ACT = "act"
    DELETE = "delete"


_NOW: Final = "statement_timestamp()"
"""Not the transaction's: it may have waited for the user's row."""
_READ: Final = f"read_at = coalesce(read_at, {_NOW}), seen_at = coalesce(seen_at, {_NOW})"


@dataclass(frozen=True, slots=True)
class _Change:
    needed: str
    """What is so already is not changed again."""
    assignments: str


_CHANGES: Final[Mapping[MarkVerb, _Change]] = MappingProxyType(
    {
        MarkVerb.READ: _Change("read_at IS NULL", _READ),
        MarkVerb.UNREAD: _Change("read_at IS NOT NULL", "read_at = NULL"),
        MarkVerb.SEEN: _Change("seen_at IS NULL", f"seen_at = {_NOW}"),
        MarkVerb.ARCHIVE: _Change(
            "archived_at IS NULL", f"archived_at = {_NOW}, snoozed_until = NULL"
        ),
        MarkVerb.UNARCHIVE: _Change("archived_at IS NOT NULL", "archived_at = NULL"),
        MarkVerb.SNOOZE: _Change(
            "(snoozed_until IS DISTINCT FROM {value}::timestamptz OR archived_at IS NOT NULL)",
            "snoozed_until = {value}::timestamptz, archived_at = NULL",
        ),
        # It comes back on top, as when its time is up.
        MarkVerb.UNSNOOZE: _Change(
            "snoozed_until IS NOT NULL", "snoozed_until = NULL, position = $3 + chosen.step"
        ),
        MarkVerb.ACT: _Change(
            "actions @> jsonb_build_array(jsonb_build_object('id', {value}::text))"
            " AND (action IS DISTINCT FROM {value}::text OR read_at IS NULL)",
            f"acted_at = CASE WHEN action = {{value}}::text THEN acted_at ELSE {_NOW} END, action = {{value}}::text, {_READ}",
        ),
        MarkVerb.DELETE: _Change("true", f"deleted_at = {_NOW}, {EMPTIED}"),
    }
)
LOCK: Final = f"SELECT revision FROM inbox_users WHERE {OF_USER} FOR UPDATE"
CHANGE: Final = f"""
WITH chosen AS MATERIALIZED (
    SELECT place, row_number() OVER (ORDER BY position, id) AS step FROM (
        SELECT ctid AS place, id, position FROM inbox_messages WHERE {OF_USER} AND {STORED} AND {{which}} AND {{needed}}
         ORDER BY position LIMIT {AT_ONCE}
    ) AS oldest
), changed AS (
    UPDATE inbox_messages AS m SET {{assignments}}, revision = $3 + chosen.step FROM chosen
     WHERE m.ctid = chosen.place RETURNING m.id
)
UPDATE inbox_users SET revision = revision + (SELECT count(*) FROM changed) WHERE {OF_USER} AND EXISTS (SELECT FROM changed)
RETURNING revision
"""
"""Under the lock of the user's row nobody else changes these rows, so they stay in their places. Looked up by their ids, PostgreSQL
without statistics reads all messages of the user for each that is changed."""
WITHOUT_ACTION: Final = f"""
SELECT count(*) FROM inbox_messages WHERE {OF_USER} AND {STORED} AND id = ANY($3::uuid[])
   AND (actions @> jsonb_build_array(jsonb_build_object('id', $4::text))) IS NOT TRUE
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A change of messages."""

    verb: MarkVerb
    until: datetime | None = None
    """Of a snooze."""
    action: str | None = None
    """The id of the action that was taken."""


@dataclass(frozen=True, slots=True)
class UpTo:
    """All messages of a list that the user can have seen at a revision: none that came in later."""

    revision: int
    wanted: MessageFilter


@dataclass(frozen=True, slots=True)
class Marked:
    """The state of the inbox after a change."""

    revision: int
    counts: InboxCounts
    changed: int


class InboxMarking:
    """Changes messages of one user under the lock of that user's row, so that revisions become visible in their order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark(self, user: InboxUser, mark: Mark, chosen: Sequence[UUID] | UpTo) -> Marked:
        """Change messages. What is so already, and what is not the user's, is left alone and not counted.

        More than `AT_ONCE` are changed in several transactions, oldest first.

        Args:
            chosen: Ids, or all of a list.

        Raises:
            InvalidRequest: A message of these ids has no such action.
            LedgerUnavailable: PostgreSQL is unavailable; some may be changed, and the same may be sent again.
        """
        changed = 0
        while True:
            async with self._database.transaction() as connection:
                head = await connection.fetchval(LOCK, user.tenant, user.user_id)
                if head is None:
                    return Marked(0, InboxCounts(0, 0), 0)
                raised = await _change(connection, user, mark, chosen, head)
                row = await connection.fetchrow(COUNTED, user.tenant, user.user_id)
            assert row is not None  # noqa: S101  # a count is a row
            changed += raised - head
            if raised - head < AT_ONCE:
                return Marked(raised, InboxCounts(**row), changed)


async def _change(
    connection: Connection,
    user: InboxUser,
    mark: Mark,
    chosen: Sequence[UUID] | UpTo,
    head: int,
) -> int:
    """The revision afterwards."""
    arguments: list[object] = [user.tenant, user.user_id, head]
    change, value = _CHANGES[mark.verb], mark.until or mark.action
    name = "" if value is None else added(arguments, value)
    if isinstance(chosen, UpTo):
        which = f"position <= {added(arguments, chosen.revision)} AND {chosen.wanted.matching(arguments)}"
    else:
        await _check_action(connection, user, mark, chosen)
        which = f"id = ANY({added(arguments, list(chosen))}::uuid[])"
    query = CHANGE.format(
        which=which,
        needed=change.needed.format(value=name),
        assignments=change.assignments.format(value=name),
    )
    raised = await connection.fetchval(query, *arguments)
    return head if raised is None else int(raised)


async def _check_action(
    connection: Connection, user: InboxUser, mark: Mark, ids: Sequence[UUID]
) -> None:
    if mark.verb is not MarkVerb.ACT:
        return
    others = await connection.fetchval(
        WITHOUT_ACTION, user.tenant, user.user_id, list(ids), mark.action
    )
    if others:
        raise InvalidRequest(
            f"{mark.action!r} is no action of the message: write the id of one of its `actions`",
            field="action",
        )
