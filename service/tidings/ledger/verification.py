"""Whether the ledger is sound: every notification in one state, with the history that leads to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from tidings.delivery.states import FINISHED, State, may_become
from tidings.ledger.database import Connection, Database

EXAMPLES: Final = 5
"""Ids that are named with each rule that is broken."""
CHUNK: Final = 10_000
"""Ids looked up in one statement."""

_IN: Final = "n.accepted_at >= $1"
_ATTEMPT: Final = "SELECT FROM attempts a WHERE a.notification_id = n.id AND a.epoch = n.epoch AND"
_CHANGE: Final = (
    "SELECT FROM transitions t WHERE t.notification_id = n.id AND t.epoch = n.epoch AND"
)

RULES: Final = MappingProxyType(
    {
        "ended, without a time at which it ended, or the other way round": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND (state = ANY($2::text[])) <> (finished_at IS NOT NULL)""",
        "sent, and no attempt of its epoch says so": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'sent' AND NOT EXISTS ({_ATTEMPT} a.state = 'sent')""",
        "more than one attempt of an epoch ended it": f"""
            SELECT n.id FROM notifications n JOIN attempts a ON a.notification_id = n.id
             WHERE {_IN} AND a.state = ANY($2::text[])
             GROUP BY n.id, a.epoch HAVING count(*) > 1""",
        "failed, expired or unknown, and neither an attempt nor a dead letter made it so": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('failed', 'expired', 'unknown')
               AND NOT EXISTS ({_ATTEMPT} a.state = n.state)
               AND NOT EXISTS ({_CHANGE} t.after = n.state)""",
        "cancelled, suppressed or discarded, and nobody is named who did it": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('cancelled', 'suppressed', 'discarded')
               AND NOT EXISTS ({_ATTEMPT} a.state = n.state)
               AND NOT EXISTS ({_CHANGE} t.after = n.state)""",
        "being sent without a lease, or holding one without being sent": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND (state = 'sending') <> (lease_holder IS NOT NULL AND lease_until IS NOT NULL)""",
        "waiting for another try, and no attempt says that one failed": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'retrying'
               AND NOT EXISTS ({_ATTEMPT} a.state = 'retrying')
               AND NOT EXISTS ({_CHANGE} t.after = 'retrying')""",
        "scheduled, and no time at which to publish it": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state = 'scheduled' AND dispatch_at IS NULL""",
        "due for more than a minute, and not published: does a scheduler run?": f"""
            SELECT id FROM notifications n
             WHERE {_IN} AND state IN ('scheduled', 'queued') AND dispatch_at < now() - interval '1 minute'""",
    }
)
"""What must be true of no notification, and how those are found of which it is. The first parameter
is since when, the second the states in which a notification has ended."""

MOVES: Final = """
SELECT h.before, h.after, count(*) AS count, (array_agg(n.id))[1:5] AS ids
  FROM history h JOIN notifications n ON n.id = h.notification_id
 WHERE n.accepted_at >= $1 AND h.before <> h.after
 GROUP BY h.before, h.after
"""
STATES: Final = (
    "SELECT state, count(*) AS count FROM notifications n WHERE accepted_at >= $1 GROUP BY state"
)

UNDER_WAY: Final = """
SELECT channel, count(*) AS under_way,
       count(*) FILTER (WHERE state = 'sending' AND lease_until < now()) AS lapsed
  FROM notifications
 WHERE (state IN ('sending', 'retrying') OR state = 'queued' AND dispatch_at IS NULL)
   AND updated_at < now() - $1 * interval '1 second'
 GROUP BY channel
"""
UNBURIED: Final = """
SELECT id FROM notifications n
 WHERE state IN ('failed', 'expired', 'unknown') AND updated_at < now() - $1 * interval '1 second'
   AND NOT EXISTS (SELECT FROM dead_letters d WHERE d.notification_id = n.id)
"""
KNOWN: Final = """
SELECT id, state FROM notifications WHERE id = ANY($1::uuid[])
 UNION
SELECT notification_id, NULL FROM dead_letters d
 WHERE notification_id = ANY($1::uuid[]) AND NOT EXISTS (SELECT FROM notifications n WHERE n.id = d.notification_id)
"""


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that does not hold."""

    rule: str
    count: int
    """Of how many notifications."""
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """What must have a message in some queue of its channel, for nothing else will go on with it."""

    under_way: int
    lapsed: int
    """Of those, under a lease that has run out."""


@dataclass(frozen=True, slots=True)
class Soundness:
    """The ledger at one moment."""

    states: Mapping[State, int]
    broken: tuple[Broken, ...]
    waiting: Mapping[str, Waiting]
    """By channel."""
    unburied: Broken | None
    """Ended badly, and their letters are not archived: they must be on their way."""


@dataclass(frozen=True, slots=True)
class Journaled:
    """What became of the notifications that a producer says were confirmed."""

    states: Mapping[State, int]
    letters: int
    """Those that are a dead letter and nothing else: no worker ever read them."""
    unknown: tuple[UUID, ...]
    """Those of which the ledger has never heard: they must still be in a lane."""


class Verification:
    """Examines the ledger; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def soundness(self, since: datetime, settled: float) -> Soundness:
        """Hold every notification accepted since then against the rules, all at one moment.

        Args:
            settled: Seconds for which a notification must not have changed before its message, or
                its letter, is missed.

        Raises:
            LedgerUnavailable: PostgreSQL is away.
        """
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            states = await connection.fetch(STATES, since)
            broken = [await _rule(connection, rule, since) for rule in RULES]
            moves = await _moves(connection, since)
            under_way = await connection.fetch(UNDER_WAY, settled)
            unburied = [row["id"] for row in await connection.fetch(UNBURIED, settled)]
        return Soundness(
            {State(row["state"]): row["count"] for row in states},
            tuple(one for one in (*broken, *moves) if one is not None),
            {row["channel"]: Waiting(row["under_way"], row["lapsed"]) for row in under_way},
            _broken("ended badly, and its dead letter is nowhere", unburied),
        )

    async def journaled(self, ids: Sequence[UUID]) -> Journaled:
        """Look every one of these up. Raises like `soundness`."""
        states: Counter[State] = Counter()
        letters, unknown = 0, list[UUID]()
        async with self._database.connection() as connection:
            for start in range(0, len(ids), CHUNK):
                chunk = ids[start : start + CHUNK]
                rows = await connection.fetch(KNOWN, chunk)
                known = {row["id"]: row["state"] for row in rows}
                states.update(State(state) for state in known.values() if state is not None)
                letters += sum(state is None for state in known.values())
                unknown += [id for id in chunk if id not in known]
        return Journaled(dict(states), letters, tuple(unknown))


async def _rule(connection: Connection, rule: str, since: datetime) -> Broken | None:
    query = RULES[rule]
    parameters: list[object] = [since]
    if "$2" in query:
        parameters.append(sorted(FINISHED))
    return _broken(rule, [row["id"] for row in await connection.fetch(query, *parameters)])


async def _moves(connection: Connection, since: datetime) -> list[Broken]:
    """Moves in the history that the table of states doesn't allow."""
    broken: list[Broken] = []
    for row in await connection.fetch(MOVES, since):
        if not may_become(State(row["before"]), State(row["after"])):
            move = f"went from {row['before']} to {row['after']}, which is no move there is"
            broken.append(Broken(move, row["count"], tuple(map(str, row["ids"]))))
    return broken


def _broken(rule: str, ids: Sequence[UUID]) -> Broken | None:
    if not ids:
        return None
    return Broken(rule, len(ids), tuple(str(id) for id in ids[:EXAMPLES]))
