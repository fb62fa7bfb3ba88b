"""What a person changes about a notification that is still on its way."""

from typing import Final
from uuid import UUID

from tidings.delivery.errors import Refused
from tidings.delivery.states import FINISHED, State, sources
from tidings.ledger.database import Database

CANCEL: Final = """
WITH found AS (
    SELECT id, epoch, state, finished_at FROM notifications WHERE id = $1 FOR UPDATE
), cancelled AS (
    UPDATE notifications n
       SET state = 'cancelled', reason = 'cancelled', dispatch_at = NULL, finished_at = now(), updated_at = now()
      FROM found
     WHERE n.id = found.id AND found.state = ANY($2::text[])
    RETURNING n.id
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, found.state, 'cancelled', $3, $4 FROM found JOIN cancelled USING (id)
)
SELECT state, EXISTS (SELECT FROM cancelled) AS cancelled FROM found
"""


class Changes:
    """Changes of state that people make, each by compare-and-set and with its reason kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def cancel(self, id: UUID, *, actor: str, reason: str) -> State:
        """Call a notification off that has not been sent; the state it was in.

        A message of it that is still in a queue is recognised when it is claimed, and forgotten.

        Raises:
            Refused: It is not known, is being sent, or has ended; says which.
            LedgerUnavailable: PostgreSQL is away.
        """
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(
                CANCEL, id, list(sources(State.CANCELLED)), actor, reason
            )
        if row is None:
            raise Refused(
                f"there is no notification {id}; one that is still waiting in its lane is known "
                "once a worker has read it"
            )
        was = State(row["state"])
        if not row["cancelled"]:
            raise Refused(f"{id} can't be cancelled: {_why_not(was)}")
        return was


def _why_not(state: State) -> str:
    if state is State.CANCELLED:
        return "it is cancelled already"
    if state in FINISHED:
        return f"it has ended as {state}"
    return "it is being sent at this moment; try again when the attempt has ended"
