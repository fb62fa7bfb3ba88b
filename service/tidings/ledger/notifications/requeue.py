"""Finds notifications whose message was lost, and has the outbox publish them again.

A queue may be purged, lost with its virtual host, or emptied by hand; the ledger then waits for a message
that nobody has. Nothing tells such a one from one that still waits in a backlog but time, and what is known
of its lane. A wrong guess costs a second message, which the claim recognises by (id, epoch, attempt); so
that it costs no more, each further guess about the same notification waits twice as long.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from tidings.delivery.attempt import Lane
from tidings.delivery.states import State
from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.notifications.troubled import TROUBLED, TROUBLED_STATES
from tidings.ledger.steps import PATIENCE, TimeLimit, steps

RANGE: Final = 1_024
"""Pages of each partition of `notifications` that one statement reads: 8 MB of each, of a dozen, well within a
statement's time if none is cached."""

ENDED: Final = ("failed", "expired", "unknown")
"""States that leave a dead letter."""

OVERDUE_SINCE: Final = """
CASE n.state WHEN 'sending' THEN n.lease_until
             WHEN 'retrying' THEN n.updated_at + coalesce(n.retry_delay, 0) * interval '1 second'
             ELSE n.updated_at END
"""
"""When the message of `notifications n`, or its dead letter, should have come at the latest, but for backlogs."""

NOT_LATELY: Final = """
n.dispatch_at IS NULL
AND (n.requeued_at IS NULL OR n.requeued_at < n.updated_at
     OR now() - n.requeued_at >= greatest({least} * interval '1 second', n.requeued_at - n.updated_at))
"""
"""Whether the outbox has nothing to do for it, and the last guess is as long ago as it came after the last change."""

NO_DEAD_LETTER: Final = """
NOT EXISTS (SELECT FROM dead_letters d WHERE d.notification_id = n.id AND d.epoch = n.epoch
               AND NOT (d.state = 'discarded' AND d.actor IS NULL) OFFSET 0)
"""
"""A dead letter that was closed as soon as it came (discarded, without an actor) is not the one that is missed. `OFFSET 0`
keeps PostgreSQL from reading all dead letters there are into a hash table."""

WITHOUT: Final = f"""
(n.state IN ('queued', 'retrying', 'sending')
 OR (n.state IN ('failed', 'expired', 'unknown') OR n.state = 'sent' AND n.reason IS NOT DISTINCT FROM 'copies_refused')
    AND n.finished_at > now() - interval '7 days' AND {NO_DEAD_LETTER})
"""
"""Whether it waits for a message, or lately ended without a dead letter: old dead letters may have been deleted."""

FIND: Final = f"""
SELECT id, epoch, attempt, state, channel
  FROM (SELECT n.id, n.epoch, n.attempt, n.state, n.channel, n.priority, {OVERDUE_SINCE} AS since
          FROM notifications n
         WHERE n.ctid >= $1 AND n.ctid < $2
           AND {WITHOUT}
           AND {NOT_LATELY.format(least="$7")}
       ) AS waiting
  LEFT JOIN unnest($3::text[], $4::text[], $5::float8[]) AS lane (channel, priority, overdue) USING (channel, priority)
 WHERE since < now() - interval '1 second'
                       * CASE WHEN state IN ('queued', 'retrying', 'sending') THEN lane.overdue ELSE $6 END
 ORDER BY since
 LIMIT $8
"""
"""In a range of pages. No index: one on the state would keep PostgreSQL from updating rows in place (HOT), for
every notification there is, and this has all the time it wants."""

_SELECT: Final = f"""
SELECT n.id, n.epoch, n.attempt, n.state, n.channel FROM notifications n
 WHERE {{among}}
   AND n.state = ANY($3::text[]) AND ($4::text IS NULL OR n.channel = $4) AND ($7::text IS NULL OR n.tenant = $7) AND n.dispatch_at IS NULL AND {WITHOUT}
   AND {OVERDUE_SINCE} < now() - $5 * interval '1 second'
 ORDER BY {{order}} LIMIT $6
"""
SELECT: Final = _SELECT.format(among="n.ctid >= $1 AND n.ctid < $2", order="n.id")
"""In a range of pages, as `FIND`: a statement that read them all would not end in time in a large ledger."""
_ACCEPTED: Final = "n.accepted_at >= coalesce($1::timestamptz, '-infinity') AND n.accepted_at < coalesce($2::timestamptz, 'infinity')"
_NEWEST: Final = "n.accepted_at DESC"
SELECT_NEWEST: Final = _SELECT.format(among=_ACCEPTED, order=_NEWEST)
SELECT_TROUBLED: Final = _SELECT.format(among=f"{TROUBLED} AND {_ACCEPTED}", order=_NEWEST)
"""Accepted in a while: all, or those that fared badly, of which there is an index."""

