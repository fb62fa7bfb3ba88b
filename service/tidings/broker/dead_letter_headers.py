"""The headers of a dead letter: written by workers in step six, read by the archive in step eight."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, Protocol, Self, TypeAlias
from uuid import UUID, uuid4, uuid5

from tidings.broker.storable import Json, bounded, storable, text_of
from tidings.delivery.attempt import HIGHEST_COUNT, Message
from tidings.delivery.errors import MalformedNotification, Misrouted
from tidings.delivery.outcome import Failure, Reason, Undeliverable
from tidings_events.routing import TRACEPARENT, Headers

MessageHeaders: TypeAlias = dict[str, str | int]

LONGEST_MESSAGE: Final = 1_000
LONGEST_WORD: Final = 200
LONGEST_ORIGINALS: Final = 20_000
"""Characters of the original headers that a dead letter carries: all headers have to fit one AMQP frame of 128 KiB."""

_DEAD_LETTERS: Final = UUID("6f0c52a6-43a5-5d0e-9d5b-6c3d0f1e7a11")
"""The namespace of dead letters' ids."""


class Ended(Protocol):
    """The last attempt of an epoch."""

    @property
    def id(self) -> UUID: ...
    @property
    def epoch(self) -> int: ...
    @property
    def number(self) -> int: ...
    @property
    def first_seen(self) -> datetime: ...
    @property
    def traceparent(self) -> str | None: ...


def headers_of(attempt: Ended, outcome: Undeliverable, worker: str) -> MessageHeaders:
    """Headers of a message that can't be delivered."""
    headers: MessageHeaders = {
        **_failure_headers(outcome.reason, outcome.failure, worker),
        Headers.EPOCH: attempt.epoch,
        Headers.ATTEMPT: attempt.number,
        Headers.FIRST_SEEN: attempt.first_seen.isoformat(),
        Headers.DEAD_LETTER: str(dead_letter_id(attempt.id, attempt.epoch)),
    }
    if attempt.traceparent is not None:
        headers[TRACEPARENT] = attempt.traceparent
    return headers


def headers_of_unread(
    message: Message, error: MalformedNotification, worker: str, queue: str
) -> MessageHeaders:
    """Headers of a message that can't be read.

    If Tidings published it, it was readable before: its notification waits for it, and ends with it. A copy
    in another channel's lane ends no notification.

    Args:
        queue: The queue it was in.

    Its own headers are kept as text: RabbitMQ would take a copied `x-death` for a cycle.
    """
    failure = Failure(error.kind, str(error))
    counts = (Headers.EPOCH, Headers.ATTEMPT) if not isinstance(error, Misrouted) else ()
    return {
        **{name: count for name in counts if isinstance(count := message.headers.get(name), int)},
        **_failure_headers(Reason.MALFORMED, failure, worker),
        Headers.QUEUE: bounded(queue, LONGEST_WORD),
        Headers.FIRST_SEEN: datetime.now(UTC).isoformat(),
        Headers.DEAD_LETTER: str(unread_dead_letter_id(message)),
        Headers.ORIGINAL_HEADERS: _packed(storable(message.headers)),
    }


def _packed(headers: dict[str, Json]) -> str:
    """As many of the headers as fit, and a count of the others."""
    kept: dict[str, Json] = {}
    room = LONGEST_ORIGINALS
    for name, value in headers.items():
        length = len(json.dumps({name: value}, ensure_ascii=False))
        if length <= room:
            room -= length
            kept[name] = value
    if left := len(headers) - len(kept):
        kept["…"] = f"{left} more"
    return json.dumps(kept, ensure_ascii=False)


def with_originals(headers: Mapping[str, object]) -> Mapping[str, object]:
    """A dead letter's headers, with those of the message that could not be read unpacked again."""
    packed = headers.get(Headers.ORIGINAL_HEADERS)
    try:
        unpacked = json.loads(packed) if isinstance(packed, str) else None
    except ValueError:
        return headers
    return {**headers, Headers.ORIGINAL_HEADERS: unpacked} if unpacked is not None else headers


@dataclass(frozen=True, slots=True)
class DeadLetterHeaders:
    """Our headers of a dead letter, as far as they can be read: any client may have written them."""

    reason: Reason | None
    """None if no worker published it; then there is no failure either."""
    failure: Failure
    epoch: int | None
    """0 if it is not given, None if it is forged."""
    attempt: int | None
    """1 if it is not given, None if it is forged."""
    first_seen: datetime | None
    dead_letter: UUID | None
    queue: str
    """The queue it was in, if it could not be read."""

    @classmethod
    def of(cls, headers: Mapping[str, object]) -> Self:
        """Read them. Raises nothing."""
        reason = text_of(headers.get(Headers.REASON), LONGEST_WORD)
        return cls(
            reason=Reason(reason) if reason in set(Reason) else None,
            failure=Failure(
                kind=text_of(headers.get(Headers.ERROR_CLASS), LONGEST_WORD) or "unknown",
                message=text_of(headers.get(Headers.ERROR_MESSAGE), LONGEST_MESSAGE),
                provider=text_of(headers.get(Headers.PROVIDER), LONGEST_WORD),
                code=text_of(headers.get(Headers.ERROR_CODE), LONGEST_WORD),
            ),
            epoch=_count(headers.get(Headers.EPOCH, 0), 0),
            attempt=_count(headers.get(Headers.ATTEMPT, 1), 1),
            first_seen=_moment(headers.get(Headers.FIRST_SEEN)),
            dead_letter=dead_letter_in(headers),
            queue=queue_in(headers),
        )


def dead_letter_in(headers: Mapping[str, object]) -> UUID | None:
    """The dead letter's id, if its headers say it."""
    value = headers.get(Headers.DEAD_LETTER)
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def queue_in(headers: Mapping[str, object]) -> str:
    """The queue it was in, if its headers say it."""
    return text_of(headers.get(Headers.QUEUE), LONGEST_WORD)


def dead_letter_id(notification: UUID, epoch: int) -> UUID:
    """The dead letter of a notification's epoch, the same however often it is published."""
    return uuid5(_DEAD_LETTERS, f"{notification}.{epoch}")


def unread_dead_letter_id(message: Message) -> UUID:
    """A dead letter's id if its notification's is not known.

    A message with an id gets the same dead letter when it is delivered again; messages without one can't be told
    apart, so each becomes a dead letter of its own.
    """
    if not message.message_id:
        return uuid4()
    content = sha256(message.body).hexdigest()
    return uuid5(_DEAD_LETTERS, f"{message.message_id}/{message.routing_key}/{content}")


def _failure_headers(reason: Reason, failure: Failure, worker: str) -> MessageHeaders:
    return {
        Headers.REASON: reason.value,
        Headers.ERROR_CLASS: bounded(failure.kind, LONGEST_WORD),
        Headers.ERROR_CODE: bounded(failure.code, LONGEST_WORD),
        Headers.ERROR_MESSAGE: bounded(failure.message, LONGEST_MESSAGE),
        Headers.PROVIDER: bounded(failure.provider, LONGEST_WORD),
        Headers.WORKER: bounded(worker, LONGEST_WORD),
    }


def _count(value: object, lowest: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if lowest <= value <= HIGHEST_COUNT else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return moment if 2000 < moment.year < 3000 else None  # others don't fit PostgreSQL's arithmetic
