"""Replays: dead letters go back to their lanes in a new epoch of their notifications.

What is to be published is written down first, as a batch of the outbox (`tidings.ledger.notifications.outbox_batches`),
so that a replay that is killed is finished by the next scheduler. State changes are compare-and-set under row locks: the
second finds the dead letter taken.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from asyncpg import Record

from tidings.delivery.archiving import ReplayRefusal
from tidings.delivery.dead_letter import DeadLetterState
from tidings.ledger.database import Connection, Database
from tidings.ledger.dead_letters.choice import (
    Candidate,
    NotReplayed,
    Objection,
    Readable,
    choose,
    no_objection,
    one_of_each,
    read,
    same_notification,
)
from tidings.ledger.dead_letters.rows import (
    FAILURE_COLUMNS,
    INTRODUCE_FAILED,
    LOCKED,
    STATUS,
    ExpiresAt,
    Introduced,
)
from tidings.ledger.notifications import outbox_batches, recipients, rows
from tidings.ledger.notifications.dispatch import DUE, NOTIFY, OutboxEntry
from tidings.ledger.notifications.idempotency import KeyUse, hold
from tidings.ledger.notifications.perhaps_sent import ARRIVED, EVER, OF_DEAD_LETTERS

LOCK: Final = """
SELECT d.id, d.notification_id, d.epoch, d.state, d.replay, d.reason, d.kind, d.message, d.routing_key, d.dead_lettered_at,
       d.headers, d.properties, d.body,
       (SELECT n.body FROM notifications n WHERE n.id = d.notification_id AND n.body <> d.body) AS stored
  FROM dead_letters d
 WHERE d.id = ANY($1::uuid[]) ORDER BY d.id FOR UPDATE
"""
"""`stored` is what is stored of a notification whose dead letter has another body."""
STANDING: Final = f"SELECT {STATUS}, {EVER} AS doubtful {LOCKED}"
"""How notifications stand, and whether they may have been delivered before."""

QUEUE: Final = f"""
WITH moved AS (
    UPDATE notifications n
       SET state = 'queued', epoch = n.epoch + 1, attempt = 0, lapses = 0, perhaps_sent = false, lease_holder = NULL, lease_until = NULL,
           channel = i.channel, priority = i.priority, category = i.category, recipient = i.recipient,
           user_id = i.user_id, entity_type = i.entity_type, entity_id = i.entity_id, body = i.body,
           template = i.template, subject = i.subject,
           idempotency_key = i.idempotency_key, scheduled_at = i.scheduled_at, expires_at = i.expires_at,
           dispatch_at = CASE WHEN i.scheduled_at > now() THEN i.scheduled_at END,
           finished_at = NULL, provider = NULL, reference = NULL, reason = NULL, failure_kind = NULL,
           failure_code = NULL, failure_message = NULL, retry_delay = NULL, updated_at = now()
      FROM unnest({rows.COLUMNS.parameters("uuid", "text", after=3)})
        AS i ({rows.COLUMNS.names}, dead_letter, before)
     WHERE n.id = i.id AND n.state = i.before
    RETURNING n.id, n.epoch, i.before, i.dead_letter, n.dispatch_at IS NOT NULL AS early
), taken AS (
    UPDATE dead_letters d
       SET state = CASE WHEN early THEN 'replaying' ELSE 'replayed' END, replayed_at = CASE WHEN NOT early THEN now() END,
           replay = $2, replay_epoch = moved.epoch, notification_id = moved.id, changed_at = now(), actor = $1
      FROM moved WHERE d.id = moved.dead_letter
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, before, 'queued', $1, $3::text || 'replayed from dead letter ' || dead_letter FROM moved
)
SELECT id, epoch FROM moved
"""

STORED: Final = "SELECT id, body FROM notifications WHERE id = ANY($1::uuid[])"

FINISH: Final = """
UPDATE dead_letters d
   SET state = 'replayed', replayed_at = now(), changed_at = now()
  FROM notifications n
 WHERE d.state = 'replaying' AND n.id = d.notification_id
   AND (n.epoch > d.replay_epoch OR n.epoch = d.replay_epoch AND (n.dispatch_at IS NULL OR n.state <> 'queued'))
