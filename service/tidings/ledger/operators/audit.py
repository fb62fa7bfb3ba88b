"""Checks that the ledger is consistent: every notification in one state, with the history that leads to it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tidings.delivery.states import FINISHED, State, may_become
from tidings.ledger.database import Connection, Database
from tidings.ledger.steps import TimeLimit, steps

EXAMPLES: Final = 5
"""Ids reported with each violated rule."""
CHUNK: Final = 10_000
"""Ids looked up in one statement."""

UNARCHIVED_RULE: Final = "failed, expired or unknown, but its dead letter is missing"

STEP: Final = 20_000
"""Notifications read by one statement: a sixth of a second if they are in memory."""

LOOK: Final = """
SELECT state, count(*) AS count, array_agg(id) FILTER (WHERE NOT plain) AS odd
  FROM (SELECT n.id, n.state,
               n.state = 'sent' AND n.finished_at IS NOT NULL AND n.reason IS NULL
               AND n.lease_holder IS NULL AND n.lease_until IS NULL
               AND NOT EXISTS (SELECT FROM transitions t WHERE t.notification_id = n.id OFFSET 0)
               AND coalesce((SELECT bool_and(a.state IN ('sent', 'retrying'))
                                AND count(*) FILTER (WHERE a.state = 'sent') = 1
                                AND bool_or(a.state = 'sent' AND a.epoch = n.epoch)
                               FROM attempts a WHERE a.notification_id = n.id OFFSET 0), false) AS plain
          FROM notifications n
         WHERE n.accepted_at >= coalesce($1::timestamptz, '-infinity') AND n.accepted_at < coalesce($2::timestamptz, 'infinity')) AS seen
 GROUP BY state
"""
"""Nearly all were simply sent: one attempt of the present epoch is `sent`, earlier ones were retried, and nothing else
happened. None of those violates a rule; the others are checked rule by rule."""

_IN: Final = "n.id = ANY($1::uuid[])"
_ATTEMPT: Final = "SELECT FROM attempts a WHERE a.notification_id = n.id AND a.epoch = n.epoch AND"
_CHANGE: Final = (
    "SELECT FROM transitions t WHERE t.notification_id = n.id AND t.epoch = n.epoch AND"
)

# `OFFSET 0` below keeps PostgreSQL from reading all attempts to join them with a few notifications.
RULES: Final = MappingProxyType(
    {
        "ended without an end time, or has an end time without having ended": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND (state = ANY($2::text[])) <> (finished_at IS NOT NULL)""",
        "sent, but no attempt of its epoch was sent": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'sent' AND NOT EXISTS ({_ATTEMPT} a.state = 'sent' OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = 'sent' OFFSET 0)""",
        "ended by more than one attempt of the same epoch": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND EXISTS (SELECT FROM attempts a WHERE a.notification_id = n.id AND a.state = ANY($2::text[])
                                      GROUP BY a.epoch HAVING count(*) > 1)""",
        "failed, expired or unknown, but no attempt or dead letter led to that state": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('failed', 'expired', 'unknown')
               AND NOT EXISTS ({_ATTEMPT} a.state = n.state OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = n.state OFFSET 0)""",
        "cancelled, suppressed or discarded, but its history names no actor": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('cancelled', 'suppressed', 'discarded')
               AND NOT EXISTS ({_ATTEMPT} a.state = n.state OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = n.state OFFSET 0)""",
        "sending without a lease, or holds a lease without sending": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND (state = 'sending') <> (lease_holder IS NOT NULL AND lease_until IS NOT NULL)""",
        "retrying, but no attempt of its epoch failed": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'retrying'
               AND NOT EXISTS ({_ATTEMPT} a.state = 'retrying' OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = 'retrying' OFFSET 0)""",
        "scheduled without a time to publish it": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'scheduled' AND dispatch_at IS NULL""",
        "due for more than a minute, but not published (is a scheduler running?)": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('scheduled', 'queued') AND dispatch_at < now() - interval '1 minute'""",
    }
)
"""Each violation, and the query that finds the notifications with it. The first parameter is the ids to check, the
second the states in which a notification has ended."""

MOVES: Final = f"""
SELECT h.before, h.after, count(*) AS count, (array_agg(n.id))[1:5] AS ids
  FROM notifications n,
       LATERAL (SELECT before, after FROM history WHERE notification_id = n.id AND before <> after OFFSET 0) AS h
 WHERE {_IN}
 GROUP BY h.before, h.after
"""

UNDER_WAY: Final = f"""
SELECT channel, count(*) AS under_way,
       count(*) FILTER (WHERE state = 'sending' AND lease_until < now()) AS lapsed
  FROM notifications n
 WHERE {_IN} AND (state IN ('sending', 'retrying') OR state = 'queued' AND dispatch_at IS NULL)
   AND updated_at < now() - $2 * interval '1 second'
 GROUP BY channel
"""
UNARCHIVED: Final = f"""
SELECT id FROM notifications n
 WHERE {_IN} AND reason IS NOT NULL AND (state IN ('failed', 'expired', 'unknown') OR state = 'sent' AND reason = 'copies_refused')
   AND updated_at < now() - $2 * interval '1 second'
   AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.notification_id = n.id OFFSET 0)
"""
NAMELESS: Final = """
SELECT count(*) FROM dead_letters
 WHERE notification_id IS NULL AND state <> 'superseded' AND dead_lettered_at >= coalesce($1::timestamptz, '-infinity')
"""
KNOWN: Final = """
SELECT id, state FROM notifications WHERE id = ANY($1::uuid[])
 UNION
SELECT notification_id, NULL FROM dead_letters d
 WHERE notification_id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM notifications n WHERE n.id = d.notification_id)
"""


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that some notifications violate."""

    rule: str
    count: int
    """Notifications."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedMessages:
    """Notifications of a channel that need a message in one of its queues: nothing else continues them."""

    under_way: int
    lapsed: int
    """Of these, those whose lease has expired."""