BY_ID: Final = f"""
SELECT n.id, n.epoch, n.attempt, n.state, n.channel, n.lease_until > now() AS held, n.dispatch_at IS NOT NULL AS due,
       NOT {NO_DEAD_LETTER} AS has_dead_letter
  FROM notifications n WHERE n.id = ANY($1::uuid[])
"""

REQUEUE: Final = """
WITH found AS (
    SELECT n.id FROM notifications n
      JOIN unnest($1::uuid[], $2::int[], $3::int[], $4::text[]) AS wanted (id, epoch, attempt, state)
           ON (n.id, n.epoch, n.attempt, n.state) = (wanted.id, wanted.epoch, wanted.attempt, wanted.state)
     WHERE n.dispatch_at IS NULL AND (n.state <> 'sending' OR n.lease_until < now())
     ORDER BY n.id FOR UPDATE OF n SKIP LOCKED
), requeued AS (
    UPDATE notifications n SET dispatch_at = now(), requeued_at = now()
      FROM found WHERE n.id = found.id
    RETURNING n.id, n.epoch, n.attempt, n.state, n.channel
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, state, state, $5::text,
           CASE state WHEN 'sending' THEN 'its message was lost, and the worker of attempt ' || attempt || ' stopped'
                WHEN 'queued' THEN 'its message was lost' WHEN 'retrying' THEN 'its message was lost'
                ELSE 'its dead letter was lost' END || ': published again' || $6::text
      FROM requeued
)
SELECT id, channel, state FROM requeued
"""

PAGES: Final = """
SELECT (max(pg_relation_size(relid)) / current_setting('block_size')::int)::int
  FROM pg_partition_tree('notifications')
"""


@dataclass(frozen=True, slots=True)
class Stranded:
    """A notification that waits for a message, or a dead letter, as it was found."""

    id: UUID
    epoch: int
    attempt: int
    state: State
    channel: str

    @classmethod
    def of(cls, row: Mapping[str, object]) -> Self:
        """Read a row."""
        names = ("id", "epoch", "attempt", "state", "channel")
        id_, epoch, attempt, state, channel = (row[name] for name in names)
        return cls(id_, epoch, attempt, State(str(state)), channel)  # type: ignore[arg-type]  # as selected


@dataclass(frozen=True, slots=True)
class RequeueCandidate:
    """A notification that a person wants published again, and why it can't be, if so."""

    stranded: Stranded
    refusal: str | None


@dataclass(frozen=True, slots=True)
class StrandedPage:
    """Those that a person may want published again."""

    found: tuple[Stranded, ...]
    searched_since: datetime | None = None
    """There may be more that were accepted before. None where all were looked through, or there are as many as were
    wanted."""