"""
"""Whose notification was claimed in its new epoch was published, even where no confirm was recorded."""

TAKEN_STATES: Final = (DeadLetterState.REPLAYING, DeadLetterState.REPLAYED)


@dataclass(frozen=True, slots=True)
class TakenDeadLetter:
    """A dead letter whose notification is queued again."""

    early: bool
    """A scheduler publishes it at its `scheduled_at`."""
    doubtful: bool
    """It may have been delivered before."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What is to be published now, and what is not."""

    dispatches: tuple[OutboxEntry, ...]
    batch: UUID | None
    """Their batch in the outbox; None if nothing is to be published now."""
    later: int
    """A scheduler publishes them: at their `scheduled_at`, or soon where they were begun before and
    the reply was lost."""
    not_replayed: tuple[NotReplayed, ...]
    doubtful: int = 0
    """Notifications among them that may have been delivered before."""
    taken: Mapping[UUID, TakenDeadLetter] = field(default_factory=dict)
    """By dead letter, what was queued."""


@dataclass(frozen=True, slots=True)
class ReplayDecision:
    """The result of a dry run of `begin`."""

    notifications: tuple[UUID, ...]
    """Would be queued."""
    later: int
    """Of these, those that would be stored until their `scheduled_at`."""
    not_replayed: tuple[NotReplayed, ...]
    doubtful: int = 0
    """Of `notifications`, those that may have been delivered before."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """What becomes of each dead letter."""

    candidates: list[Candidate]
    not_replayed: list[NotReplayed]
    begun: int
    """Taken by this very replay before; the reply was lost."""
    doubtful: frozenset[UUID]
    """Notifications of candidates that may have been delivered before."""


class Replays:
    """Replays dead letters.

    Args:
        window: Seconds for which an idempotency key is remembered.
    """

    def __init__(self, database: Database, *, window: float) -> None:
        self._database = database
        self._window = window

    async def begin(
        self,
        dead_letters: Sequence[UUID],
        run: UUID,
        *,
        expires_at: ExpiresAt,
        actor: str,
        force: bool = False,
    ) -> Begun:
        """Take dead letters and queue their notifications in a new epoch, in one transaction.

        Args:
            run: Names this replay: what it took before is its own.
            actor: Named in the history of their notifications.
            force: Also take dead letters that were replayed before, and send again what was sent.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing was taken.
        """
        async with self._database.transaction() as connection:
            return await self.begin_in(
                connection, dead_letters, run, expires_at=expires_at, actor=actor, force=force
            )

    async def begin_in(
        self,
        connection: Connection,
        dead_letters: Sequence[UUID],
        run: UUID,
        *,
        expires_at: ExpiresAt,
        actor: str,
        force: bool = False,
        objection: Objection = no_objection,
    ) -> Begun:
        """The same as `begin`, as a part of a transaction.

        Args:
            connection: In a transaction.
            dead_letters: Those to be taken.
            run: As for `begin`.
            expires_at: As for `begin`.
            actor: As for `begin`.
            force: As for `begin`.
            objection: Why the template of a notification can't be used; None if it can.
        """
        decided = await self._decide(
            connection, dead_letters, run, expires_at, force=force, objection=objection
        )
        epochs = await self._queue(connection, decided.candidates, run, actor, forced=force)
        due = [
            _dispatch(candidate, epochs[candidate.attempt.id])
            for candidate in decided.candidates
            if not candidate.early
        ]
        batch = await outbox_batches.begin(connection, due) if due else None
        return Begun(
            tuple(due),
            batch,
            len(decided.candidates) - len(due) + decided.begun,
            tuple(decided.not_replayed),
            len(decided.doubtful),
            {
                candidate.dead_letter: TakenDeadLetter(
                    candidate.early, candidate.attempt.id in decided.doubtful
                )
                for candidate in decided.candidates
            },
        )

    async def dry_run(
        self,
        dead_letters: Sequence[UUID],
        *,
        expires_at: ExpiresAt,
        force: bool = False,
        but: Collection[UUID] = (),
    ) -> ReplayDecision:
        """Decide as `begin` does, then roll back.

        Args:
            but: Notifications for which dead letters were chosen before.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                decided = await self._decide(
                    connection, dead_letters, uuid4(), expires_at, force=force
                )
            finally:
                await transaction.rollback()
        again = [candidate for candidate in decided.candidates if candidate.attempt.id in but]
        chosen = [candidate for candidate in decided.candidates if candidate.attempt.id not in but]
        return ReplayDecision(
            tuple(candidate.attempt.id for candidate in chosen),
            sum(candidate.early for candidate in chosen),
            (
                *decided.not_replayed,
                *(same_notification(candidate.dead_letter) for candidate in again),
            ),
            sum(candidate.attempt.id in decided.doubtful for candidate in chosen),
        )

    async def _decide(
        self,
        connection: Connection,
        dead_letters: Sequence[UUID],
        run: UUID,
        expires_at: ExpiresAt,
        *,
        force: bool,
        objection: Objection = no_objection,
    ) -> _Decided:
        """Lock dead letters, their keys and their notifications, and decide about each."""
        locked = await connection.fetch(LOCK, sorted(set(dead_letters)))
        begun = [row for row in locked if row["state"] in TAKEN_STATES and row["replay"] == run]
        found = [row for row in locked if row not in begun]
        readable, not_replayed = read(found, force=force)
        stored = {} if force else await _stored(connection, readable)
        readable, unfit = one_of_each(readable, stored)
        uses = [
            use
            for dead_letter in readable
            if (use := KeyUse.of(dead_letter.notification)) and not force
        ]
        # Keys before notifications: in the order in which a claim locks them.
        holders = await hold(connection, uses, self._window) if uses else {}
        statuses = await _stand(connection, readable, expires_at)
        candidates, refused = choose(
            readable, statuses, holders, expires_at, force=force, objection=objection
        )
        known = {row["id"] for row in locked}
        missing = [
            NotReplayed(
                dead_letter, ReplayRefusal.NO_SUCH_DEAD_LETTER, "there is no such dead letter"
            )
            for dead_letter in dead_letters
            if dead_letter not in known
        ]
        again = {
            id_
            for candidate in candidates
            if statuses[id_ := candidate.attempt.id]["doubtful"]
            or (force and candidate.before in ARRIVED)
        }
        left = [*not_replayed, *unfit, *refused, *missing]
        return _Decided(candidates, left, len(begun), frozenset(again))

    async def doubtful(self, dead_letters: Sequence[UUID], *, force: bool) -> int:
        """How many notifications of these dead letters may have been delivered before."""
        async with self._database.connection() as connection:
            count: int = await connection.fetchval(OF_DEAD_LETTERS, dead_letters, force)
        return count

    async def finish(self) -> None:
        """Mark dead letters as replayed that a scheduler published, or whose confirm was not recorded."""
        async with self._database.connection() as connection:
            await connection.execute(FINISH)

    async def _queue(
        self,
        connection: Connection,
        candidates: Sequence[Candidate],
        run: UUID,
        actor: str,
        *,
        forced: bool,
    ) -> dict[UUID, int]:
        if not candidates:
            return {}
        queued = await connection.fetch(
            QUEUE,
            actor,
            run,
            "forced: " if forced else "",
            *rows.columns(candidates),
            [candidate.dead_letter for candidate in candidates],
            [candidate.before.value for candidate in candidates],
        )
        if not forced:
            begun = [row["id"] for row in queued], [row["epoch"] for row in queued]
            await recipients.begin_epoch(connection, *begun)
        if any(candidate.early for candidate in candidates):
            await connection.execute(NOTIFY, DUE)  # for the scheduler, which publishes them
        return {row["id"]: row["epoch"] for row in queued}


