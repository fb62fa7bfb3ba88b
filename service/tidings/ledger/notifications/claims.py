"""Step three, claim: takes a notification for one worker under a lease, and stores it.

One statement serves a whole batch. Most rows are new or due for exactly this attempt; the rest are
looked up once more and classified by `classify`, which says what their message means.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from tidings.delivery.ports import ClaimRequest
from tidings.delivery.properties import properties_of
from tidings.delivery.states import State
from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications import recipients
from tidings.ledger.notifications.conflicts import note_conflicts, unlike
from tidings.ledger.notifications.counting import COUNT_ENDS
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.notifications.idempotency import KeyUse, hold
from tidings.ledger.notifications.requeue import NOT_LATELY, OVERDUE_SINCE, Stranded, requeue
from tidings.ledger.notifications.rows import COLUMNS, by_itself, columns

CLAIM: Final = f"""
WITH claimed AS (
    INSERT INTO notifications AS n ({COLUMNS.names}, state, epoch, attempt, lease_holder, lease_until, perhaps_sent)
    SELECT {COLUMNS.names}, 'sending', epoch, attempt, token, now() + lease * interval '1 second', attempt > 1
      FROM unnest({COLUMNS.parameters("int", "int", "float8", "text")})
        AS incoming ({COLUMNS.names}, epoch, attempt, lease, token)
    ON CONFLICT (id) DO UPDATE
       SET state = 'sending', epoch = excluded.epoch, attempt = excluded.attempt, priority = excluded.priority,
           lease_holder = excluded.lease_holder, lease_until = excluded.lease_until,
           lapses = n.lapses + (n.state = 'sending' AND n.lease_holder <> excluded.lease_holder)::int, claimed_again = true,
           perhaps_sent = n.perhaps_sent OR excluded.attempt > n.attempt + 1, dispatch_at = NULL, updated_at = now()
     WHERE n.epoch = excluded.epoch AND n.body = excluded.body
       AND (n.state IN ('queued', 'retrying') AND n.attempt < excluded.attempt
            OR n.state = 'sending' AND n.lease_until < now() AND n.attempt <= excluded.attempt
            OR n.state = 'sending' AND n.lease_holder = excluded.lease_holder)
    RETURNING n.id, n.epoch, n.attempt, n.lapses, n.lease_holder, CASE WHEN n.claimed_again THEN n.accepted_at END AS accepted_at,
              n.perhaps_sent OR n.lapses > 0 OR n.failure_kind = 'outcome_unknown' AS perhaps_sent,
              NOT n.claimed_again AS unheard_of
), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, epoch, 'sending', 'sending', lease_holder, lapsed
      FROM claimed, LATERAL (SELECT 'the lease of attempt ' || attempt
           || ' ran out: its worker stopped, and it may have been sent') AS said (lapsed)
     WHERE lapses > (SELECT count(*) FROM transitions AS t
                      WHERE (t.notification_id, t.epoch, t.reason) = (claimed.id, claimed.epoch, lapsed))
    UNION ALL
    SELECT id, epoch, 'queued', 'sending', lease_holder,
           'first seen as attempt ' || attempt || ' of epoch ' || epoch || ', from its headers: earlier attempts '
           || 'are unknown, because the database was restored or its producer set these headers'
      FROM claimed WHERE unheard_of AND (epoch, attempt) <> (0, 1)
)
SELECT id, accepted_at, coalesce(perhaps_sent, false) AS perhaps_sent FROM claimed
"""
"""An attempt is published once the one before it is recorded. One that leaves some out, or comes first and is not the
first, tells of a ledger that has lost what it knew (restored, or failed over to a standby that lagged): the attempts
that are not known, and this very one, may have been delivered."""

LOOK_UP: Final = f"""
SELECT id, channel, state, epoch, attempt, lease_until, lease_until < now() AS lapsed, retry_delay, reason, provider,
       sha256(body) AS content, failure_kind, failure_code, failure_message,
       state IN ('queued', 'retrying', 'sending') AND {NOT_LATELY.format(least="$2::float8")}
           AND {OVERDUE_SINCE} < now() - $2::float8 * interval '1 second' AS stranded
  FROM notifications n WHERE id = ANY($1::uuid[])
