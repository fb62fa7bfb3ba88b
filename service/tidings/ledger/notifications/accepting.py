"""Accepts notifications that come in by HTTP: stores them before they are published, or for the outbox to publish.

A row that is stored here waits as `queued`, with no attempt made: the claim takes it as it takes any that is due for its
first attempt. Who is second with an id changes nothing, whether that is a worker or another process that accepts.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from tidings.delivery.attempt import Attempt
from tidings.delivery.errors import Refused
from tidings.delivery.states import State
from tidings.ledger.database import Connection, Database
from tidings.ledger.notifications.claims import SUPPRESS
from tidings.ledger.notifications.conflicts import GIVEN_ANOTHER_TIME, is_body_of
from tidings.ledger.notifications.dispatch import DUE, NOTIFY
from tidings.ledger.notifications.idempotency import KeyUse, hold
from tidings.ledger.notifications.outbox_entries import enter
from tidings.ledger.notifications.requests import (
    ANOTHER,
    EarlierRequest,
    RequestIdentity,
    came_alone,
    keep_answer,
    remember,
    requested,
)
from tidings.ledger.notifications.rows import COLUMNS, by_itself, columns

_STORE: Final = f"""
INSERT INTO notifications ({COLUMNS.names}, properties, state, epoch, attempt, dispatch_at)
SELECT {COLUMNS.names}, properties, CASE WHEN due IS NULL THEN 'queued' ELSE 'scheduled' END, 0, 0,
       coalesce(due, now() + place * interval '1 microsecond')
  FROM unnest({{parameters}}) AS incoming ({COLUMNS.names}, properties, due, place{{further}}
ON CONFLICT (id) DO NOTHING
RETURNING id
"""
STORE: Final = _STORE.format(
    parameters=COLUMNS.parameters("jsonb", "timestamptz", "int"), further=")"
)
"""In the order of their ids, as claims do: two that store the same ones wait for each other in one direction only.
`place` is the order in which they came, and null if it is not the outbox that publishes them."""

STORE_UNLESS_REQUESTED: Final = _STORE.format(
    parameters=COLUMNS.parameters("jsonb", "timestamptz", "int", "text", "text"),
    further=""", api_key, request_key)
 WHERE NOT EXISTS (SELECT FROM api_requests r
                    WHERE (r.api_key, r.idempotency_key) = (incoming.api_key, request_key) AND r.expires_at >= now())
 ORDER BY id""",
)
"""As `STORE`, but none whose Idempotency-Key came with a request that is remembered."""

LOOK_UP: Final = f"""
SELECT place, n.state, n.epoch, n.attempt, n.dispatch_at, n.duplicate_of,
       CASE WHEN sha256(n.body) <> digest THEN n.body END AS other_body, sha256(n.body) <> digest AND {GIVEN_ANOTHER_TIME} AS rescheduled
  FROM unnest($1::int[], $2::uuid[], $3::bytea[]) AS given (place, id, digest) JOIN notifications n ON n.id = given.id
"""

KNOWN: Final = """
SELECT id FROM notifications WHERE id = ANY($1::uuid[])
UNION ALL
SELECT given.id FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given (id, api_key, request_key)
  JOIN api_requests r ON (r.api_key, r.idempotency_key) = (given.api_key, given.request_key) AND r.expires_at >= now()
"""
"""Those that are stored, or whose Idempotency-Key came with a request that is remembered."""

COPIED: Final = """
INSERT INTO transitions (notification_id, epoch, before, after, actor, reason)
SELECT n.id, n.epoch, n.state, n.state, $3,
       CASE n.id WHEN $1 THEN 'copy of ' || $2::uuid ELSE 'sent again as ' || $1::uuid END
  FROM notifications n WHERE n.id = ANY(ARRAY[$1::uuid, $2::uuid])
