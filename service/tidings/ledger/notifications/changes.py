"""Changes that a person makes to an unfinished notification."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.errors import InvalidRequest, NotFound, Refused
from tidings.delivery.states import FINISHED, State, sources
from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.conflicts import RESCHEDULED
from tidings.ledger.notifications.counting import COUNT_ENDS
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings_events import InvalidNotification, parse

CANCEL: Final = f"""
WITH found AS (
    SELECT id, epoch, state, perhaps_sent OR lapses > 0 OR failure_kind = 'outcome_unknown' AS perhaps_sent,
           EXISTS (SELECT FROM recipient_results r
                    WHERE r.notification_id = n.id AND r.epoch = n.epoch AND r.address = n.recipient AND r.state = 'sent') AS reached
      FROM notifications n WHERE id = $1 FOR UPDATE
), cancelled AS (
    UPDATE notifications n
       SET state = 'cancelled', perhaps_sent = coalesce(found.perhaps_sent, false), reason = 'cancelled', dispatch_at = NULL, finished_at = now(), updated_at = now()
      FROM found
     WHERE n.id = found.id AND found.state = ANY($2::text[]) AND NOT found.reached
    RETURNING n.id, n.tenant, n.test, n.channel, n.category, n.state AS outcome, n.provider, n.failure_kind AS kind
), counted AS ({COUNT_ENDS.format(ended="cancelled")}), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, found.state, 'cancelled', $3,
           CASE WHEN perhaps_sent THEN $4::text || '; an earlier attempt may have been delivered' ELSE $4 END
      FROM found JOIN cancelled USING (id)
)
SELECT state, reached, coalesce(perhaps_sent, false) AS perhaps_sent, EXISTS (SELECT FROM cancelled) AS cancelled FROM found
"""

TO_RESCHEDULE: Final = """
SELECT state, tenant, channel, priority, accepted_at, coalesce(scheduled_at, dispatch_at) AS due, updated_at, body
  FROM notifications WHERE id = $1 FOR UPDATE
"""

RESCHEDULE: Final = f"""
WITH rescheduled AS (
    UPDATE notifications SET scheduled_at = $2, dispatch_at = $2, expires_at = $3, body = $4, updated_at = clock_timestamp()
     WHERE id = $1
    RETURNING id, epoch, updated_at
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, 'scheduled', 'scheduled', $5, '{RESCHEDULED}' || $6::text FROM rescheduled
)
SELECT updated_at FROM rescheduled
"""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A cancelled notification."""

    previous_state: State
    perhaps_sent: bool
    """An earlier attempt may have been delivered: its reply was lost, or its worker."""


@dataclass(frozen=True, slots=True)
class Rescheduled:
    """A notification with another due time."""

    previously: datetime
    """Its due time before."""
    expires_at: datetime | None
    updated_at: datetime


class ChangedSince(Refused):
    """It was changed after the caller had read it."""


class Changes:
    """Changes of state that people make, each by compare-and-set and with its reason kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cancel(self, id: UUID, *, actor: str, reason: str) -> Cancelled:
        """Cancel a notification that is not known to be sent; its previous state.

        A message of it that is still in a queue is recognised when it is claimed, and forgotten.

        Raises:
            Refused: It is not known, is being sent, or has ended; says which.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.transaction() as connection:
            done = await cancel(connection, id, actor=actor, reason=reason)
        match done:
            case None:
                raise Refused(
                    f"there is no notification {id}; one that still waits in its lane becomes known "
                    "when a worker reads it"
                )
            case str():
                raise Refused(f"{id} can't be cancelled: {done}")
            case _:
                return done

    async def reschedule(
        self,
        id: UUID,
        at: datetime,
        *,
        write: Callable[[bytes], bytes],
        expires_at: Callable[[Attempt], datetime | None],
        actor: str,
        note: str = "",
        tenant: str | None = None,
        unless_changed_since: datetime | None = None,
    ) -> Rescheduled:
        """Give a notification that is not yet dispatched another due time.

        Its scheduler takes the same row, under a lock: it is sent at the old time or at the new one.

        Args:
            at: The new due time.
            write: Puts it into the body.
            expires_at: The expiry of a notification.
            note: Kept in the history.
            tenant: Only if it is this tenant's.
            unless_changed_since: Its `updated_at` as the caller has read it.

        Raises:
            InvalidRequest: It would expire before.
            ChangedSince: It was changed since it was read.
            NotFound: It is not known.
            Refused: It has been dispatched; says its state.
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(TO_RESCHEDULE, id)
            if row is None or tenant not in {None, row["tenant"]}:
                raise NotFound(f"there is no notification {id}")
            if (state := State(row["state"])) is not State.SCHEDULED:
                raise Refused(f"{id} can't be rescheduled: {_why_not_later(state)}")
            if unless_changed_since not in {None, row["updated_at"]}:
                raise ChangedSince(
                    f"{id} was changed at {row['updated_at']:%H:%M:%S%z}; read it again"
                )
            body = write(bytes(row["body"]))
            try:
                notification = parse(body)
            except InvalidNotification as invalid:
                problems = "; ".join(invalid.problems)
                raise InvalidRequest(
                    f"does not suit it: {problems}", field="scheduled_at"
                ) from None
            lane = Lane(row["channel"], row["priority"])
            expiry = expires_at(Attempt(notification, body, lane, 0, 1, row["accepted_at"]))
            moved = f" from {_exact(row['due'])} to {_exact(at)}"
            reason = f"{moved}: {note}" if note else moved
            updated_at = await connection.fetchval(RESCHEDULE, id, at, expiry, body, actor, reason)
            await connection.execute(NOTIFY, DUE)
        return Rescheduled(row["due"], expiry, updated_at)


def _exact(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC}"


async def cancel(
    connection: Connection, id: UUID, *, actor: str, reason: str
) -> Cancelled | str | None:
    """The same within a transaction; why it can't be cancelled, or None if it is not known."""
    row = await connection.fetchrow(CANCEL, id, list(sources(State.CANCELLED)), actor, reason)
    if row is None:
        return None
    previous_state = State(row["state"])
    if not row["cancelled"]:
        return _why_not(previous_state, reached=row["reached"])
    return Cancelled(previous_state, row["perhaps_sent"])


def _why_not(state: State, *, reached: bool) -> str:
    if state is State.CANCELLED:
        return "it is cancelled already"
    if state in FINISHED:
        return f"it has ended as {state}"
    if reached:
        return "its recipient has received it; only copies are still retried"
    return "it is being sent at this moment; try again when the attempt has ended"


def _why_not_later(state: State) -> str:
    if state in FINISHED:
        return f"it has ended as {state}"
    return f"it is {state}, so it has been dispatched already"
