"""What is known at the end of a run: from the producers' journal, the sink, the ledger, the queues.

It shares no code with the service: tables and queues are read as anybody can read them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was broken on purpose."""

    kind: str
    at: float
    in_flight: int
    """Notifications that had been claimed and not recorded when it happened: each may come twice."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long after a fault had healed something was delivered again."""

    after: str
    seconds: float
    limit: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known at the end."""

    journal: Sequence[tuple[str, str, str]]
    """id, kind and note of every confirmed notification."""
    taken: Counter[str]
    """By `id.epoch`, how often the sink took it."""
    first_taken: Mapping[str, float]
    ledger: Mapping[str, Mapping[str, Any]]
    """By id: state, epoch, attempt, attempts recorded, lapses noted, dead letters."""
    edges: Sequence[tuple[str | None, str, int, str]]
    """before, after, how many, and the id of one."""
    orphans: Mapping[str, int]
    """Dead letters without a notification, by reason."""
    queues: Mapping[str, int]
    faults: Sequence[Fault] = ()
    recoveries: Sequence[Recovery] = ()
    memory: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By role, bytes that a process of it took at most, and those that it may take."""


UNLIMITED: Final = {"statement_timeout": "0", "lock_timeout": "0"}
LEDGER: Final = """
SELECT n.id::text, n.state, n.epoch, n.attempt, n.duplicate_of::text,
       coalesce(a.attempts, 0) AS attempts, coalesce(a.sent, 0) AS sent, coalesce(a.marked, 0) AS marked,
       coalesce(a.asked, 0) AS asked, coalesce(t.lapses, 0) AS lapses, coalesce(d.dead_letters, 0) AS dead_letters
  FROM notifications n
  LEFT JOIN (SELECT notification_id, count(*) AS attempts, count(*) FILTER (WHERE state = 'sent') AS sent,
                    count(*) FILTER (WHERE possible_duplicate) AS marked,
                    count(*) FILTER (WHERE state = 'sent' OR kind = 'outcome_unknown') AS asked
               FROM attempts GROUP BY 1) a ON a.notification_id = n.id
  LEFT JOIN (SELECT notification_id, count(*) AS lapses FROM transitions
              WHERE before = after GROUP BY 1) t ON t.notification_id = n.id
  LEFT JOIN (SELECT notification_id, count(*) AS dead_letters FROM dead_letters
              WHERE state <> 'superseded' GROUP BY 1) d ON d.notification_id = n.id
"""
EDGES: Final = """
SELECT before, after, count(*) AS count, min(notification_id::text) AS example
  FROM history GROUP BY before, after
"""
ORPHANS: Final = """
SELECT reason, count(*) AS count FROM dead_letters d
 WHERE notification_id IS NULL OR NOT EXISTS (SELECT FROM notifications n WHERE n.id = d.notification_id)
 GROUP BY reason
"""

INBOX: Final = """
SELECT m.id || '.' || n.epoch AS key, extract(epoch FROM m.created_at)::float8 AS at
  FROM inbox_messages m LEFT JOIN notifications n ON n.id = m.id
"""
"""For notifications in an inbox that is the sink."""


async def looking(database_url: str) -> asyncpg.Connection:
    """A connection that a scenario's own limits of the database don't cut off: to look, not to work."""
    return await asyncpg.connect(database_url, timeout=10, server_settings=UNLIMITED)


async def gather(
    journal: Path,
    sink_log: Path,
    database_url: str,
    queues: Mapping[str, int],
    faults: Sequence[Fault],
    recoveries: Sequence[Recovery],
    memory: Mapping[str, tuple[int, int]],
) -> Evidence:
    """Read everything there is to know."""
    taken: Counter[str] = Counter()
    first: dict[str, float] = {}
    for line in _lines(sink_log):
        at, key = line.split()
        taken[key] += 1
        first.setdefault(key, float(at))
    connection = await looking(database_url)
    try:
        for row in await connection.fetch(INBOX):
            taken[row["key"]] += 1
            first[row["key"]] = row["at"]
        ledger = {row["id"]: row for row in await connection.fetch(LEDGER)}
        edges = [tuple(row) for row in await connection.fetch(EDGES)]
        orphans = {row["reason"]: row["count"] for row in await connection.fetch(ORPHANS)}
    finally:
        await connection.close()
    return Evidence(
        [_journaled(line) for line in _lines(journal)],
        taken,
        first,
        ledger,
        edges,
        orphans,
        queues,
        faults,
        recoveries,
        memory,
    )


def _journaled(line: str) -> tuple[str, str, str]:
    id, kind, note = line.split("\t")
    return id, kind, note


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()