"""

STORED: Final = "SELECT id FROM notifications WHERE id = ANY($1::uuid[])"

LEAVE_TO_OUTBOX: Final = """
WITH locked AS (
    SELECT n.id, given.place FROM unnest($1::uuid[]) WITH ORDINALITY AS given (id, place)
      JOIN notifications n ON n.id = given.id
     WHERE (n.state, n.epoch, n.attempt) = ('queued', 0, 0) AND n.dispatch_at IS NULL
     ORDER BY n.id FOR NO KEY UPDATE OF n
)
UPDATE notifications n SET dispatch_at = now() + place * interval '1 microsecond' FROM locked WHERE n.id = locked.id
"""

WAITING: Final = """
SELECT min(dispatch_at) FROM notifications WHERE dispatch_at <= now() AND (state, epoch, attempt) = ('queued', 0, 0)
"""


@dataclass(frozen=True, slots=True)
class Submission:
    """A notification that somebody wants accepted."""

    attempt: Attempt
    expires_at: datetime | None
    due: datetime | None = None
    """When it is to be published, if not at once."""
    request: tuple[str, str] | None = None
    """The API key and Idempotency-Key from which its id follows, of one that came alone: no other request may have had
    them."""


class Standing(StrEnum):
    """How a submission stands to what the ledger has."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    """It has been accepted before, or another was that has its idempotency key."""
    CONFLICT = "conflict"
    """Its id belongs to other content, or its Idempotency-Key came with another request."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The ledger's answer to a submission."""

    standing: Standing
    state: State
    unpublished: bool = False
    """Nobody has published it, as far as the ledger knows."""
    duplicate_of: UUID | None = None
    """The notification that has its idempotency key."""
    known: bool = False
    """Whether its id was known before."""


NEW: Final = Stored(Standing.ACCEPTED, State.QUEUED, unpublished=True)
LEFT_TO_OUTBOX: Final = Stored(Standing.ACCEPTED, State.QUEUED)
SCHEDULED: Final = Stored(Standing.ACCEPTED, State.SCHEDULED)
REUSED: Final = Stored(Standing.CONFLICT, State.QUEUED, known=True)


