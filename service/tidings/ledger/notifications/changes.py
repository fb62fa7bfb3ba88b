"""Changes that a person makes to an unfinished notification."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from tidings.delivery.errors import Refused
from tidings.delivery.states import FINISHED, State, sources
from tidings.ledger.database import Database
from tidings.ledger.notifications.counting import COUNT_ENDS

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
    RETURNING n.id, n.tenant, n.channel, n.category, n.state AS outcome, n.provider, n.failure_kind AS kind
), counted AS ({COUNT_ENDS.format(ended="cancelled")}), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, found.state, 'cancelled', $3,
           CASE WHEN perhaps_sent THEN $4::text || '; an earlier attempt may have been delivered' ELSE $4 END
      FROM found JOIN cancelled USING (id)
)
SELECT state, reached, coalesce(perhaps_sent, false) AS perhaps_sent, EXISTS (SELECT FROM cancelled) AS cancelled FROM found
"""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A cancelled notification."""

    previous_state: State
    perhaps_sent: bool
    """An earlier attempt may have been delivered: its reply was lost, or its worker."""


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
            row = await connection.fetchrow(
                CANCEL, id, list(sources(State.CANCELLED)), actor, reason
            )
        if row is None:
            raise Refused(
                f"there is no notification {id}; one that still waits in its lane becomes known "
                "when a worker reads it"
            )
        previous_state = State(row["state"])
        if not row["cancelled"]:
            raise Refused(
                f"{id} can't be cancelled: {_why_not(previous_state, reached=row['reached'])}"
            )
        return Cancelled(previous_state, row["perhaps_sent"])


def _why_not(state: State, *, reached: bool) -> str:
    if state is State.CANCELLED:
        return "it is cancelled already"
    if state in FINISHED:
        return f"it has ended as {state}"
    if reached:
        return "its recipient has received it; only copies are still retried"
    return "it is being sent at this moment; try again when the attempt has ended"
