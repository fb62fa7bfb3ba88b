"""Step three, claim: takes a notification for one worker under a lease, and stores it.

One statement serves a whole batch. Most rows are new or due for exactly this attempt; the rest are
looked up once more and classified by `classify`, which says what their message means.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from tidings.delivery.attempt import Attempt
from tidings.delivery.delay import Delay
from tidings.delivery.outcome import (
    Claim,
    Claimed,
    DuplicateOf,
    Failure,
    Finished,
    Held,
    NeverIssued,
    Reason,
    RetryLater,
    Scheduled,
    Undeliverable,
    Unsettled,
)
from tidings.delivery.states import State
from tidings.delivery.value import value
from tidings.ledger.database import Connection, Database
from tidings.ledger.rows import COLUMNS, columns

DUE: Final = "tidings_due"
"""NOTIFY channel that wakes the schedulers."""

CLAIM: Final = f"""
WITH claimed AS (
    INSERT INTO notifications AS n ({COLUMNS.names}, state, epoch, attempt, lease_holder, lease_until)
    SELECT {COLUMNS.names}, 'sending', epoch, attempt, token, now() + lease * interval '1 second'
      FROM unnest({COLUMNS.parameters("int", "int", "float8", "text")})
        AS incoming ({COLUMNS.names}, epoch, attempt, lease, token)
    ON CONFLICT (id) DO UPDATE
       SET state = 'sending', epoch = excluded.epoch, attempt = excluded.attempt,
           lease_holder = excluded.lease_holder, lease_until = excluded.lease_until,
           lapses = n.lapses + (n.state = 'sending' AND n.lease_holder <> excluded.lease_holder)::int,
           dispatch_at = NULL, updated_at = now()
     WHERE n.epoch = excluded.epoch
       AND (n.state IN ('queued', 'retrying') AND n.attempt < excluded.attempt
            OR n.state = 'sending' AND n.lease_until < now() AND n.attempt <= excluded.attempt
            OR n.state = 'sending' AND n.lease_holder = excluded.lease_holder)
    RETURNING n.id, n.epoch, n.attempt, n.lapses, n.lease_holder, n.accepted_at,
              n.lapses > 0 OR n.failure_kind = 'outcome_unknown' AS perhaps_sent,
              n.xmax = 0 AS unheard_of
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, 'sending', 'sending', lease_holder, lapsed
      FROM claimed, LATERAL (SELECT 'the lease of attempt ' || attempt
           || ' ran out: its worker is gone, and it may have been sent') AS said (lapsed)
     WHERE lapses > (SELECT count(*) FROM transitions AS t
                      WHERE (t.notification_id, t.epoch, t.reason) = (claimed.id, claimed.epoch, lapsed))
    UNION ALL
    SELECT id, epoch, 'queued', 'sending', lease_holder,
           'first seen as attempt ' || attempt || ' of epoch ' || epoch || ', as its headers say: what came before '
           || 'is not known here, because the database was restored, or because its producer made it up'
      FROM claimed WHERE unheard_of AND (epoch, attempt) <> (0, 1)
)
SELECT id, accepted_at, coalesce(perhaps_sent, false) AS perhaps_sent FROM claimed
"""

LOOK_UP: Final = """
SELECT id, state, epoch, attempt, lease_until, lease_until < now() AS lapsed, retry_delay, reason, provider,
       failure_kind, failure_code, failure_message
  FROM notifications WHERE id = ANY($1::uuid[])
"""

SCHEDULE: Final = f"""
INSERT INTO notifications ({COLUMNS.names}, state, epoch, attempt, dispatch_at)
SELECT {COLUMNS.names}, 'scheduled', 0, 0, scheduled_at
  FROM unnest({COLUMNS.parameters()}) AS incoming ({COLUMNS.names})
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

REMEMBER_KEYS: Final = """
INSERT INTO idempotency_keys AS k (key, notification_id, expires_at)
SELECT DISTINCT ON (key) key, id, now() + $3 * interval '1 second'
  FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS incoming (key, id, place)
 ORDER BY key, place
ON CONFLICT (key) DO UPDATE
   SET notification_id = CASE WHEN k.expires_at < now() THEN excluded.notification_id ELSE k.notification_id END,
       expires_at      = CASE WHEN k.expires_at < now() THEN excluded.expires_at ELSE k.expires_at END
RETURNING key, notification_id
"""

SUPPRESS: Final = f"""
WITH suppressed AS (
    INSERT INTO notifications ({COLUMNS.names}, state, epoch, attempt, duplicate_of, reason, finished_at)
    SELECT {COLUMNS.names}, 'suppressed', 0, 0, first, 'duplicate', now()
      FROM unnest({COLUMNS.parameters("uuid")}) AS incoming ({COLUMNS.names}, first)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, duplicate_of
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, 0, 'queued', 'suppressed', ${len(COLUMNS) + 2}::text, 'same idempotency key as ' || duplicate_of
      FROM suppressed
)
SELECT id, duplicate_of FROM suppressed
"""

Row = Mapping[str, Any]


@value(frozen=True, slots=True)
class ClaimRequest:
    """An attempt that a worker wants to make."""

    attempt: Attempt
    token: str
    """Names this one handling of this one message: asked again after a lost reply, it is still ours."""
    lease: float
    """Seconds for which nobody else may send it."""
    expires_at: datetime | None