class Requeues:
    """Has notifications published again whose message was lost.

    Args:
        after: Seconds after which a message that hasn't come may be lost.
    """

    def __init__(self, database: Database, *, after: float) -> None:
        self._database = database
        self.after = after

    async def pages(self) -> int:
        """How many pages the largest partition of the notifications has: a range of pages is one of each."""
        async with self._database.connection() as connection:
            pages: int | None = await connection.fetchval(PAGES)
        return pages or 0

    async def find(
        self,
        first_page: int,
        past: int,
        overdue: Mapping[Lane, float],
        dead_overdue: float | None,
        limit: int,
    ) -> Sequence[Stranded]:
        """Those in a range of pages that seem to be stranded, the longest overdue first.

        Args:
            overdue: Seconds by which a lane's messages must be late before they count as lost; none of
                a lane that is not named here.
            dead_overdue: The same for dead letters; None for none.
        """
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                FIND,
                (first_page, 0),
                (past, 0),
                [lane.channel for lane in overdue],
                [lane.priority for lane in overdue],
                list(overdue.values()),
                dead_overdue,
                self.after,
                limit,
            )
        return [Stranded.of(dict(row)) for row in rows]

    async def select(
        self,
        states: Sequence[State],
        channel: str | None,
        overdue: float,
        limit: int,
        *,
        tenant: str | None = None,
    ) -> Sequence[Stranded]:
        """Those in one of these states that have waited so many seconds too long, whatever may be in their lanes.

        Reads all of the table. Where there are more than `limit`, those written last, roughly.
        """
        found: dict[UUID, Stranded] = {}  # one that is changed meanwhile may be met in two ranges
        for first, past in newest_first(await self.pages()):
            left = limit - len(found)
            async with self._database.connection() as connection:
                rows = await connection.fetch(
                    SELECT, (first, 0), (past, 0), list(states), channel, overdue, left, tenant
                )
            found |= {row["id"]: Stranded.of(dict(row)) for row in rows}
            if len(found) >= limit:
                break
        return sorted(found.values(), key=lambda notification: notification.id)

    async def select_newest(
        self,
        states: Sequence[State],
        channel: str | None,
        overdue: float,
        limit: int,
        *,
        tenant: str | None = None,
        patience: float = PATIENCE,
    ) -> StrandedPage:
        """The same, for a moment only: those accepted last.

        Args:
            patience: Seconds, about, for which to look; where that is over, the answer says how far it got.
        """
        clock, found = TimeLimit(patience), list[Stranded]()
        troubled = TROUBLED_STATES.issuperset(states)
        statement = SELECT_TROUBLED if troubled else SELECT_NEWEST
        async with self._database.connection() as connection:
            async for step in steps(connection, None, None, TROUBLED if troubled else None):
                left = limit - len(found)
                rows = await connection.fetch(
                    statement, *step, list(states), channel, overdue, left, tenant
                )
                found += [Stranded.of(dict(row)) for row in rows]
                since, _ = step
                if len(found) >= limit:
                    break
                if since is not None and clock.over:
                    return StrandedPage(tuple(found), since)
        return StrandedPage(tuple(found))

    async def look_up(self, ids: Sequence[UUID]) -> Sequence[RequeueCandidate]:
        """How these stand; what is not known is missing."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(BY_ID, list(ids))
        known = [dict(row) for row in rows]
        return [RequeueCandidate(Stranded.of(row), _refusal(row)) for row in known]

    async def requeue(
        self, found: Sequence[Stranded], *, actor: str, why: str = ""
    ) -> Sequence[Stranded]:
        """Have these published again by the scheduler; those for which it was still time.

        Args:
            actor: Named in their history.
            why: A person's reason, kept in the history.
        """
        if not found:
            return []
        async with self._database.transaction() as connection:
            return await requeue(connection, found, actor=actor, why=why)


async def requeue(
    connection: Connection, found: Sequence[Stranded], *, actor: str, why: str = ""
) -> Sequence[Stranded]:
    """Have these published again, as part of a transaction; those that stand as they were found."""
    columns = (
        [getattr(notification, name) for notification in found]
        for name in ("id", "epoch", "attempt")
    )
    states = [notification.state.value for notification in found]
    note = f" ({why})" if why else ""
    rows = await connection.fetch(REQUEUE, *columns, states, actor, note)
    if rows:
        await connection.execute(NOTIFY, DUE)
    requeued = {row["id"] for row in rows}
    return [notification for notification in found if notification.id in requeued]


def newest_first(pages: int) -> Iterator[tuple[int, int]]:
    """The first page of each range of so many pages, and the one past its last, from the end of the table down."""
    for past in range(pages, 0, -RANGE):
        yield max(0, past - RANGE), past


def _refusal(row: Mapping[str, object]) -> str | None:
    """Why a notification can't be published again by hand."""
    state = State(str(row["state"]))
    if row["due"]:
        return f"it is {state}, and the scheduler is about to publish it"
    if state is State.SENDING and row["held"]:
        return "it is being sent at this moment"
    if state in {State.QUEUED, State.RETRYING, State.SENDING}:
        return None
    if state.value in ENDED:
        return "it has a dead letter: replay that" if row["has_dead_letter"] else None
    return f"it is {state}"
