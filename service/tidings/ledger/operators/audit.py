"""Whether the ledger is sound: every notification in one state, with the history that leads to it."""

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
"""Ids that are named with each rule that is broken."""
CHUNK: Final = 10_000
"""Ids looked up in one statement."""

NOWHERE: Final = "ended badly, and its dead letter is nowhere"

STEP: Final = 20_000
"""Notifications that one statement looks through: a sixth of a second where they are in memory."""

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
"""Nearly all were simply sent: one attempt of the present epoch says so, others before it were tried again, and
nothing else happened. None of those breaks a rule; the others are looked at rule by rule."""

_IN: Final = "n.id = ANY($1::uuid[])"
_ATTEMPT: Final = "SELECT FROM attempts a WHERE a.notification_id = n.id AND a.epoch = n.epoch AND"
_CHANGE: Final = (
    "SELECT FROM transitions t WHERE t.notification_id = n.id AND t.epoch = n.epoch AND"
)

# `OFFSET 0` below keeps PostgreSQL from reading all attempts there are, in order to join them with a few notifications.
RULES: Final = MappingProxyType(
    {
        "ended, without a time at which it ended, or the other way round": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND (state = ANY($2::text[])) <> (finished_at IS NOT NULL)""",
        "sent, and no attempt of its epoch says so": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'sent' AND NOT EXISTS ({_ATTEMPT} a.state = 'sent' OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = 'sent' OFFSET 0)""",
        "more than one attempt of an epoch ended it": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND EXISTS (SELECT FROM attempts a WHERE a.notification_id = n.id AND a.state = ANY($2::text[])
                                      GROUP BY a.epoch HAVING count(*) > 1)""",
        "failed, expired or unknown, and neither an attempt nor a dead letter made it so": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('failed', 'expired', 'unknown')
               AND NOT EXISTS ({_ATTEMPT} a.state = n.state OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = n.state OFFSET 0)""",
        "cancelled, suppressed or discarded, and nobody is named who did it": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('cancelled', 'suppressed', 'discarded')
               AND NOT EXISTS ({_ATTEMPT} a.state = n.state OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = n.state OFFSET 0)""",
        "being sent without a lease, or holding one without being sent": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND (state = 'sending') <> (lease_holder IS NOT NULL AND lease_until IS NOT NULL)""",
        "waiting for another try, and no attempt says that one failed": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'retrying'
               AND NOT EXISTS ({_ATTEMPT} a.state = 'retrying' OFFSET 0)
               AND NOT EXISTS ({_CHANGE} t.after = 'retrying' OFFSET 0)""",
        "scheduled, and no time at which to publish it": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'scheduled' AND dispatch_at IS NULL""",
        "due for more than a minute, and not published: does a scheduler run?": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('scheduled', 'queued') AND dispatch_at < now() - interval '1 minute'""",
    }
)
"""What must be true of no notification, and how those are found of which it is. The first parameter is the ids that
are looked at, the second the states in which a notification has ended."""

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
    """A rule that does not hold."""

    rule: str
    count: int
    """Of how many notifications."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExpectedMessages:
    """What must have a message in some queue of its channel, for nothing else will go on with it."""

    under_way: int
    lapsed: int
    """Of those, under a lease that has run out."""


@dataclass(frozen=True, slots=True)
class LedgerFindings:
    """The ledger at one moment."""

    states: Mapping[State, int]
    violations: tuple[Violation, ...]
    waiting: Mapping[str, ExpectedMessages]
    """By channel."""
    unarchived: Violation | None
    """Ended badly, and their dead letters are not archived: they must be on their way."""
    without_id: int
    """Dead letters out of whose bodies no id can be read: they may be anybody's."""
    searched_since: datetime | None = None
    """What was accepted before was not looked at; None where all that was asked for was."""


@dataclass(frozen=True, slots=True)
class JournalFindings:
    """What became of the notifications that a producer says were confirmed."""

    states: Mapping[State, int]
    dead_letters: int
    """Those that are a dead letter and nothing else: no worker ever read them."""
    unknown: tuple[UUID, ...]
    """Those of which the ledger has never heard: they must still be in a lane."""


class LedgerAudit:
    """Examines the ledger; changes nothing."""

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
        """Hold every notification accepted since then against the rules, newest first, all at one moment.

        Args:
            since: All there are where None.
            settled: Seconds for which a notification must not have changed before its message, or
                its dead letter, is missed.
            patience: Seconds, about, for which to look; until the end where None.
            progress: Told after each step how many were looked at, and since when all of them were.

        Raises:
            LedgerUnavailable: PostgreSQL is away.
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
        return found.examine(without_id, reached)

    async def journaled(self, ids: Sequence[UUID]) -> JournalFindings:
        """Look every one of these up. Raises like `findings`."""
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
    """What was found so far."""

    def __init__(self) -> None:
        self._states: Counter[State] = Counter()
        self._broken: dict[str, Violation] = {}
        self._under_way: Counter[str] = Counter()
        self._lapsed: Counter[str] = Counter()

    async def look(
        self, connection: Connection, since: datetime | None, until: datetime | None, settled: float
    ) -> None:
        """Hold those accepted in between against the rules."""
        odd: list[UUID] = []
        for row in await connection.fetch(LOOK, since, until):
            self._states[State(row["state"])] += row["count"]
            odd += row["odd"] or ()
        if odd:
            await self._hold_against_rules(connection, odd, settled)

    async def _hold_against_rules(
        self, connection: Connection, odd: Sequence[UUID], settled: float
    ) -> None:
        for rule, query in RULES.items():
            further = [sorted(FINISHED)] if "$2" in query else []
            rows = await connection.fetch(query, odd, *further)
            self._add(rule, len(rows), [row["id"] for row in rows[:EXAMPLES]])
        for row in await connection.fetch(MOVES, odd):
            if not may_become(State(row["before"]), State(row["after"])):
                move = f"went from {row['before']} to {row['after']}, which is no move there is"
                self._add(move, row["count"], row["ids"])
        for row in await connection.fetch(UNDER_WAY, odd, settled):
            self._under_way[row["channel"]] += row["under_way"]
            self._lapsed[row["channel"]] += row["lapsed"]
        rows = await connection.fetch(UNARCHIVED, odd, settled)
        self._add(NOWHERE, len(rows), [row["id"] for row in rows[:EXAMPLES]])

    def _add(self, rule: str, count: int, ids: Sequence[UUID]) -> None:
        if count:
            before = self._broken.get(rule, Violation(rule, 0))
            examples = (*before.examples, *map(str, ids))[:EXAMPLES]
            self._broken[rule] = Violation(rule, before.count + count, examples)

    @property
    def seen(self) -> int:
        """How many were looked at."""
        return self._states.total()

    def examine(self, without_id: int, reached: datetime | None) -> LedgerFindings:
        """All of it."""
        unarchived = self._broken.pop(NOWHERE, None)
        waiting = {
            name: ExpectedMessages(n, self._lapsed[name]) for name, n in self._under_way.items()
        }
        violations = tuple(self._broken.values())
        return LedgerFindings(
            dict(self._states), violations, waiting, unarchived, without_id, reached
        )