"""

SCHEDULE: Final = f"""
INSERT INTO notifications ({COLUMNS.names}, properties, state, epoch, attempt, dispatch_at)
SELECT {COLUMNS.names}, properties, 'scheduled', 0, 0, scheduled_at
  FROM unnest({COLUMNS.parameters("jsonb")}) AS incoming ({COLUMNS.names}, properties)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

SUPPRESS: Final = f"""
WITH suppressed AS (
    INSERT INTO notifications ({COLUMNS.names}, state, epoch, attempt, duplicate_of, reason, finished_at)
    SELECT {COLUMNS.names}, 'suppressed', 0, 0, first, 'duplicate', now()
      FROM unnest({COLUMNS.parameters("uuid")}) AS incoming ({COLUMNS.names}, first)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, duplicate_of, tenant, test, channel, category, state AS outcome, provider, failure_kind AS kind
), counted AS ({COUNT_ENDS.format(ended="suppressed")}), noted AS (
    INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
    SELECT id, 0, 'queued', 'suppressed', ${len(COLUMNS) + 2}::text, 'same idempotency key as ' || duplicate_of
      FROM suppressed
)
SELECT id, duplicate_of FROM suppressed
"""

PUBLISHED_AGAIN: Final = "its producer sent it once more"

NEW: Final = Claimed()
"""What nearly every claim brings."""

Row = Mapping[str, Any]