class Claims:
    """Claims notifications for one worker.

    Args:
        worker: Names this process in leases and history, unlike any other.
        window: Seconds for which an idempotency key is remembered.
    """

    def __init__(self, database: Database, *, worker: str, window: float) -> None:
        self._database = database
        self._worker = worker
        self._window = window

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[Claim]:
        """Answer each request, in order."""
        answers: dict[int, Claim] = {}
        for chunk in _without_repeats(requests) if requests else ():
            if all(_plain(one.attempt) for one in chunk.values()):
                async with (
                    self._database.connection() as connection
                ):  # a statement is a transaction
                    answers |= await self._taken(connection, chunk)
            else:
                async with self._database.transaction() as connection:
                    answers |= await self._claim_distinct(connection, chunk)
        return [answers[place] for place in range(len(requests))]

    async def _claim_distinct(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        answers = await self._duplicates(connection, requests)
        open_ = {place: one for place, one in requests.items() if place not in answers}
        answers |= await self._scheduled(connection, open_)
        open_ = {place: one for place, one in open_.items() if place not in answers}
        return answers | await self._taken(connection, open_)

    async def _taken(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        if not requests:
            return {}
        attempts = [one.attempt for one in requests.values()]
        rows = await connection.fetch(
            CLAIM,
            *columns(
                requests.values(),
                [attempt.epoch for attempt in attempts],
                [attempt.number for attempt in attempts],
                [one.lease for one in requests.values()],
                [one.token for one in requests.values()],
            ),
        )
        taken = {row["id"]: Claimed(row["perhaps_sent"], row["accepted_at"]) for row in rows}
        others = [attempt.id for attempt in attempts if attempt.id not in taken]
        known = (
            {row["id"]: dict(row) for row in await connection.fetch(LOOK_UP, others)}
            if others
            else {}
        )
        return {
            place: taken.get(one.attempt.id) or classify(known[one.attempt.id], one.attempt)
            for place, one in requests.items()
        }

    async def _scheduled(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        """Store what is not due. Only on first sight: what was dispatched is sent, whatever our clock says."""
        now = datetime.now(UTC)
        early = {
            place: one
            for place, one in requests.items()
            if (due := one.attempt.notification.scheduled_at) is not None
            and due > now
            and (one.attempt.epoch, one.attempt.number) == (0, 1)
        }
        if not early:
            return {}
        rows = await connection.fetch(SCHEDULE, *columns(early.values()))
        stored = {row["id"] for row in rows}
        await connection.execute("SELECT pg_notify($1, '')", DUE)
        return {
            place: Scheduled(one.attempt.notification.scheduled_at)
            for place, one in early.items()
            if one.attempt.id in stored and one.attempt.notification.scheduled_at is not None
        }

    async def _duplicates(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        keyed = {
            place: key
            for place, one in sorted(requests.items())  # who came first, is first
            if (key := one.attempt.notification.idempotency_key) is not None
        }
        if not keyed:
            return {}
        ids = [requests[place].attempt.id for place in keyed]
        rows = await connection.fetch(REMEMBER_KEYS, list(keyed.values()), ids, self._window)
        first: dict[str, UUID] = {row["key"]: row["notification_id"] for row in rows}
        repeated = {
            place: original
            for place, one in requests.items()
            if place in keyed and (original := first[keyed[place]]) != one.attempt.id
        }
        return await self._suppressed(connection, requests, repeated) if repeated else {}

    async def _suppressed(
        self,
        connection: Connection,
        requests: Mapping[int, ClaimRequest],
        repeated: Mapping[int, UUID],
    ) -> dict[int, Claim]:
        """Store duplicates. What is known already is none: its key was taken over after the window."""
        duplicates = [requests[place] for place in repeated]
        rows = await connection.fetch(
            SUPPRESS, *columns(duplicates), list(repeated.values()), self._worker
        )
        stored = {row["id"]: DuplicateOf(row["duplicate_of"]) for row in rows}
        ids = {place: requests[place].attempt.id for place in repeated}
        return {place: stored[id_] for place, id_ in ids.items() if id_ in stored}


def classify(row: Row, attempt: Attempt) -> Claim:
    """What a message means whose notification could not be claimed for it. Pure."""
    state = State(row["state"])
    if row["epoch"] < attempt.epoch:
        return NeverIssued(attempt.epoch)
    if row["epoch"] > attempt.epoch or row["attempt"] > attempt.number:
        return Finished(state)
    match state:
        case State.SENDING | State.QUEUED:
            return Held(row["lease_until"] or datetime.now(UTC))
        case State.RETRYING:
            delay = Delay(row["retry_delay"])
            return Unsettled(RetryLater(_failure(row), delay, row["attempt"] + 1))
        case State.FAILED | State.EXPIRED | State.UNKNOWN:
            return Unsettled(Undeliverable(Reason(row["reason"]), _failure(row)))
        case _:
            return Finished(state)


def _failure(row: Row) -> Failure:
    return Failure(
        row["failure_kind"] or "unknown",
        row["failure_message"] or "",
        row["provider"] or "",
        row["failure_code"] or "",
    )


def _plain(attempt: Attempt) -> bool:
    """Whether it only has to be claimed: nothing scheduled, no idempotency key."""
    notification = attempt.notification
    return notification.scheduled_at is None and notification.idempotency_key is None


def _without_repeats(requests: Sequence[ClaimRequest]) -> list[dict[int, ClaimRequest]]:
    """Split so that no id is twice in one statement, sorted so that two workers never deadlock."""
    ordered = sorted(enumerate(requests), key=lambda item: item[1].attempt.id)
    if len({one.attempt.id for one in requests}) == len(requests):
        return [dict(ordered)]
    chunks: list[dict[int, ClaimRequest]] = []
    seen: list[set[UUID]] = []
    for place, one in ordered:
        depth = next(
            (level for level, ids in enumerate(seen) if one.attempt.id not in ids), len(seen)
        )
        if depth == len(seen):
            seen.append(set())
            chunks.append({})
        seen[depth].add(one.attempt.id)
        chunks[depth][place] = one
    return chunks
