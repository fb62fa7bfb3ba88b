"""Ends a week whose time is up: reads it, moves what lives on, and drops its tables, in steps that leave others their time."""

import asyncio
from datetime import date
from time import monotonic
from typing import Final

from tidings.ledger.database import Connection
from tidings.ledger.partitions import SCANNING

MOST_MOVED: Final = 10_000
"""Notifications that may be moved out of a week's partition while its tables are locked: half a second or so."""
READ_AT_ONCE: Final = 2_000
"""Notifications of a week read in one statement: two milliseconds or so."""

WATCH: Final = "SELECT tidings_watch_partition($1)"
READ: Final = "SELECT complete, living FROM tidings_read_partition($1, $2::jsonb, $3)"
RETIRE: Final = "SELECT tidings_retire_partition($1, $2)"
DROP: Final = "SELECT tidings_drop_retired()"


class EndingWeeks:
    """Ends one week after the other. A round that is cut off leaves nothing that the next does not finish.

    Args:
        share: Part of the time that it may take.
    """

    def __init__(self, share: float) -> None:
        self._share = share

    async def end(self, connection: Connection, since: date, periods: str) -> int | None:
        """Drop the week that begins then.

        Args:
            periods: `RetentionPeriods.json`.

        Returns:
            How many of its notifications live on elsewhere; None if too many do, and it stays.
        """
        await connection.execute(WATCH, since)
        if not await self._read(connection, since, periods):
            return None
        async with connection.transaction():
            await connection.execute(
                "SET LOCAL statement_timeout = 0"
            )  # whatever our user has been given
            moved: int | None = await connection.fetchval(
                RETIRE, since, MOST_MOVED, timeout=SCANNING
            )
        if moved is not None:
            await self.drop_retired(connection)
        return moved

    async def drop_retired(self, connection: Connection) -> None:
        """Drop what was taken out, index by index: also of a round that was cut off."""
        began = monotonic()
        while await connection.fetchval(DROP, timeout=SCANNING):
            await pause(began, self._share)
            began = monotonic()

    async def _read(self, connection: Connection, since: date, periods: str) -> bool:
        """Note which notifications of the week live on; False if too many do."""
        living = 0
        while living <= MOST_MOVED:
            began = monotonic()
            row = await connection.fetchrow(READ, since, periods, READ_AT_ONCE)
            assert row is not None  # noqa: S101  # for the type checker: a function has a row
            if row["complete"]:
                return True
            living += row["living"]
            await pause(began, self._share)
        return False


async def pause(began: float, share: float) -> None:
    """Leave the others their part of the time.

    Args:
        began: When, on the monotonic clock, the statement began that has just ended.
        share: Our part.
    """
    await asyncio.sleep((monotonic() - began) * (1 / share - 1))
