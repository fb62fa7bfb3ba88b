"""Registry of processes: each sends heartbeats, and reports its end."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tidings.ledger.database import Database

FRESH: Final = 35.0
"""Seconds after its last heartbeat for which a process counts as running; heartbeats come every ten."""
FORGOTTEN: Final = 86_400.0
"""Seconds after which the row of a process that is gone may be used again: rows are never deleted."""

AGAIN: Final = """
UPDATE processes SET seen_at = now() WHERE actor = $1 RETURNING actor
"""

_ROW: Final = "actor, roles, host, pid, version, channels, templates, retention"

FIRST: Final = f"""
WITH reused AS (
    UPDATE processes
       SET ({_ROW}, since, seen_at, ended_at) = ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, now(), now(), NULL)
     WHERE actor = (SELECT actor FROM processes WHERE seen_at < now() - $9::float8 * interval '1 second'
                     ORDER BY seen_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING actor)
INSERT INTO processes ({_ROW})
SELECT $1, $2, $3, $4, $5, $6, $7, $8::jsonb WHERE NOT EXISTS (SELECT FROM reused)
"""

END: Final = "UPDATE processes SET ended_at = now(), seen_at = now() WHERE actor = $1"

KNOWN: Final = f"""
SELECT {_ROW}, since, seen_at,
       seen_at > now() - $1::float8 * interval '1 second' AS running
  FROM processes
 WHERE ended_at IS NULL AND seen_at > now() - $2::float8 * interval '1 second'
 ORDER BY roles, host, since
"""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, as it describes itself."""

    actor: str
    """Unlike any other's: the name it has in leases, history and circuits."""
    roles: Sequence[str]
    host: str
    pid: int
    version: str
    channels: Sequence[str]
    """Those that its worker serves."""
    templates: str
    """What the templates come to that it read; empty where it reads none."""
    retention: Mapping[str, float] | None
    """Of a scheduler: for how many seconds it keeps what has ended, by state, `*` for the others; 0: for ever."""


@dataclass(frozen=True, slots=True)
class KnownProcess(Process):
    """A process that has not reported its end."""

    since: datetime
    seen_at: datetime
    """Its last heartbeat."""
    running: bool
    """Whether that is recent. If not, it was killed, hangs, or can't reach PostgreSQL."""


class Processes:
    """Which processes there are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def say(self, process: Process) -> None:
        """Store a heartbeat.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            if await connection.fetchval(AGAIN, process.actor) is None:
                await connection.execute(
                    FIRST,
                    process.actor,
                    process.roles,
                    process.host,
                    process.pid,
                    process.version,
                    process.channels,
                    process.templates,
                    None if process.retention is None else json.dumps(process.retention),
                    FORGOTTEN,
                )

    async def end(self, actor: str) -> None:
        """Record that a process ends. Raises like `say`."""
        async with self._database.connection() as connection:
            await connection.execute(END, actor)

    async def known(self) -> Sequence[KnownProcess]:
        """Processes that run, and those that vanished within the last day. Raises like `say`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(KNOWN, FRESH, FORGOTTEN)
        return [
            KnownProcess(**{**row, "retention": json.loads(row["retention"] or "null")})
            for row in rows
        ]
