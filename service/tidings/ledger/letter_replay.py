"""Replays: letters go back to their lanes in a new epoch of their notifications.

What is to be published is written down first (`dispatch_at`, see `tidings.ledger.dispatch`), so that
a replay that is killed is finished by the next scheduler. State changes are compare-and-set under
row locks: whoever comes second finds the letter taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from asyncpg import Record

from tidings.delivery.attempt import Attempt
from tidings.delivery.burying import refusal
from tidings.delivery.letter import LetterState, lane_of
from tidings.delivery.states import State
from tidings.ledger import rows
from tidings.ledger.claims import DUE
from tidings.ledger.database import Connection, Database
from tidings.ledger.dispatch import Dispatch
from tidings.ledger.letter_rows import INTRODUCE_FAILED, STANDING, Introduced, standing
from tidings_events import InvalidNotification, Notification, parse

ExpiresAt: TypeAlias = Callable[[Attempt], datetime | None]
"""When an attempt's notification stops being worth delivering."""

PUBLISH_WITHIN: Final = 30.0
"""Seconds after which a scheduler publishes what its replay has not."""

LOCK: Final = """
SELECT id, notification_id, epoch, state, replay, reason, kind, message, routing_key, buried_at, body FROM dead_letters
 WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE
"""

QUEUE: Final = f"""
WITH moved AS (
    UPDATE notifications n
       SET state = 'queued', epoch = n.epoch + 1, attempt = 0, lapses = 0, lease_holder = NULL, lease_until = NULL,
           channel = i.channel, priority = i.priority, category = i.category, recipient = i.recipient,
           user_id = i.user_id, entity_type = i.entity_type, entity_id = i.entity_id, body = i.body,
           idempotency_key = i.idempotency_key, scheduled_at = i.scheduled_at, expires_at = i.expires_at,
           dispatch_at = CASE WHEN i.scheduled_at > now() THEN i.scheduled_at ELSE now() + $2 * interval '1 second' END,
           finished_at = NULL, provider = NULL, reference = NULL, reason = NULL, failure_kind = NULL,
           failure_code = NULL, failure_message = NULL, retry_delay = NULL, updated_at = now()
      FROM unnest({rows.COLUMNS.parameters("uuid", "text", after=4)})
        AS i ({rows.COLUMNS.names}, letter, before)
     WHERE n.id = i.id AND n.state = i.before
    RETURNING n.id, n.epoch, i.before, i.letter
), taken AS (
    UPDATE dead_letters d
       SET state = 'replaying', replay = $3, replay_epoch = moved.epoch, notification_id = moved.id,
           replayed_at = NULL, changed_at = now(), actor = $1
      FROM moved WHERE d.id = moved.letter
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, before, 'queued', $1, $4::text || 'replayed from dead letter ' || letter FROM moved
)
SELECT id, epoch FROM moved
"""

KEYS: Final = """
SELECT key, notification_id FROM idempotency_keys WHERE key = ANY($1::text[]) AND expires_at > now()
"""

OUTCOMES: Final = """
SELECT CASE WHEN n.epoch > d.replay_epoch THEN 'failed'
            WHEN n.state = 'queued' AND n.scheduled_at > now() THEN 'scheduled'
            ELSE n.state END AS state, count(*)
  FROM dead_letters d JOIN notifications n ON n.id = d.notification_id
 WHERE d.replay = $1 AND ($2::uuid[] IS NULL OR d.id = ANY($2))
 GROUP BY 1
"""
"""Whatever went on to a later epoch had failed in this one: nothing else can be replayed."""

FINISH: Final = """
UPDATE dead_letters d
   SET state = 'replayed', replayed_at = now(), changed_at = now()
  FROM notifications n
 WHERE d.state = 'replaying' AND n.id = d.notification_id
   AND (n.epoch > d.replay_epoch OR n.epoch = d.replay_epoch AND (n.dispatch_at IS NULL OR n.state <> 'queued'))
"""
"""Whose notification was claimed in its new epoch was published, even where no confirm was recorded."""


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A letter that stays as it is."""

    letter: UUID
    why: str
    taken: bool = False
    """Another replay has it."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What is to be published now, and what is not."""

    dispatches: tuple[Dispatch, ...]
    later: int
    """A scheduler publishes them: at their `scheduled_at`, or soon where they were begun before and
    the reply was lost."""
    not_replayed: tuple[NotReplayed, ...]


