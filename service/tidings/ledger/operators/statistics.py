"""Statistics of the notifications accepted in a period: volume, success, latency."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from tidings.delivery.outcome import UNTRIED
from tidings.delivery.states import State
from tidings.ledger.database import Connection

SUCCEEDED: Final = (State.SENT, State.DELIVERED)
WITHDRAWN: Final = (State.CANCELLED, State.SUPPRESSED)
"""Ended on purpose: neither a success nor a failure."""

MOST: Final = 100_000
"""Notifications that are counted unless more are asked for: a quarter of a second's work where they are in memory, and
enough for every share and percentile."""
LONGEST: Final = 600.0
"""Seconds that counting all of them may take."""

_WINDOW: Final = (
    "accepted_at >= $1 AND ($2::timestamptz IS NULL OR accepted_at < $2)"
    " AND ($3::text IS NULL OR tenant = $3)"
)

OLDEST: Final = f"""
SELECT accepted_at FROM notifications WHERE {_WINDOW}
 ORDER BY accepted_at DESC OFFSET $4 LIMIT 1
"""
"""Read from the index alone, as a rule."""

STATES: Final = f"""
SELECT channel, state, count(*) AS count
  FROM notifications WHERE {_WINDOW}
 GROUP BY channel, state
"""

_ATTEMPTS: Final = (
    f"(attempt - (finished_at IS NOT NULL AND coalesce(failure_kind, '') = '{UNTRIED}')::int)"
)
"""Attempts in which a provider was called, in the present epoch."""

RATES: Final = f"""
SELECT channel,
       count(*) AS accepted,
       count(*) FILTER (WHERE state = ANY($4::text[])) AS succeeded,
       count(*) FILTER (WHERE finished_at IS NOT NULL AND state <> ALL($5::text[])) AS finished,
       count(*) FILTER (WHERE {_ATTEMPTS} > 0) AS attempted,
       count(*) FILTER (WHERE {_ATTEMPTS} > 1 OR state = 'retrying') AS retried,
       (avg({_ATTEMPTS}) FILTER (WHERE {_ATTEMPTS} > 0))::float8 AS attempts,
       percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
           ORDER BY extract(epoch FROM finished_at - greatest(accepted_at, scheduled_at))::float8
       ) FILTER (WHERE state = ANY($4::text[]) AND epoch = 0) AS seconds
  FROM notifications WHERE {_WINDOW}
 GROUP BY GROUPING SETS ((channel), ())
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """Results of a group of notifications. A rate is None if there is nothing to divide by."""

    accepted: int
    succeeded: int
    finished: int
    """Ended, but not cancelled or suppressed."""
    attempted: int
    retried: int
    attempts: float | None
    """Average per notification that was tried, in its present epoch."""
    p50: float | None
    """Seconds from accepted, or due, to sent: half are faster. What was replayed is left out, for it waited for a person."""
    p99: float | None
    """99 of 100 are faster."""

    @property
    def success_rate(self) -> float | None:
        """Share that succeeded of those that ended."""
        return self.succeeded / self.finished if self.finished else None

    @property
    def retry_rate(self) -> float | None:
        """Share of those tried that needed more than one attempt."""
        return self.retried / self.attempted if self.attempted else None


NOTHING: Final = Rates(0, 0, 0, 0, 0, None, None, None)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Numbers about everything accepted from `since` until `until`."""

    since: datetime
    until: datetime | None
    complete: bool
    """False where `since` is later than was asked for: only the newest `MOST` are counted."""
    states: Mapping[str, Mapping[State, int]]
    """How many are in each state, by channel."""
    channels: Mapping[str, Rates]
    total: Rates


async def statistics(
    connection: Connection,
    since: datetime,
    until: datetime | None,
    *,
    tenant: str | None = None,
    full_scan: bool = False,
) -> Statistics:
    """Read the numbers, all of them at one moment.

    Args:
        full_scan: Count them all, however many and however long it takes.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        later = None if full_scan else await connection.fetchval(OLDEST, since, until, tenant, MOST)
        since, complete = max(since, later or since), later is None
        states = await connection.fetch(STATES, since, until, tenant, timeout=LONGEST)
        rates = await connection.fetch(
            RATES, since, until, tenant, list(SUCCEEDED), list(WITHDRAWN), timeout=LONGEST
        )
    counts: dict[str, dict[State, int]] = defaultdict(dict)
    for row in states:
        counts[row["channel"]][State(row["state"])] = row["count"]
    by_channel = {row["channel"]: _rates(dict(row)) for row in rates}
    total = by_channel.pop(None, NOTHING)
    return Statistics(
        since,
        until,
        complete,
        MappingProxyType({name: MappingProxyType(counts[name]) for name in sorted(counts)}),
        MappingProxyType({name: by_channel[name] for name in sorted(by_channel)}),
        total,
    )


def _rates(row: dict[str, Any]) -> Rates:
    del row["channel"]
    p50, p99 = row.pop("seconds") or (None, None)
    return Rates(**row, p50=p50, p99=p99)
