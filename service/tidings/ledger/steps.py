"""Goes through a large table newest first, in steps that one statement can read in time."""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from tidings.ledger.database import Connection

STEP: Final = 50_000
"""Notifications that one statement looks through: a twentieth of a second where they are in memory."""
SCATTERED: Final = STEP // 25
"""The same where they lie scattered over the table: hardly two of them on the same page."""
PATIENCE: Final = 0.5
"""Seconds after which a command begins no further step, and says how far it came."""


async def steps(
    connection: Connection,
    since: datetime | None,
    until: datetime | None,
    among: str | None = None,
    *values: object,
    size: int | None = None,
) -> AsyncIterator[tuple[datetime | None, datetime | None]]:
    """Since and until when the notifications of each step were accepted, newest first.

    Args:
        since: Accepted at this time or later.
        until: Accepted before.
        among: A condition, with parameters from $4 on; an index that has it and the time is gone through instead
            of the whole, in shorter steps.
        values: Its parameters.
        size: Notifications in a step.
    """
    most = size or (STEP if among is None else SCATTERED)
    statement = f"""
    SELECT accepted_at FROM notifications
     WHERE {among or "true"} AND accepted_at < coalesce($1::timestamptz, 'infinity') AND accepted_at >= coalesce($2::timestamptz, '-infinity')
     ORDER BY accepted_at DESC OFFSET $3 LIMIT 1
    """
    while True:
        from_ = await connection.fetchval(statement, until, since, most, *values)
        yield from_ or since, until
        if from_ is None:
            return
        until = from_


class TimeLimit:
    """Tells when a look has taken long enough.

    Args:
        patience: Seconds; without end where None.
    """

    def __init__(self, patience: float | None) -> None:
        self._until = None if patience is None else time.monotonic() + patience

    @property
    def over(self) -> bool:
        """Whether no further step is to be begun."""
        return self._until is not None and time.monotonic() > self._until


NO_LIMIT: Final = TimeLimit(None)
"""Never over."""