@dataclass(frozen=True, slots=True)
class LedgerFindings:
    """What the ledger's audit found, at one moment."""

    states: Mapping[State, int]
    violations: tuple[Violation, ...]
    waiting: Mapping[str, ExpectedMessages]
    """By channel."""
    unarchived: Violation | None
    """Notifications whose dead letters are not archived: they must still be in the dead-letter queue."""
    without_id: int
    """Dead letters from whose bodies no id can be read: they may belong to any notification."""
    searched_since: datetime | None = None
    """Notifications accepted earlier were not checked; None if all were."""


@dataclass(frozen=True, slots=True)
class JournalFindings:
    """What the ledger knows of the ids in a producer's journal."""

    states: Mapping[State, int]
    dead_letters: int
    """Ids that exist only as a dead letter: no worker ever read them."""
    unknown: tuple[UUID, ...]
    """Ids that are not in the ledger: they must still be in a lane."""


class LedgerAudit:
    """Checks the ledger; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def examine(
        self,
        since: datetime | None,
        settled: float,
        *,
        patience: float | None = None,
        progress: Callable[[int, datetime | None], None] = lambda *_: None,
    ) -> LedgerFindings:
        """Check every notification accepted since then against the rules, newest first, in one snapshot.

        Args:
            since: None for all.
            settled: Seconds without a change after which a notification's message, or its dead letter, counts as
                missing.
            patience: Seconds, about, after which to stop; None for no limit.
            progress: Called after each step with the number checked, and the time since which all are checked.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        clock, found, reached = TimeLimit(patience), _Found(), None
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            async for from_, until in steps(connection, since, None, size=STEP):
                await found.look(connection, from_, until, settled)
                progress(found.seen, from_)
                if from_ != since and clock.over:
                    reached = from_
                    break
            without_id = await connection.fetchval(NAMELESS, since)
        return found.result(without_id, reached)

    async def journaled(self, ids: Sequence[UUID]) -> JournalFindings:
        """Look up the ids of a journal. Raises like `examine`."""
        states: Counter[State] = Counter()
        dead_letters, unknown = 0, list[UUID]()
        async with self._database.connection() as connection:
            for start in range(0, len(ids), CHUNK):
                chunk = ids[start : start + CHUNK]
                rows = await connection.fetch(KNOWN, chunk)
                known = {row["id"]: row["state"] for row in rows}
                states.update(State(state) for state in known.values() if state is not None)
                dead_letters += sum(state is None for state in known.values())
                unknown += [id for id in chunk if id not in known]
        return JournalFindings(dict(states), dead_letters, tuple(unknown))


class _Found:
    """Findings so far."""

    def __init__(self) -> None:
        self._states: Counter[State] = Counter()
        self._broken: dict[str, Violation] = {}
        self._under_way: Counter[str] = Counter()
        self._lapsed: Counter[str] = Counter()

    async def look(
        self, connection: Connection, since: datetime | None, until: datetime | None, settled: float
    ) -> None:
        """Check the notifications accepted in between."""
        odd: list[UUID] = []
        for row in await connection.fetch(LOOK, since, until):
            self._states[State(row["state"])] += row["count"]
            odd += row["odd"] or ()
        if odd:
            await self._check_rules(connection, odd, settled)

    async def _check_rules(
        self, connection: Connection, odd: Sequence[UUID], settled: float
    ) -> None:
        for rule, query in RULES.items():
            further = [sorted(FINISHED)] if "$2" in query else []
            rows = await connection.fetch(query, odd, *further)
            self._add(rule, len(rows), [row["id"] for row in rows[:EXAMPLES]])
        for row in await connection.fetch(MOVES, odd):
            if not may_become(State(row["before"]), State(row["after"])):
                move = f"went from {row['before']} to {row['after']}, which the state table does not allow"
                self._add(move, row["count"], row["ids"])
        for row in await connection.fetch(UNDER_WAY, odd, settled):
            self._under_way[row["channel"]] += row["under_way"]
            self._lapsed[row["channel"]] += row["lapsed"]
        rows = await connection.fetch(UNARCHIVED, odd, settled)
        self._add(UNARCHIVED_RULE, len(rows), [row["id"] for row in rows[:EXAMPLES]])

    def _add(self, rule: str, count: int, ids: Sequence[UUID]) -> None:
        if count:
            before = self._broken.get(rule, Violation(rule, 0))
            examples = (*before.examples, *map(str, ids))[:EXAMPLES]
            self._broken[rule] = Violation(rule, before.count + count, examples)

    @property
    def seen(self) -> int:
        """Notifications checked."""
        return self._states.total()

    def result(self, without_id: int, reached: datetime | None) -> LedgerFindings:
        unarchived = self._broken.pop(UNARCHIVED_RULE, None)
        waiting = {
            name: ExpectedMessages(n, self._lapsed[name]) for name, n in self._under_way.items()
        }
        violations = tuple(self._broken.values())
        return LedgerFindings(
            dict(self._states), violations, waiting, unarchived, without_id, reached
        )