class Claims:
    """Claims notifications for one worker.

    Args:
        worker: Names this process in leases and history, unlike any other.
        window: Seconds for which an idempotency key is remembered.
        patience: Seconds by which a notification's message must be late before one that comes in its place
            (its producer published it again) counts as a sign that it is lost.
    """

    def __init__(self, database: Database, *, worker: str, window: float, patience: float) -> None:
        self._database = database
        self._worker = worker
        self._window = window
        self._patience = patience

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[Claim]:
        """Answer each request, in order."""
        answers: dict[int, Claim] = {}
        for chunk in _without_repeats(requests) if requests else ():
            if all(_plain(request.attempt) for request in chunk.values()):
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
        open_ = {place: request for place, request in requests.items() if place not in answers}
        answers |= await self._scheduled(connection, open_)
        open_ = {place: request for place, request in open_.items() if place not in answers}
        return answers | await self._taken(connection, open_)

    async def _taken(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        if not requests:
            return {}
        attempts = [request.attempt for request in requests.values()]
        values = columns(
            requests.values(),
            [attempt.epoch for attempt in attempts],
            [attempt.number for attempt in attempts],
            [request.lease for request in requests.values()],
            [request.token for request in requests.values()],
        )
        rows = await connection.fetch(*by_itself(CLAIM, *values))
        if _all_new(rows, attempts):
            return dict.fromkeys(requests, NEW)
        taken = {row["id"]: _claimed(row["accepted_at"], doubt=row["perhaps_sent"]) for row in rows}
        goes_on = [
            attempt for attempt in attempts if recipients.may_go_on(attempt) and attempt.id in taken
        ]
        for id, found in (await recipients.results(connection, goes_on)).items():
            taken[id] = replace(taken[id], recipients=found)
        answers: dict[int, Claim] = {
            place: claimed
            for place, request in requests.items()
            if (claimed := taken.get(request.attempt.id)) is not None
        }
        if len(answers) == len(requests):
            return answers
        others = {place: request for place, request in requests.items() if place not in answers}
        return answers | await self._known(connection, others)

    async def _known(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        """What messages mean whose notification is stored, and could not be claimed for them."""
        attempts = [request.attempt for request in requests.values()]
        rows = await connection.fetch(LOOK_UP, [attempt.id for attempt in attempts], self._patience)
        known = {row["id"]: dict(row) for row in rows}
        if stranded := [Stranded.of(row) for row in known.values() if row["stranded"]]:
            await requeue(connection, stranded, actor=self._worker, why=PUBLISHED_AGAIN)
        different = {
            message.attempt.id: message for message in await unlike(connection, attempts, known)
        }
        if conflicts := [message for message in different.values() if not message.alike]:
            await note_conflicts(connection, conflicts, known, self._worker)
        # Only written otherwise: the claim is the stored notification's.
        as_stored = {
            place: replace(
                request, attempt=replace(request.attempt, body=different[request.attempt.id].stored)
            )
            for place, request in requests.items()
            if (found := different.get(request.attempt.id)) is not None and found.alike
        }
        refused = {conflict.attempt.id for conflict in conflicts}
        return {
            place: classify(
                known[request.attempt.id], request.attempt, conflict=request.attempt.id in refused
            )
            for place, request in requests.items()
            if place not in as_stored
        } | await self._taken(connection, as_stored)

    async def _scheduled(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        """Store what is not due. Only on first sight: what was dispatched is sent, whatever our clock says."""
        now = datetime.now(UTC)
        early = {
            place: request
            for place, request in requests.items()
            if (due := request.attempt.notification.scheduled_at) is not None
            and due > now
            and (request.attempt.epoch, request.attempt.number) == (0, 1)
        }
        if not early:
            return {}
        values = columns(early.values(), [_properties(request) for request in early.values()])
        rows = await connection.fetch(*by_itself(SCHEDULE, *values))
        stored = {row["id"] for row in rows}
        await connection.execute(NOTIFY, DUE)
        return {
            place: Scheduled(request.attempt.notification.scheduled_at)
            for place, request in early.items()
            if request.attempt.id in stored
            and request.attempt.notification.scheduled_at is not None
        }

    async def _duplicates(
        self, connection: Connection, requests: Mapping[int, ClaimRequest]
    ) -> dict[int, Claim]:
        keyed = {
            place: use
            for place, request in sorted(requests.items())  # who came first, is first
            if (use := KeyUse.of(request.attempt.notification)) is not None
        }
        if not keyed:
            return {}
        holders = await hold(connection, list(keyed.values()), self._window)
        repeated = {
            place: holder
            for place in requests
            if (use := keyed.get(place)) is not None and (holder := holders[use.place]) != use.id
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
        values = columns(duplicates)
        rows = await connection.fetch(
            *by_itself(SUPPRESS, *values, list(repeated.values()), self._worker)
        )
        stored = {row["id"]: DuplicateOf(row["duplicate_of"]) for row in rows}
        ids = {place: requests[place].attempt.id for place in repeated}
        return {place: stored[id_] for place, id_ in ids.items() if id_ in stored}


def classify(row: Row, attempt: Attempt, *, conflict: bool = False) -> Claim:
    """What a message means whose notification could not be claimed for it. Pure.

    Args:
        conflict: Whether it says something else than what is stored: the notification has a message of its
            own, and nothing is left to do for this one.
    """
    state = State(row["state"])
    if row["epoch"] < attempt.epoch:
        return NeverIssued(attempt.epoch)
    if conflict or row["epoch"] > attempt.epoch or row["attempt"] > attempt.number:
        return Finished(state)
    match state:
        case State.SENDING | State.QUEUED:
            return Held(row["lease_until"] or datetime.now(UTC))
        case State.RETRYING:
            delay = Delay(row["retry_delay"])
            return Unsettled(RetryLater(_failure(row), delay, row["attempt"] + 1))
        case State.FAILED | State.EXPIRED | State.UNKNOWN | State.SENT if row["reason"]:
            return Unsettled(Undeliverable(Reason(row["reason"]), _failure(row)))
        case _:
            return Finished(state)


def _all_new(rows: Sequence[Any], attempts: Sequence[Attempt]) -> bool:
    """Whether these are all that were asked for, and nothing is known of any: as of nearly every batch."""
    return (
        len(rows) == len(attempts)
        and all(row["accepted_at"] is None and not row["perhaps_sent"] for row in rows)
        and not any(map(recipients.may_go_on, attempts))
    )


def _claimed(accepted_at: datetime | None, *, doubt: bool) -> Claimed:
    return NEW if accepted_at is None and not doubt else Claimed(doubt, accepted_at)


def _properties(request: ClaimRequest) -> str | None:
    """What its producer set: the message that a scheduler publishes is another one."""
    message = request.attempt.message
    properties = properties_of(message) if message is not None else None
    return json.dumps(properties) if properties else None


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
    ordered = sorted(enumerate(requests), key=lambda item: item[1].attempt.id.int)
    if len({request.attempt.id.int for request in requests}) == len(requests):
        return [dict(ordered)]
    chunks: list[dict[int, ClaimRequest]] = []
    seen: list[set[UUID]] = []
    for place, request in ordered:
        depth = next(
            (level for level, ids in enumerate(seen) if request.attempt.id not in ids), len(seen)
        )
        if depth == len(seen):
            seen.append(set())
            chunks.append({})
        seen[depth].add(request.attempt.id)
        chunks[depth][place] = request
    return chunks