async def _stored(connection: Connection, readable: Sequence[Readable]) -> dict[UUID, bytes]:
    """By dead letter, the body of its notification where that is not, byte for byte, the dead letter's."""
    stored = {dead_letter.row["id"]: dead_letter.row["stored"] for dead_letter in readable}
    # One that could not be read before knows its notification only now.
    others = [it for it in readable if it.row["notification_id"] != it.notification.id]
    if others:
        rows = await connection.fetch(STORED, [it.notification.id for it in others])
        bodies = {row["id"]: row["body"] for row in rows}
        stored |= {it.row["id"]: bodies.get(it.notification.id) for it in others}
    return {id_: bytes(body) for id_, body in stored.items() if body is not None}


async def _stand(
    connection: Connection, readable: Sequence[Readable], expires_at: ExpiresAt
) -> dict[UUID, Record]:
    """How their notifications stand. A dead letter that could not be read before may have none yet."""
    ids = sorted(dead_letter.notification.id for dead_letter in readable)
    known = {row["id"]: row for row in await connection.fetch(STANDING, ids)}
    if new := [dead_letter for dead_letter in readable if dead_letter.notification.id not in known]:
        attempts = [dead_letter.first_attempt() for dead_letter in new]
        storable = [Introduced(attempt, expires_at(attempt)) for attempt in attempts]
        failures = ([dead_letter.row[name] for dead_letter in new] for name in FAILURE_COLUMNS)
        await connection.execute(INTRODUCE_FAILED, *rows.columns(storable), *failures)
        added = sorted(dead_letter.notification.id for dead_letter in new)
        known |= {row["id"]: row for row in await connection.fetch(STANDING, added)}
    return known


def _dispatch(candidate: Candidate, epoch: int) -> OutboxEntry:
    attempt = candidate.attempt
    return OutboxEntry(
        attempt.id, attempt.lane, epoch, attempt.first_seen, attempt.traceparent, attempt.body
    )