@dataclass(frozen=True, slots=True)
class _Readable:
    """A letter whose body is a notification."""

    row: Record
    notification: Notification

    def attempt(self, accepted_at: datetime, traceparent: str | None) -> Attempt:
        """As its notification is stored and published."""
        lane = lane_of(self.notification, self.row["routing_key"], ())
        assert lane is not None  # noqa: S101  # for the type checker: what can be read has a lane
        return Attempt(self.notification, self.row["body"], lane, 0, 0, accepted_at, traceparent)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A letter to be replayed, and its notification as it was."""

    letter: UUID
    before: State
    attempt: Attempt
    expires_at: datetime | None
    early: bool
    """It is not due yet."""


class Replays:
    """Sends letters on their way again.

    Args:
        actor: Named in the history of their notifications.
    """

    def __init__(self, database: Database, *, actor: str) -> None:
        self._database = database
        self._actor = actor

    async def begin(
        self, letters: Sequence[UUID], run: UUID, *, expires_at: ExpiresAt, force: bool = False
    ) -> Begun:
        """Take letters and queue their notifications in a new epoch, in one transaction.

        Args:
            run: Names this replay, for `outcomes`.
            force: Also take letters that were replayed before, and send again what was sent.

        Raises:
            LedgerUnavailable: PostgreSQL is away: nothing was taken.
        """
        async with self._database.transaction() as connection:
            locked = await connection.fetch(LOCK, sorted(set(letters)))
            begun = [row for row in locked if row["state"] == "replaying" and row["replay"] == run]
            found = [row for row in locked if row not in begun]
            readable, not_replayed = _read(found, force=force)
            standings = await _stand(connection, readable, expires_at)
            holders = {} if force else await _holders(connection, readable)
            candidates, refused = _choose(readable, standings, holders, expires_at, force=force)
            epochs = await self._queue(connection, candidates, run, forced=force)
        known = {row["id"] for row in locked}
        missing = [
            NotReplayed(one, "there is no such letter") for one in letters if one not in known
        ]
        due = [one for one in candidates if not one.early]
        return Begun(
            tuple(_dispatch(one, epochs[one.attempt.id]) for one in due),
            len(candidates) - len(due) + len(begun),
            (*not_replayed, *refused, *missing),
        )

    async def outcomes(
        self, run: UUID, letters: Sequence[UUID] | None = None
    ) -> Mapping[State, int]:
        """How the notifications of a replay, or of some of its letters, stand."""
        async with self._database.connection() as connection:
            found = await connection.fetch(OUTCOMES, run, letters)
        return {State(row["state"]): row["count"] for row in found}

    async def finish(self) -> None:
        """Mark letters as replayed that somebody else published, or whose confirm was not recorded."""
        async with self._database.connection() as connection:
            await connection.execute(FINISH)

    async def _queue(
        self, connection: Connection, candidates: Sequence[_Candidate], run: UUID, *, forced: bool
    ) -> dict[UUID, int]:
        if not candidates:
            return {}
        queued = await connection.fetch(
            QUEUE,
            self._actor,
            PUBLISH_WITHIN,
            run,
            "forced: " if forced else "",
            *rows.columns(candidates),
            [one.letter for one in candidates],
            [one.before.value for one in candidates],
        )
        if any(one.early for one in candidates):
            await connection.execute("SELECT pg_notify($1, '')", DUE)
        return {row["id"]: row["epoch"] for row in queued}


def _read(found: Sequence[Record], *, force: bool) -> tuple[list[_Readable], list[NotReplayed]]:
    readable: dict[UUID, _Readable] = {}
    not_replayed = []
    for row in found:
        one = _read_one(row, force=force)
        if isinstance(one, _Readable) and one.notification.id in readable:
            why = "another letter of the same notification is being replayed"
            not_replayed.append(NotReplayed(row["id"], why))
        elif isinstance(one, _Readable):
            readable[one.notification.id] = one
        else:
            not_replayed.append(one)
    return list(readable.values()), not_replayed


def _read_one(row: Record, *, force: bool) -> _Readable | NotReplayed:
    state = LetterState(row["state"])
    if state is LetterState.REPLAYED and not force:
        return NotReplayed(
            row["id"], "it was replayed already: --force replays it again", taken=True
        )
    if state not in {LetterState.BURIED, LetterState.REPLAYED}:
        taken = state is LetterState.REPLAYING
        return NotReplayed(row["id"], f"it is {state}", taken=taken)
    try:
        return _Readable(row, parse(row["body"]))
    except InvalidNotification as invalid:
        return NotReplayed(
            row["id"], f"can't be read ({invalid}): mend it with `tidings dead edit {row['id']}`"
        )


async def _stand(
    connection: Connection, readable: Sequence[_Readable], expires_at: ExpiresAt
) -> dict[UUID, Record]:
    """How their notifications stand. A letter that could not be read before may have none yet."""
    ids = sorted(one.notification.id for one in readable)
    known = {row["id"]: row for row in await connection.fetch(STANDING, ids)}
    if new := [one for one in readable if one.notification.id not in known]:
        attempts = [one.attempt(one.row["buried_at"], None) for one in new]
        storable = [Introduced(one, expires_at(one)) for one in attempts]
        failures = ([one.row[name] for one in new] for name in ("reason", "kind", "message"))
        await connection.execute(INTRODUCE_FAILED, *rows.columns(storable), *failures)
        added = sorted(one.notification.id for one in new)
        known |= {row["id"]: row for row in await connection.fetch(STANDING, added)}
    return known


async def _holders(connection: Connection, readable: Sequence[_Readable]) -> dict[str | None, UUID]:
    """Which notification holds each idempotency key: it was sent, or will be, instead of these."""
    keys = [key for one in readable if (key := one.notification.idempotency_key) is not None]
    found = await connection.fetch(KEYS, keys) if keys else []
    return {row["key"]: row["notification_id"] for row in found}


def _choose(
    readable: Sequence[_Readable],
    standings: Mapping[UUID, Record],
    holders: Mapping[str | None, UUID],
    expires_at: ExpiresAt,
    *,
    force: bool,
) -> tuple[list[_Candidate], list[NotReplayed]]:
    candidates, refused = [], []
    for one in readable:
        row = standings[one.notification.id]
        now = standing(row)
        why = refusal(now, one.row["epoch"], force=force)
        holder = holders.get(one.notification.idempotency_key, one.notification.id)
        if why is None and holder != one.notification.id:
            why = f"notification {holder} has the same idempotency key: --force sends this one too"
        if why is not None:
            refused.append(NotReplayed(one.row["id"], why))
            continue
        attempt = one.attempt(row["accepted_at"], row["traceparent"])
        due = one.notification.scheduled_at
        early = due is not None and due > row["now"]
        candidates.append(_Candidate(one.row["id"], now.state, attempt, expires_at(attempt), early))
    return candidates, refused


def _dispatch(one: _Candidate, epoch: int) -> Dispatch:
    attempt = one.attempt
    return Dispatch(
        attempt.id, attempt.lane, epoch, attempt.first_seen, attempt.traceparent, attempt.body
    )
