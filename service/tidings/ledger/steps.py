"""Reads a large table newest first, in steps that fit a statement's timeout."""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from tidings.ledger.database import Connection

STEP: Final = 50_000
"""Notifications read by one statement: 50 ms if they are in memory."""
SCATTERED: Final = STEP // 25
"""The same if they are scattered over the table: hardly two of them on one page."""
PATIENCE: Final = 0.5
"""Seconds after which a command starts no further step, and reports how far it got."""


async def steps(
    connection: Connection,
    since: datetime | None,
    until: datetime | None,
    among: str | None = None,
    *values: object,
    size: int | None = None,
) -> AsyncIterator[tuple[datetime | None, datetime | None]]:
    """The accepted-at range of each step, newest first.

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
    """Tells when a search has used up its time.

    Args:
        patience: Seconds; None for no limit.
    """

    def __init__(self, patience: float | None) -> None:
        self._until = None if patience is None else time.monotonic() + patience

    @property
    def over(self) -> bool:
        """Whether the time is used up."""
        return self._until is not None and time.monotonic() > self._until


NO_LIMIT: Final = TimeLimit(None)
"""No time limit."""