class RequestedBefore(Refused):
    """A request came before with the same Idempotency-Key: nothing is stored.

    Args:
        earlier: The one before.
    """

    def __init__(self, earlier: EarlierRequest) -> None:
        super().__init__("a request came before with this Idempotency-Key")
        self.earlier = earlier


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that is to be remembered with its answer."""

    identity: RequestIdentity
    answer: Callable[[Sequence[Stored]], bytes]
    """Makes the answer from how its submissions stand."""
    first: UUID
    """The id that follows from its Idempotency-Key for one that comes alone."""
    derived: frozenset[UUID] = frozenset()
    """The ids of its submissions that follow from it."""

    def contradicts(self, submissions: Sequence[Submission], answers: Sequence[Stored]) -> bool:
        """Whether an id that follows from it belongs to other content: to that of another request."""
        return any(
            answer.standing is Standing.CONFLICT and submission.attempt.id in self.derived
            for submission, answer in zip(submissions, answers, strict=True)
        )


class SomeConflict(Refused):
    """Of several that are stored together or not at all, some can't be: nothing is stored.

    Args:
        answers: What the ledger says of each.
    """

    def __init__(self, answers: Sequence[Stored]) -> None:
        super().__init__("an id belongs to other content")
        self.answers = tuple(answers)


class Accepting:
    """Stores what is submitted.

    Args:
        actor: Named in the history.
        window: Seconds for which an idempotency key is remembered.
    """

    def __init__(self, database: Database, *, actor: str, window: float) -> None:
        self._database = database
        self._actor = actor
        self._window = window

    async def store(
        self,
        submissions: Sequence[Submission],
        *,
        outbox: bool = False,
        together: bool = False,
        request: Answered | None = None,
    ) -> list[Stored]:
        """Store what is new, and say of each how it stands.

        Args:
            outbox: Have the outbox publish them, in this order.
            together: All of them, or none.
            request: Remember the request that they came with.

        Raises:
            RequestedBefore: The request came before.
            SomeConflict: `together`, and some belong to other content.
            LedgerRefused: A value can't be stored: nothing is.
            LedgerUnavailable: PostgreSQL is unavailable; they may be stored all the same.
        """
        timed = outbox or any(submission.due for submission in submissions)
        if request is None and not (together or timed or any(map(_is_keyed, submissions))):
            async with self._database.connection() as connection:  # a statement is a transaction
                return await self._store(connection, submissions, outbox=outbox)
        async with self._database.transaction() as connection:
            if request is not None:
                earlier = await remember(connection, request.identity)
                if earlier is None and request.first not in request.derived:
                    earlier = await came_alone(connection, request.first)
                if earlier is not None:
                    raise RequestedBefore(earlier)
            answers = await self._store(connection, submissions, outbox=outbox)
            if request is not None and request.contradicts(submissions, answers):
                raise RequestedBefore(ANOTHER)
            if together and any(answer.standing is Standing.CONFLICT for answer in answers):
                raise SomeConflict(answers)
            if request is not None:
                await keep_answer(connection, request.identity, request.answer(answers))
            if timed:
                await connection.execute(NOTIFY, DUE)
        return answers

    async def store_copy(self, submission: Submission, original: UUID, *, actor: str) -> Stored:
        """Store a notification with the content of another one, and say in the history of both whose copy it is.

        Args:
            submission: The copy; its `due` says when a scheduler publishes it.
            original: The one with this content.
            actor: Who sends it again.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable: nothing is stored.
        """
        async with self._database.transaction() as connection:
            [stored] = await self._store(connection, [submission], outbox=False)
            if stored.standing is Standing.ACCEPTED:
                await connection.execute(COPIED, submission.attempt.id, original, actor)
                await connection.execute(NOTIFY, DUE)
        return stored

    async def stored(self, ids: Sequence[UUID]) -> frozenset[UUID]:
        """Those of these ids that belong to notifications.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            return frozenset(row["id"] for row in await connection.fetch(STORED, ids))

    async def leave_to_outbox(self, ids: Sequence[UUID]) -> None:
        """Have the outbox publish these, in this order: RabbitMQ did not confirm them.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.transaction() as connection:
            await connection.execute(LEAVE_TO_OUTBOX, ids)
            await enter(connection, ids, "RabbitMQ did not confirm it")
            await connection.execute(NOTIFY, DUE)

    async def oldest_waiting(self) -> datetime | None:
        """When the longest waiting of those was due that the outbox is to publish for the first time; None: none waits.

        Raises:
            LedgerUnavailable: PostgreSQL is unavailable.
        """
        async with self._database.connection() as connection:
            oldest: datetime | None = await connection.fetchval(WAITING)
        return oldest

    async def _store(
        self, connection: Connection, submissions: Sequence[Submission], *, outbox: bool
    ) -> list[Stored]:
        suppressed = await self._suppress(connection, submissions)
        places = [place for place in range(len(submissions)) if place not in suppressed]
        places.sort(key=lambda place: submissions[place].attempt.id.int)
        stored = await _insert(connection, submissions, places, outbox=outbox)
        if outbox and (left := [at for at in sorted(stored) if stored[at] is LEFT_TO_OUTBOX]):
            ids = [submissions[place].attempt.id for place in left]
            await enter(connection, ids, "RabbitMQ was away")
        rest = [place for place in places if place not in stored]
        known = await _look_up(connection, submissions, rest)
        answers = {**suppressed, **stored, **known}
        return [answers[place] for place in range(len(submissions))]

    async def _suppress(
        self, connection: Connection, submissions: Sequence[Submission]
    ) -> dict[int, Stored]:
        """Store those whose idempotency key another notification holds; the key is decided by whoever stores a row."""
        uses = {
            place: use
            for place, submission in enumerate(submissions)
            if (use := KeyUse.of(submission.attempt.notification)) is not None
        }
        if not uses:
            return {}
        requests = [submissions[place].request or (None, None) for place in uses]
        known = await connection.fetch(
            KNOWN, [use.id for use in uses.values()], *map(list, zip(*requests, strict=True))
        )
        decided = {row["id"] for row in known}
        uses = {place: use for place, use in uses.items() if use.id not in decided}
        if not uses:
            return {}
        holders = await hold(connection, list(uses.values()), self._window)
        repeated = {
            place: holder for place, use in uses.items() if (holder := holders[use.place]) != use.id
        }
        if not repeated:
            return {}
        order = sorted(repeated, key=lambda place: submissions[place].attempt.id.int)
        values = columns([submissions[place] for place in order])
        rows = await connection.fetch(
            *by_itself(SUPPRESS, *values, [repeated[place] for place in order], self._actor)
        )
        stored = {row["id"]: row["duplicate_of"] for row in rows}
        return {
            place: Stored(Standing.DUPLICATE, State.SUPPRESSED, duplicate_of=stored.pop(id_))
            for place in repeated
            if (id_ := submissions[place].attempt.id) in stored
        }


async def _insert(
    connection: Connection,
    submissions: Sequence[Submission],
    places: Sequence[int],
    *,
    outbox: bool,
) -> dict[int, Stored]:
    """Those that are new; of several with one id the first."""
    if not places:
        return {}
    ordered = [submissions[place] for place in places]
    requests = [submission.request or (None, None) for submission in ordered]
    alone = any(submission.request for submission in ordered)
    values = columns(
        ordered,
        [_properties(submission) for submission in ordered],
        [submission.due for submission in ordered],
        list(places) if outbox else [None] * len(places),
        *([list(column) for column in zip(*requests, strict=True)] if alone else []),
    )
    statement = STORE_UNLESS_REQUESTED if alone else STORE
    rows = await connection.fetch(*by_itself(statement, *values))
    new, queued = {row["id"] for row in rows}, LEFT_TO_OUTBOX if outbox else NEW
    stored: dict[int, Stored] = {}
    for place in places:
        submission = submissions[place]
        if submission.attempt.id in new:
            new.discard(submission.attempt.id)
            stored[place] = queued if submission.due is None else SCHEDULED
    return stored


async def _look_up(
    connection: Connection, submissions: Sequence[Submission], places: Sequence[int]
) -> dict[int, Stored]:
    if not places:
        return {}
    attempts = [submissions[place].attempt for place in places]
    digests = [sha256(attempt.body).digest() for attempt in attempts]
    rows = await connection.fetch(LOOK_UP, places, [attempt.id for attempt in attempts], digests)
    # One that is gone again was deleted by an operator, or is over: what is published for it is stored by its claim.
    known = dict.fromkeys(places, NEW)
    known |= {row["place"]: _standing(dict(row), submissions[row["place"]].attempt) for row in rows}
    return known | dict.fromkeys(
        await requested(
            connection,
            {place: key for place in places if (key := submissions[place].request) is not None},
        ),
        REUSED,
    )


def _standing(row: Mapping[str, Any], attempt: Attempt) -> Stored:
    other, state = row["other_body"], State(row["state"])
    if other is not None and not is_body_of(
        attempt.notification, bytes(other), rescheduled=row["rescheduled"]
    ):
        return Stored(Standing.CONFLICT, state, known=True)
    untouched = state is State.QUEUED and not row["epoch"] and not row["attempt"]
    return Stored(
        Standing.DUPLICATE,
        state,
        unpublished=untouched and row["dispatch_at"] is None,
        duplicate_of=row["duplicate_of"],
        known=True,
    )


def _is_keyed(submission: Submission) -> bool:
    return submission.attempt.notification.idempotency_key is not None


def _properties(submission: Submission) -> str | None:
    producer = submission.attempt.producer
    return None if producer is None else json.dumps({"app_id": producer}, ensure_ascii=False)
