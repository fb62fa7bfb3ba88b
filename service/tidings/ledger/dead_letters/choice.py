"""Decides which dead letters a replay takes, and why it refuses the others. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from asyncpg import Record

from tidings.delivery.archiving import RefusedReplay, ReplayRefusal, refusal
from tidings.delivery.attempt import Attempt, Lane
from tidings.delivery.dead_letter import DeadLetterState, lane_of
from tidings.delivery.states import State
from tidings.ledger.dead_letters.edit_notes import faults_of
from tidings.ledger.dead_letters.rows import ExpiresAt, first_attempt, status
from tidings.ledger.notifications.conflicts import is_body_of
from tidings.ledger.notifications.idempotency import KeyUse
from tidings_events import InvalidNotification, Notification, parse

Objection: TypeAlias = Callable[[Notification], str | None]
"""Why the template of a notification can't be used; None if it can, or it has none."""


def no_objection(_: Notification) -> None:
    """Templates are not looked at."""


@dataclass(frozen=True, slots=True)
class NotReplayed:
    """A dead letter that stays as it is."""

    dead_letter: UUID
    refusal: ReplayRefusal
    message: str

    @property
    def taken(self) -> bool:
        """Whether another replay had it, so that nothing is wrong."""
        return self.refusal in TAKEN


TAKEN: Final = frozenset({ReplayRefusal.ALREADY_REPLAYED, ReplayRefusal.BEING_REPLAYED})


@dataclass(frozen=True, slots=True)
class Readable:
    """A dead letter whose body is a notification."""

    row: Record
    notification: Notification

    def attempt(self, accepted_at: datetime, traceparent: str | None) -> Attempt:
        """As its notification is published."""
        body = self.row["body"]
        return Attempt(self.notification, body, self._lane, 0, 0, accepted_at, traceparent)

    def first_attempt(self) -> Attempt:
        """As its notification is stored, where only the dead letter knew of it."""
        return first_attempt(self.row, self.notification, self.row["body"], self._lane)

    @property
    def _lane(self) -> Lane:
        lane = lane_of(self.notification, self.row["routing_key"], ())
        assert lane is not None  # noqa: S101  # for the type checker: what can be read has a lane
        return lane


@dataclass(frozen=True, slots=True)
class Candidate:
    """A dead letter to be replayed, and its notification as it was."""

    dead_letter: UUID
    before: State
    attempt: Attempt
    expires_at: datetime | None
    early: bool
    """It is not due yet."""


def read(found: Sequence[Record], *, force: bool) -> tuple[list[Readable], list[NotReplayed]]:
    read = [_read_one(row, force=force) for row in sorted(found, key=_latest_first)]
    readable = [dead_letter for dead_letter in read if isinstance(dead_letter, Readable)]
    return readable, [dead_letter for dead_letter in read if isinstance(dead_letter, NotReplayed)]


def one_of_each(
    readable: Sequence[Readable], stored: Mapping[UUID, bytes]
) -> tuple[list[Readable], list[NotReplayed]]:
    """Of each notification the first dead letter that says what is stored of it.

    Args:
        stored: By dead letter, the body of its notification where that is not, byte for byte, the dead letter's.
    """
    chosen: dict[UUID, Readable] = {}
    not_replayed = []
    for candidate in readable:
        dead_letter, id_ = candidate.row["id"], candidate.notification.id
        if dead_letter in stored and not is_body_of(candidate.notification, stored[dead_letter]):
            not_replayed.append(
                NotReplayed(dead_letter, ReplayRefusal.OTHER_CONTENT, _other_content(id_))
            )
        elif id_ in chosen:
            not_replayed.append(same_notification(dead_letter))
        else:
            chosen[id_] = candidate
    return list(chosen.values()), not_replayed


def _other_content(id_: UUID) -> str:
    return f"notification {id_} is stored with other content"


def _latest_first(row: Record) -> int:
    """Of several dead letters of a notification only the latest may be replayed."""
    return -int(row["epoch"])


def same_notification(dead_letter: UUID) -> NotReplayed:
    why = "another dead letter of the same notification is being replayed"
    return NotReplayed(dead_letter, ReplayRefusal.SAME_NOTIFICATION, why)


def _read_one(row: Record, *, force: bool) -> Readable | NotReplayed:
    if (closed := _closed(DeadLetterState(row["state"]), force=force)) is not None:
        return NotReplayed(row["id"], closed.refusal, closed.why)
    try:
        return Readable(row, parse(row["body"]))
    except InvalidNotification as invalid:
        return NotReplayed(row["id"], ReplayRefusal.MALFORMED, faults_of(invalid))


def _closed(state: DeadLetterState, *, force: bool) -> RefusedReplay | None:
    """Why a dead letter in this state is not replayed."""
    match state:
        case DeadLetterState.OPEN:
            return None
        case DeadLetterState.REPLAYED:
            again = RefusedReplay(ReplayRefusal.ALREADY_REPLAYED, "it was replayed already")
            return None if force else again
        case DeadLetterState.REPLAYING:
            return RefusedReplay(ReplayRefusal.BEING_REPLAYED, "it is replaying")
        case DeadLetterState.DISCARDED:
            return RefusedReplay(ReplayRefusal.DISCARDED, "it is discarded")
        case DeadLetterState.SUPERSEDED:
            return RefusedReplay(ReplayRefusal.SUPERSEDED, "it is superseded")


def choose(
    readable: Sequence[Readable],
    statuses: Mapping[UUID, Record],
    holders: Mapping[tuple[str, bytes], UUID],
    expires_at: ExpiresAt,
    *,
    force: bool,
    objection: Objection,
) -> tuple[list[Candidate], list[NotReplayed]]:
    candidates, refused = [], []
    for candidate in readable:
        row = statuses[candidate.notification.id]
        now = status(row)
        why = refusal(now, candidate.row["epoch"], force=force)
        use = KeyUse.of(candidate.notification)
        holder = holders.get(use.place, use.id) if use is not None else candidate.notification.id
        if row["tenant"] != candidate.notification.tenant:
            message = f"notification {candidate.notification.id} is another tenant's"
            why = RefusedReplay(ReplayRefusal.OTHER_TENANT, message)
        if why is None and holder != candidate.notification.id:
            why = RefusedReplay(
                ReplayRefusal.SAME_KEY,
                f"notification {holder} has the same idempotency key",
            )
        if why is not None:
            refused.append(NotReplayed(candidate.row["id"], why.refusal, why.why))
            continue
        attempt = candidate.attempt(row["accepted_at"], row["traceparent"])
        expires = expires_at(attempt)
        if expires is not None and expires <= row["now"]:
            refused.append(_expired(candidate.row["id"], expires))
            continue
        if (gone := objection(candidate.notification)) is not None:
            refused.append(NotReplayed(candidate.row["id"], ReplayRefusal.TEMPLATE_GONE, gone))
            continue
        due = candidate.notification.scheduled_at
        early = due is not None and due > row["now"]
        candidates.append(Candidate(candidate.row["id"], now.state, attempt, expires, early))
    return candidates, refused


def _expired(dead_letter: UUID, at: datetime) -> NotReplayed:
    why = f"it expired at {at:%Y-%m-%d %H:%M:%S}Z, and would again"
    return NotReplayed(dead_letter, ReplayRefusal.EXPIRED, why)
